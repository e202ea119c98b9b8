"""Written arguments ↔ the model's own: by name, then by position. Both sides in every error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlinfer import types
from sqlinfer.errors import FunctionError, did_you_mean
from sqlinfer.functions.sources.original import Suggested
from sqlinfer.spec.function import Argument


def completed(function: str, written: Sequence[Argument], open_nulls: Sequence[str],
              known: Sequence[Suggested]) -> tuple[Argument, ...]:  # fmt: skip
    """The written arguments, or the model's; ``on_null`` from the model where it is not written."""
    if not written:
        return tuple(Argument(one.name, one.data_type, one.on_null) for one in known)
    order = matched(function, written, known)
    takes = {written[place].name: known[at].on_null for at, place in enumerate(order)}
    return tuple(_with_null(a, takes[a.name]) if a.name in open_nulls else a for a in written)


def _with_null(argument: Argument, on_null: str) -> Argument:
    """Integers and booleans hold no NaN."""
    kind = argument.data_type
    holds = types.is_float(kind) or types.is_text(kind) or types.is_array(kind)
    return replace(argument, on_null="nan") if on_null == "nan" and holds else argument


def matched(function: str, written: Sequence[Argument], known: Sequence[Suggested]) -> list[int]:
    """For each of the model's arguments the place of the written one.

    Raises:
        FunctionError: they differ in number, or names fit in part only.
    """
    if len(written) != len(known):
        raise _mismatch(function, f"the model takes {_counted(len(known))}, {len(written)} are declared", written,
                        known)  # fmt: skip
    places = {a.name.casefold(): place for place, a in enumerate(written)}
    named = [places.get(one.name.casefold()) for one in known]
    found = [place for place in named if place is not None]
    if len(set(found)) == len(known):
        return found
    unnamed = all(one.name.casefold() not in places for one in known)
    if unnamed:
        return list(range(len(known)))
    lost = [a.name for place, a in enumerate(written) if place not in found]
    hint = did_you_mean(lost[0], [one.name for one, place in zip(known, named, strict=True) if place is None])
    raise _mismatch(function, f"the model does not know {', '.join(map(repr, lost))}", written, known, hint)


def _counted(count: int) -> str:
    return f"{count} argument{'' if count == 1 else 's'}"


def _mismatch(function: str, message: str, written: Sequence[Argument], known: Sequence[Suggested],
              hint: str | None = None) -> FunctionError:  # fmt: skip
    declared = ", ".join(f"{a.name} {a.data_type}" for a in written)
    own = ", ".join(f"{one.name} {one.data_type}" for one in known)
    return FunctionError(
        f"function '{function}': {message}\n  arguments declared: {declared}\n  the model's own: {own}",
        hint=hint or "leave 'arguments:' out, or name them as the model does, or none of them: then order counts",
    )


def named(known: Sequence[Suggested], names: Sequence[str]) -> tuple[Suggested, ...]:
    """The model's arguments; where it has no names for them, those that somebody wrote beside it."""
    unnamed = all(one.name == f"f{place}" for place, one in enumerate(known))
    if unnamed and len(names) == len(known):
        known = [replace(one, name=name) for one, name in zip(known, names, strict=True)]
    return distinct(known)


def distinct(known: Sequence[Suggested]) -> tuple[Suggested, ...]:
    """With names that SQL can tell apart: those that differ only in case, or are given twice, get a number."""
    found: list[Suggested] = []
    taken: set[str] = set()
    for place, one in enumerate(known):
        name = one.name if one.name.strip() else f"f{place}"
        while name.casefold() in taken:
            name += f"_{place}"
        taken.add(name.casefold())
        found.append(replace(one, name=name))
    return tuple(found)
