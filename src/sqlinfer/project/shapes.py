"""Plain values held against annotated classes. In: a mapping and a ``Shape``. Out: an instance, or all that is wrong.

Small on purpose: a general library takes longer to load and to build its checks than all files of a project.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Self, TypeVar, Union, get_args, get_origin

Loc = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one value. ``loc``: the keys that lead to it."""

    code: Literal["unknown", "missing", "pattern", "choice", "type", "value"]
    """``type``: a value of another kind, which the message does not name; ``value``: of this kind, but not allowed."""
    loc: Loc
    message: str
    value: Any
    choices: tuple[str, ...] = ()


class ShapeError(Exception):
    """Never leaves the package: callers make a ProjectError of the first problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Between:
    low: float
    high: float | None = None


@dataclass(frozen=True, slots=True)
class OneCharacter:
    """The only length that is asked for."""


class Shape:
    """The annotations of a subclass are the keys that a mapping may hold; a class attribute is a key's default."""

    @staticmethod
    def spelled(attribute: str) -> str:
        """The key of an attribute."""
        return attribute

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Raises ShapeError with everything that is wrong."""
        problems: list[Problem] = []
        made = _shape(cls, data, (), problems)
        if problems:
            raise ShapeError(problems)
        return made


S = TypeVar("S", bound=Shape)


def fields_of(shape: type[Any]) -> Mapping[str, tuple[str, Any]]:
    """Key as it is written → attribute, and what it may hold; those of the bases first."""
    found = {}
    for base in reversed(shape.__mro__):
        if issubclass(base, Shape) and base is not Shape:
            for name, kind in base.__annotations__.items():
                found[shape.spelled(name)] = (name, kind)
    return found


def _shape(shape: type[S], data: Any, loc: Loc, problems: list[Problem]) -> S:
    made = shape()
    if not isinstance(data, Mapping):
        message = f"input should be a valid dictionary or instance of {shape.__name__}"
        problems.append(Problem("type", loc, message, data))
        return made
    fields = fields_of(shape)
    for key, (name, kind) in fields.items():
        if key in data:
            setattr(made, name, _value(kind, data[key], (*loc, key), problems))
        elif not hasattr(shape, name):
            problems.append(Problem("missing", (*loc, key), "field required", data))
    for key, value in data.items():
        if not isinstance(key, str):
            problems.append(Problem("value", (*loc, key), "keys should be strings", key))
        elif key not in fields:
            problems.append(Problem("unknown", (*loc, key), "extra inputs are not permitted", value))
    return made


def _value(kind: Any, value: Any, loc: Loc, problems: list[Problem]) -> Any:
    """``value`` as ``kind`` has it; what is wrong is added to ``problems``."""
    if kind is Any:
        return value
    if isinstance(kind, type) and issubclass(kind, Shape):
        return _shape(kind, value, loc, problems)
    if kind in _PLAIN:
        return _plain(kind, value, loc, problems)
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _annotated(parts[0], parts[1:], value, loc, problems)
    if origin in (Union, UnionType):
        return _either(parts, value, loc, problems)
    if origin is Literal:
        return _choice(parts, value, loc, problems)
    if origin is dict:
        return _mapping(parts[1], value, loc, problems)
    return _list(parts[0], value, loc, problems)


def _annotated(kind: Any, rules: Iterable[Any], value: Any, loc: Loc, problems: list[Problem]) -> Any:
    """Functions change the value before it is looked at; everything else is asked of what it became."""
    for rule in rules:
        if callable(rule):
            value = rule(value)
    before = len(problems)
    value = _value(kind, value, loc, problems)
    if len(problems) > before:
        return value
    for rule in rules:
        match rule:
            case re.Pattern() if not rule.fullmatch(value):
                problems.append(Problem("pattern", loc, f"'{value}' is not allowed here", value))
            case Between(_, high) if high is not None and not value <= high:
                problems.append(Problem("value", loc, f"input should be less than or equal to {high}", value))
            case Between(low) if not value >= low:
                message = f"input should be greater than or equal to {low}"
                problems.append(Problem("value", loc, message, value))
            case OneCharacter() if len(value) != 1:
                bound = "least" if not value else "most"
                problems.append(Problem("value", loc, f"string should have at {bound} 1 character", value))
    return value


def _either(parts: tuple[Any, ...], value: Any, loc: Loc, problems: list[Problem]) -> Any:
    """The first part that takes the value as it is, else the first that takes it at all."""
    kinds = [part for part in parts if part is not NoneType]
    if value is None and len(kinds) < len(parts):
        return None
    failed: list[Problem] = []
    for kind in sorted(kinds, key=lambda kind: type(value) is not _bare(kind)):
        found: list[Problem] = []
        taken = _value(kind, value, loc, found)
        if not found:
            return taken
    for kind in kinds:
        _value(kind, value, loc, failed)
    problems += failed
    return value


def _bare(kind: Any) -> Any:
    """``int`` of ``Annotated[int, …]``, ``list`` of ``list[int]``."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else get_origin(kind) or kind


def _choice(choices: tuple[str, ...], value: Any, loc: Loc, problems: list[Problem]) -> Any:
    if not isinstance(value, str) or value not in choices:
        message = f"'{value}' is not one of {', '.join(map(repr, choices))}"
        problems.append(Problem("choice", loc, message, value, choices))
    return value


def _mapping(kind: Any, value: Any, loc: Loc, problems: list[Problem]) -> Any:
    if not isinstance(value, Mapping):
        problems.append(Problem("type", loc, "input should be a valid dictionary", value))
        return value
    for key in value:
        if not isinstance(key, str):
            problems.append(Problem("type", (*loc, key), "input should be a valid string", key))
    return {key: _value(kind, inner, (*loc, key), problems) for key, inner in value.items()}


def _list(kind: Any, value: Any, loc: Loc, problems: list[Problem]) -> Any:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        problems.append(Problem("type", loc, "input should be a valid list", value))
        return value
    return [_value(kind, inner, (*loc, index), problems) for index, inner in enumerate(value)]


def _plain(kind: Any, value: Any, loc: Loc, problems: list[Problem]) -> Any:
    if type(value) is kind:
        return value
    name, convert = _PLAIN[kind]
    try:
        return convert(value)
    except _Misfit as error:
        problems.append(Problem("type" if not error.args else "value", loc, f"input should be {name}{error}", value))
        return value


class _Misfit(ValueError):
    """No text: a value of another kind. A text: of a kind that might have fit."""


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _Misfit


def _integer(value: Any) -> int:
    """Numbers and texts without a fraction, as a template gives them."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not value.is_integer():
            raise _Misfit(", got a number with a fractional part")
        return int(value)
    if not isinstance(value, str):
        raise _Misfit
    with suppress(ValueError):
        return int(re.sub(r"\.0*$", "", value.strip()))
    raise _Misfit(", unable to parse string as an integer")


def _number(value: Any) -> float:
    if isinstance(value, int):
        with suppress(OverflowError):
            return float(value)
    if not isinstance(value, str):
        raise _Misfit
    with suppress(ValueError):
        return float(value)
    raise _Misfit(", unable to parse string as a number")


def _boolean(value: Any) -> bool:
    text = value.lower() if isinstance(value, str) else value
    if not isinstance(text, str | int | float):
        raise _Misfit
    if text in ("1", "on", "t", "true", "y", "yes", 1):
        return True
    if text in ("0", "off", "f", "false", "n", "no", 0):
        return False
    if isinstance(text, float):
        raise _Misfit
    raise _Misfit(", unable to interpret input")


_PLAIN: Mapping[Any, tuple[str, Callable[[Any], Any]]] = {
    str: ("a valid string", _text),
    int: ("a valid integer", _integer),
    float: ("a valid number", _number),
    bool: ("a valid boolean", _boolean),
}
