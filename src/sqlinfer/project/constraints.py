"""``constraints:`` of a model and its columns, as dbt has them → Constraint. Also out of a manifest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from sqlinfer.errors import Location, ProjectError, did_you_mean
from sqlinfer.spec.constraint import Constraint, Kind

KINDS: tuple[str, ...] = get_args(Kind)
_KEYS = ("type", "expression", "name", "columns", "to", "to_columns", "warn_unenforced", "warn_unsupported")
_REF = re.compile(r"""^\s*(?:\{\{)?\s*(ref|source)\((.*?)\)\s*(?:\}\})?\s*$""", re.DOTALL)

Place = Callable[[int, str], Location | None]
"""(number of the constraint in its list, key) → where it stands."""
Resolve = Callable[[str, tuple[str, ...]], str | None]
"""("ref" or "source", its arguments) → SQL of the relation; None: there is none."""


def read_constraints(given: Any, column: str | None, place: Place, resolve: Resolve) -> Iterator[Constraint]:
    """Raises ProjectError for anything that is no constraint."""
    if given is None:
        return
    if not isinstance(given, list):
        raise ProjectError("constraints is a list", location=place(0, ""))
    for number, entry in enumerate(given):
        yield _constraint(entry, number, column, place, resolve)


def _constraint(entry: Any, number: int, column: str | None, place: Place, resolve: Resolve) -> Constraint:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
        said = "a constraint is a mapping with a type"
        raise ProjectError(said, hint="- {type: not_null}", location=place(number, ""))

    def fail(key: str, message: str, hint: str | None = None) -> ProjectError:
        return ProjectError(message, hint=hint, location=place(number, key))

    kind = entry["type"]
    if kind not in KINDS:
        raise fail("type", f"unknown constraint '{kind}'", did_you_mean(kind, KINDS))
    unknown = next((str(key) for key in entry if key not in _KEYS), None)
    if unknown:
        raise fail(unknown, f"unknown key '{unknown}' of constraint '{kind}'", did_you_mean(unknown, _KEYS))
    columns = (column,) if column is not None else _names(entry.get("columns"))
    expression, to = str(entry.get("expression") or ""), str(entry.get("to") or "")
    if kind == "check" and not expression.strip():
        raise fail("type", "constraint 'check' needs an expression", "expression: p between 0 and 1")
    if kind in ("not_null", "unique", "primary_key", "foreign_key") and not columns:
        raise fail("type", f"constraint '{kind}' needs columns", "columns: [id], or put it under a column")
    if kind == "foreign_key" and not to and not expression.strip():
        raise fail("type", "constraint 'foreign_key' needs 'to' and 'to_columns'", "to: ref('customers')")
    return Constraint(
        kind, columns, expression.strip(), str(entry.get("name") or ""), _resolved(to, resolve, fail) if to else "",
        _names(entry.get("to_columns")), place(number, "type"),
    )  # fmt: skip


def _names(given: Any) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(str(one) for one in given or ())


def _resolved(to: str, resolve: Resolve, fail: Callable[..., ProjectError]) -> str:
    """``ref('x')`` and ``source('a', 'b')`` as SQL; other text is SQL already."""
    found = _REF.match(to)
    if found is None:
        return to
    arguments = tuple(part.strip(" '\"") for part in found[2].split(","))
    relation = resolve(found[1], arguments)
    if relation is None:
        raise fail("to", f"constraint 'foreign_key' refers to {to.strip()}, which is not there")
    return relation
