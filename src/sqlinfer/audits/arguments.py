"""Values of a yml file → arguments of a data test. No library that checks records: nights run tests, too."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from datetime import date, datetime
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints


class Misfit(Exception):
    """A signal: ``value`` is not what was expected."""

    def __init__(self, expected: str, value: Any) -> None:
        self.expected, self.value = expected, value


Read = Callable[[Any], Any]
_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Misfit("a number", value)
    return value


def _scalar(value: Any) -> Any:
    if value is not None and not isinstance(value, bool | int | float | str | date | datetime):
        raise Misfit("one value", value)
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Misfit("a whole number", value)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Misfit("text", value)
    return value


def _flag(value: Any) -> bool:
    found = value if isinstance(value, bool) else None
    if isinstance(value, str):
        found = _WORDS.get(value.lower())
    elif isinstance(value, int | float) and value in (0, 1):
        found = bool(value)
    if found is None:
        raise Misfit("true or false", value)
    return found


def _list_of(read: Read) -> Read:
    def listed(value: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise Misfit("a list", value)
        return [read(item) for item in value]

    return listed


Number = Annotated[float, _number]
Whole = Annotated[int, _whole]
Text = Annotated[str, _text]
Flag = Annotated[bool, _flag]
Names = Annotated[list[str], lambda value: _list_of(_text)([value] if isinstance(value, str) else value)]
"""One name or several."""
Value = Annotated[Any, _scalar]
"""A number, a text, a boolean, a date or NULL."""
Values = Annotated[list[Any], _list_of(_scalar)]


def readers(kind: Any, known: dict[Any, Mapping[str, Read]] = {}) -> Mapping[str, Read]:  # noqa: B006
    """Argument → what reads its value. ``kind``: a dataclass."""
    if kind not in known:
        hints = get_type_hints(kind, include_extras=True)
        known[kind] = {one.name: _reader(hints[one.name]) for one in fields(kind)}
    return known[kind]


def _reader(hint: Any) -> Read:
    if get_origin(hint) is Annotated:
        read: Read = get_args(hint)[1]
        return read
    if get_origin(hint) in (types.UnionType, Union):
        inner = next(_reader(one) for one in get_args(hint) if one is not type(None))
        return lambda value: None if value is None else inner(value)
    return lambda value: value


def needed(kind: Any) -> tuple[str, ...]:
    """Arguments without a default."""
    return tuple(one.name for one in fields(kind) if one.default is MISSING)
