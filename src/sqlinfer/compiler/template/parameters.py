"""Values for ``?``, ``$1`` and ``$name`` of a query from Python, put into its rendered SQL as typed literals. Pure.

They become part of the text before it is parsed and planned, so they may stand wherever a literal may.
"""

from __future__ import annotations

import datetime
import decimal
import math
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlglot import exp

from sqlinfer import numerals
from sqlinfer.compiler.template.rendered import RenderedNode
from sqlinfer.errors import ParameterError, did_you_mean
from sqlinfer.project.segments import Segment

Parameters = Sequence[Any] | Mapping[str, Any]

_LEXEMES = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
    | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
    | (?P<parameter>\?(?P<number>[0-9]{0,9}) | (?<![\w$])\$(?P<name>\w+))""",
    re.X | re.S,
)
"""What must not be looked into, and parameters."""
_MAX_DIGITS = 38


@dataclass(frozen=True, slots=True)
class _Placeholder:
    start: int
    end: int
    name: str
    """Empty for a plain ``?``, digits for a position."""

    @property
    def is_named(self) -> bool:
        return bool(self.name) and numerals.whole(self.name) is None


def with_parameters(rendered: RenderedNode, parameters: Parameters | None, dialect: str) -> RenderedNode:
    """The query with a literal for every placeholder; places in it are still those of the user's text.

    Raises:
        ParameterError: a value is missing, left over, or of a type that SQL has no literal for.
    """
    found = tuple(_placeholders(rendered.sql))
    if not found and not parameters:
        return rendered
    if parameters is None:
        first = found[0]
        raise ParameterError(
            "the query has parameters and no values are given", hint="connection.sql(query, [value, …])",
            location=rendered.locate(first.start, first.end),
        )  # fmt: skip
    if isinstance(parameters, Mapping):
        values = _by_name(found, parameters, rendered)
    elif isinstance(parameters, Sequence) and not isinstance(parameters, str | bytes):
        values = _by_position(found, parameters, rendered)
    else:
        kind = type(parameters).__name__
        raise ParameterError(f"parameters are a list or a dict, found {kind}", hint="[value] or {'name': value}")
    return _replaced(rendered, [(one, _text(value, one, rendered, dialect)) for one, value in values])


def moved_places(found: Mapping[int, Any], asked: RenderedNode, filled: RenderedNode) -> Mapping[int, Any]:
    """What is known by place in the text with placeholders, by its place in the text with values: ``f(?)`` is called
    ``f($1)``, not after its value."""
    if filled is asked:
        return found
    whole = (Segment(0, len(asked.sql), 0, len(asked.sql), True),)
    origins = {at: _through(at, asked.segments or whole) for at in found}
    places: dict[int, list[int]] = {}
    for part in (p for p in filled.segments if p.literal):
        for origin in origins.values():
            if origin is not None and part.origin <= origin < part.origin + part.end - part.start:
                places.setdefault(origin, []).append(part.start + origin - part.origin)
    moved = ((one, places.get(origins[at] or 0, [])) for at, one in found.items() if origins[at] is not None)
    return {at[0]: one for one, at in moved if len(set(at)) == 1}  # text of a loop has several places


def _through(at: int, segments: Sequence[Segment]) -> int | None:
    return next((s.origin + at - s.start for s in segments if s.literal and s.start <= at < s.end), None)


def _placeholders(sql: str) -> Iterator[_Placeholder]:
    for match in _LEXEMES.finditer(sql):
        if match["parameter"]:
            yield _Placeholder(*match.span(), match["name"] or match["number"] or "")


Bound = list[tuple[_Placeholder, Any]]


def _by_name(found: tuple[_Placeholder, ...], values: Mapping[str, Any], rendered: RenderedNode) -> Bound:
    folded = {str(name).removeprefix("$").casefold(): value for name, value in values.items()}
    unknown = [name for name in folded if name not in {one.name.casefold() for one in found}]
    for one in found:
        if not one.name or one.name.casefold() not in folded:
            raise ParameterError(
                f"there is no value for ${one.name}" if one.name else "a dict of values cannot fill a '?'",
                hint=did_you_mean(one.name, map(str, values)) if one.name else "write $name, or pass a list",
                location=rendered.locate(one.start, one.end),
            )
    if unknown:
        names = [one.name for one in found]
        raise ParameterError(f"the query has no parameter '${unknown[0]}'", hint=did_you_mean(unknown[0], names))
    return [(one, folded[one.name.casefold()]) for one in found]


def _by_position(found: tuple[_Placeholder, ...], values: Sequence[Any], rendered: RenderedNode) -> Bound:
    named = next((one for one in found if one.is_named), None)
    if named is not None:
        raise ParameterError(
            f"${named.name} needs a value by name", hint=f"pass a dict: {{'{named.name}': value}}",
            location=rendered.locate(named.start, named.end),
        )  # fmt: skip
    plain, numbered = [one for one in found if not one.name], [one for one in found if one.name]
    if plain and numbered:
        one = numbered[0]
        raise ParameterError("'?' and numbers are mixed", hint="use one of them",
                             location=rendered.locate(one.start, one.end))  # fmt: skip
    positions = [int(one.name) for one in numbered] or list(range(1, len(plain) + 1))
    wanted = max(positions, default=0)
    if wanted != len(values) or set(positions) != set(range(1, wanted + 1)):
        count = len(set(positions))
        raise ParameterError(
            f"the query has {count} parameter{'s' * (count != 1)}, {len(values)} value{'s' * (len(values) != 1)} given"
        )
    return [(one, values[position - 1]) for one, position in zip(found, positions, strict=True)]


def _text(value: Any, place: _Placeholder, rendered: RenderedNode, dialect: str) -> str:
    try:
        return literal_of(value).sql(dialect=dialect)
    except (ParameterError, ValueError, RecursionError) as error:
        said = error.message if isinstance(error, ParameterError) else str(error)
        raise ParameterError(said, location=rendered.locate(place.start, place.end)) from None


def literal_of(value: Any) -> exp.Expr:
    """A Python value as SQL of the type that it has in Python.

    >>> literal_of(["it's", None]).sql("duckdb"), literal_of(decimal.Decimal("1.50")).sql("duckdb")
    ("['it''s', NULL]", "CAST('1.50' AS DECIMAL(3, 2))")
    """
    match value:
        case None:
            return exp.null()
        case bool():
            return exp.true() if value else exp.false()
        case int():
            return exp.paren(exp.Literal.number(value)) if value < 0 else exp.Literal.number(value)
        case float():
            return _typed(repr(float(value)), "DOUBLE")
        case str():
            return _string(value)
        case decimal.Decimal():
            return _decimal(value)
        case datetime.datetime() | datetime.date() | datetime.time() | datetime.timedelta():
            return _moment(value)
        case uuid.UUID():
            return _typed(str(value), "UUID")
        case bytes() | bytearray() | memoryview():
            return exp.Unhex(this=exp.Literal.string(bytes(value).hex()))
        case list() | tuple():
            return _list(value)
        case Mapping():
            fields = [exp.PropertyEQ(this=exp.to_identifier(str(k), quoted=True), expression=literal_of(v))
                      for k, v in value.items()]  # fmt: skip
            return exp.Struct(expressions=fields)
        case _:
            return _converted(value)


def _converted(value: Any) -> exp.Expr:
    for convert in ("tolist", "as_py", "item"):  # numpy's arrays and scalars, Arrow's
        if hasattr(value, convert):
            return literal_of(getattr(value, convert)())
    raise ParameterError(f"a value of type {type(value).__name__} cannot be a parameter")


def _typed(text: str, data_type: str) -> exp.Expr:
    return exp.Cast(this=exp.Literal.string(text), to=exp.DataType.build(data_type, dialect="duckdb"))


def _string(value: str) -> exp.Expr:
    """SQL text cannot hold a NUL."""
    value.encode()  # a lone surrogate is no text
    parts = [exp.Literal.string(part) for part in value.split("\0")]
    if len(parts) == 1:
        return parts[0]
    whole: exp.Expr = parts[0]
    for part in parts[1:]:
        zero = exp.Anonymous(this="chr", expressions=[exp.Literal.number(0)])
        whole = exp.DPipe(this=exp.DPipe(this=whole, expression=zero), expression=part)
    return exp.paren(whole)


def _decimal(value: decimal.Decimal) -> exp.Expr:
    if not value.is_finite():
        return _typed(str(value).lower(), "DOUBLE")
    text = format(value, "f")
    digits, scale = len(text.strip("-").replace(".", "").lstrip("0")), len(text.partition(".")[2])
    width = max(digits, scale, 1)
    if width > _MAX_DIGITS:
        raise ParameterError(f"a decimal of {width} digits cannot be a parameter, {_MAX_DIGITS} can")
    return _typed(text, f"DECIMAL({width}, {scale})")


def _moment(value: datetime.date | datetime.time | datetime.timedelta) -> exp.Expr:
    match value:
        case datetime.datetime():
            return _typed(value.isoformat(sep=" "), "TIMESTAMPTZ" if value.tzinfo else "TIMESTAMP")
        case datetime.date():
            return _typed(value.isoformat(), "DATE")
        case datetime.time():
            return _typed(value.isoformat(), "TIMETZ" if value.tzinfo else "TIME")
        case datetime.timedelta():
            text = f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
            return _typed(text, "INTERVAL")


def _list(values: Sequence[Any]) -> exp.Expr:
    """Floats as one literal: an embedding has hundreds."""
    if values and all(isinstance(v, float) for v in values):
        shown = ("nan" if math.isnan(v) else repr(float(v)) for v in values)
        return _typed(f"[{', '.join(shown)}]", "DOUBLE[]")
    return exp.Array(expressions=[literal_of(value) for value in values])


def _replaced(rendered: RenderedNode, values: Sequence[tuple[_Placeholder, str]]) -> RenderedNode:
    pieces, at = [], 0
    for one, text in values:
        pieces += [rendered.sql[at : one.start], text]
        at = one.end
    sql = "".join((*pieces, rendered.sql[at:]))
    whole = (Segment(0, len(rendered.sql), 0, len(rendered.sql), True),)
    segments = [part for one in rendered.segments or whole for part in _moved(one, values)]
    source = rendered.source if rendered.segments else rendered.sql
    return replace(rendered, sql=sql, source=source, segments=tuple(segments))


def _moved(segment: Segment, values: Sequence[tuple[_Placeholder, str]]) -> Iterator[Segment]:
    """The parts of a segment beside its placeholders, and each placeholder as text that has one place."""
    at, shift = segment.start, 0
    for one, text in values:
        grown = len(text) - (one.end - one.start)
        if one.end <= segment.start:
            shift += grown
        elif one.start < segment.end and segment.literal:
            origin = segment.origin + one.start - segment.start
            if one.start > at:
                yield Segment(at + shift, one.start + shift, segment.origin + at - segment.start, origin, True)
            end = one.start + shift + len(text)
            yield Segment(one.start + shift, end, origin, origin + one.end - one.start, False)
            at, shift = one.end, shift + grown
        elif one.start < segment.end:
            yield Segment(at + shift, one.end + shift + grown, segment.origin, segment.origin_end, False)
            at, shift = one.end, shift + grown
    if at < segment.end:
        origin = segment.origin + at - segment.start if segment.literal else segment.origin
        yield Segment(at + shift, segment.end + shift, origin, segment.origin_end, segment.literal)
