"""The common form: SQL that sqlglot writes in the dialect. A warehouse's file overrides what it says otherwise.

A form makes expressions and text, and knows nothing of plans: the input key, casts and what they lose, values that may
fail, how a struct is kept, and how a query is written out. Types are canonical (DuckDB's spelling).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from sqlglot import exp

from sqlinfer import types
from sqlinfer.compiler.calls.fits import is_certain
from sqlinfer.spec.function import FILE_STAMP

_PLACES = "DECIMAL(38, 9)"
"""Shows what DOUBLE does not: a fraction behind more than 15 digits."""


@dataclass(frozen=True, slots=True)
class Form:
    dialect: str
    version: tuple[int, ...] = ()
    """Of the server; empty where the SQL does not depend on it, or where it is not known."""

    row_id: ClassVar[str] = ""
    """A hidden column of native tables that tells their rows, for as long as nothing is written."""
    flat_structs: ClassVar[bool] = False
    """Whether the outputs of a struct lie in columns of their own (``Call.columns``)."""
    sets: ClassVar[tuple[type[exp.Expr], ...]] = ()
    """What becomes several rows, and cannot stand in a condition."""
    names_follow_alias: ClassVar[bool] = False
    """Whether the alias of a function in FROM is its column's name, too."""
    has_rows_as_values: ClassVar[bool] = True
    """Whether a relation's name is a value that a stage can hand on."""
    folds_case: ClassVar[bool] = True
    """Whether quoted names are compared without their case."""
    sees_outer_levels: ClassVar[bool] = True
    """Whether a subquery may read columns of a query that is not the one right around it."""
    pure_functions: ClassVar[frozenset[str]] = frozenset(("hash", "xor", "md5_number"))
    """Functions of keys and casts that sqlglot has no class for: equal values, equal results."""

    # text

    def sql(self, query: exp.Expr, *, pretty: bool = False, identify: bool = True) -> str:
        """The query as it is sent. Raises sqlglot's UnsupportedError where the dialect cannot say it."""
        return query.sql(dialect=self.dialect, pretty=pretty, comments=False, identify=identify)

    def values_column(self, position: int) -> str:
        """What the warehouse calls a column of VALUES; ``position`` counts from 0."""
        return f"col{position}"

    def result_name(self, projection: exp.Expr) -> str:
        """What a result column with calls is called that has no alias, and that the warehouse did not name."""
        return projection.sql(dialect=self.dialect, comments=False, normalize_functions="lower")

    def name_fields(self, query: exp.Expr) -> None:
        """Write out names that the warehouse derives from those of columns, which are changed later."""

    # types and casts

    def data_type(self, canonical: str) -> exp.DataType:
        return built_type(canonical).copy()

    def canonical(self, data_type: str) -> str:
        """The canonical type of the warehouse's own spelling. Raises ProjectError where sqlglot does not know it."""
        return types.canonical(data_type, self.dialect)

    def cast(self, node: exp.Expr, wanted: str, given: str | None = None) -> exp.Expr:
        """Of values that are sure to fit."""
        return exp.Cast(this=node.copy(), to=self.data_type(wanted))

    def checked(self, raw: exp.Expr, wanted: str, given: str | None) -> tuple[exp.Expr, exp.Expr | None]:
        """The cast of values that may not fit, NULL for those, and the condition that it lost something else.

        ``given``: the canonical type of ``raw``, None where only the warehouse knows.
        """
        if given is None or not is_certain(given):
            return self.try_cast(raw, wanted), None
        value = self.converted(raw, wanted, given)
        return value, self.loss(raw, value, wanted, given)

    def try_cast(self, node: exp.Expr, wanted: str) -> exp.Expr:
        return exp.TryCast(this=node.copy(), to=self.data_type(wanted))

    def converted(self, raw: exp.Expr, wanted: str, given: str) -> exp.Expr:
        return self.try_cast(raw, wanted)

    def nan_array(self, wanted: str) -> exp.Expr:
        """An array of NaN, as long as the type says."""
        items = ", ".join(["nan"] * (types.array_width(wanted) or 1))
        return self.cast(exp.Literal.string(f"[{items}]"), wanted)

    def loss(self, raw: exp.Expr, value: exp.Expr, wanted: str, given: str) -> exp.Expr | None:
        """The rule for one type of values: what of ``raw`` the cast ``value`` does not hold any more.

        An integer holds whole numbers, BOOLEAN 0 and 1, DOUBLE integers up to 2^53 and beyond where they are exact.
        Decimals, texts and floats become the nearest DOUBLE or REAL.
        """
        item, source = types.element_type(wanted), types.element_type(given)
        lost: list[exp.Expr] = []
        if types.is_array(wanted) and not types.is_text(item):
            lost.append(exp.NEQ(this=self._count(raw, given), expression=self._count(value, wanted)))
        if types.is_integer(item) or item == "BOOLEAN":
            lost += self._fraction(raw, value, wanted, source)
        elif item == "DOUBLE":
            lost += self._digits(raw, value, wanted, source)
        elif item == "REAL" and source in ("UHUGEINT", "UINT128", "BIGNUM") and not types.is_array(wanted):
            lost.append(exp.Anonymous(this="isinf", expressions=[value.copy()]))
        return exp.or_(*lost) if lost else None

    def _fraction(self, raw: exp.Expr, value: exp.Expr, wanted: str, source: str) -> list[exp.Expr]:
        item = types.element_type(wanted)
        if source == "BOOLEAN" or (types.is_integer(source) if types.is_integer(item) else types.is_text(source)):
            return []
        if types.is_float(source) and types.is_integer(wanted):
            return [exp.NEQ(this=raw.copy(), expression=value.copy())]
        compared = self.cast(raw, "TEXT") if source == "BIGNUM" else raw
        carriers = ["DOUBLE"]
        if item in ("BIGINT", "UBIGINT") and not types.is_float(source):
            carriers.append(_PLACES)
        return [self._differs(compared, value, one, wanted) for one in carriers]  # '0x10' is an INTEGER, no DOUBLE

    def _digits(self, raw: exp.Expr, value: exp.Expr, wanted: str, source: str) -> list[exp.Expr]:
        if source in ("BIGINT", "UBIGINT"):
            return [self._differs(raw, value, "INT128", wanted, kind=exp.NEQ)]
        if source in ("HUGEINT", "INT128", "UHUGEINT", "UINT128"):
            return [self._differs(raw, value, "UINT128" if source.startswith("U") else "INT128", wanted)]
        if source == "BIGNUM" and not types.is_array(wanted):
            back = self.cast(self.cast(value, "BIGNUM"), "TEXT")
            return [exp.NEQ(this=self.cast(raw, "TEXT"), expression=back)]
        return []

    def _differs(
        self, raw: exp.Expr, value: exp.Expr, carrier: str, wanted: str, *, kind: type[exp.Binary] = exp.NullSafeNEQ
    ) -> exp.Expr:
        """Raw and value, both as a type that shows the difference; NULL where that type cannot hold one of them."""
        carrier += "[]" if types.is_array(wanted) else ""
        return kind(this=self.try_cast(raw, carrier), expression=self.try_cast(value, carrier))

    def _count(self, node: exp.Expr, given: str) -> exp.Expr:
        """Elements that are not NULL: an element that does not fit becomes NULL."""
        listed = node.copy() if types.is_array(given) else self.try_cast(node, f"{given}[]")
        return exp.Anonymous(this="list_count", expressions=[listed])

    # what may fail

    def tried(self, node: exp.Expr) -> exp.Expr | None:
        """NULL instead of an error; None where the warehouse has no form for that."""
        return exp.Anonymous(this="try", expressions=[node.copy()])

    # keys

    def key(self, arguments: Sequence[tuple[exp.Expr, str]]) -> exp.Expr:
        """128 bits of (expression, canonical type) pairs that are not NULL: md5 of a length-delimited encoding."""
        return exp.func("md5", concatenated([delimited(exp.cast(unsigned_zero(e, t), "text")) for e, t in arguments]))

    def file_stamp(self, path: exp.Expr) -> exp.Expr | None:
        """What changes when the file changes; None where the warehouse cannot look at files of the client."""
        return exp.Anonymous(this=FILE_STAMP, expressions=[path])

    # rows and structs

    def look_up(self, value: exp.Column, query: exp.Select) -> exp.Select:
        """The query's one value, NULL where it has no rows; where it has several, all of them are equal."""
        return query.select(exp.alias_(exp.AnyValue(this=value), value.name, quoted=True), copy=False)

    def exact(self, value: exp.Column, given: str | None) -> exp.Expr:
        """The value as SQL that equals no other one. ``given``: its canonical type, None where that is not known."""
        return value

    def struct_type(self, fields: Mapping[str, str], canonical: str) -> exp.DataType:
        """The type of a struct as a value. ``fields``: name → type; ``canonical``: the struct's own spelling."""
        return self.data_type(canonical)

    def struct(self, fields: Mapping[str, exp.Expr]) -> exp.Expr:
        """A struct of flat columns, NULL where all of them are."""
        raise NotImplementedError(f"{self.dialect} keeps structs as they are")


@lru_cache(maxsize=256)
def built_type(canonical: str) -> exp.DataType:
    return exp.DataType.build(canonical, dialect="duckdb")


def collated(text: exp.Expr) -> exp.Expr:
    """A text that is equal to itself alone."""
    return exp.Collate(this=text, expression=exp.to_identifier("C", quoted=True))


def is_null(node: exp.Expr) -> exp.Expr:
    return exp.Is(this=node.copy(), expression=exp.null())


def unsigned_zero(argument: exp.Expr, data_type: str) -> exp.Expr:
    """-0.0 + 0.0 is 0.0."""
    if not types.is_float(data_type):
        return argument.copy()
    return exp.Add(this=argument.copy(), expression=exp.cast(exp.Literal.number(0), data_type))


def delimited(value: exp.Expr) -> exp.Expr:
    """``<length>:<text>``, so that ('ab','c') and ('a','bc') differ."""
    length = exp.cast(exp.func("length", value.copy()), "TEXT")
    return exp.DPipe(this=exp.DPipe(this=length, expression=exp.Literal.string(":")), expression=value.copy())


def concatenated(parts: Sequence[exp.Expr]) -> exp.Expr:
    whole = parts[0]
    for part in parts[1:]:
        whole = exp.DPipe(this=whole, expression=part)
    return whole
