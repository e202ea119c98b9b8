"""Argument policies as SQL: cast, on_cast_error, on_null, guard → argument columns and a status.

The one rule of casts: a value fits where the declared type holds it. ``fits.fit`` tells types that always or never
hold, ``_loss`` what a cast loses of a value.

A row with a NULL in any argument column is not scored. ``status`` says why, where that is more than a NULL input.
Where the type of a value is not certain, the warehouse decides: the SQL has every case of the rule under ``typeof``,
which DuckDB folds away when it binds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from sqlglot import exp

from sqlinfer import types
from sqlinfer.compiler.fits import fit, is_certain
from sqlinfer.spec.function import MISSING_TEXT, Argument
from sqlinfer.spec.names import OURS
from sqlinfer.spec.plan import CAST_ERROR, NULL_ERROR, NULL_INPUT, SKIPPED

_RAW = f"{OURS}_raw__"
"""Stands for the raw column in SQL that is written once for all columns."""
_CASES = {
    "INT": ("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"),
    "BIGINT": ("BIGINT", "UBIGINT"), "HUGEINT": ("HUGEINT",), "UHUGEINT": ("UHUGEINT",), "BIGNUM": ("BIGNUM",),
    "DOUBLE": ("FLOAT", "DOUBLE"), "DECIMAL": ("DECIMAL",), "TEXT": (),
}  # fmt: skip
"""One type for each case of the rule → what ``typeof`` calls the types of that case. TEXT is the case of all others."""
_PLACES = "DECIMAL(38, 9)"
"""Shows what DOUBLE does not: a fraction behind more than 15 digits."""


@dataclass(frozen=True, slots=True)
class CastArgument:
    """One argument of a call over a ``raw`` column: the column to score and the conditions for a status."""

    value: exp.Expr
    cast_failed: exp.Expr | None
    null_failed: exp.Expr | None


def cast_argument(raw: exp.Expr, argument: Argument, given: str | None, dialect: str = "duckdb") -> CastArgument:
    """SQL for the value and the failures of one argument; ``raw`` is a column of the query below."""
    known = given if is_certain(given) else None
    how = fit(given, argument.data_type)
    if how in ("same", "safe"):
        value, lost = (raw.copy() if how == "same" else _cast(raw, argument.data_type, safe=True)), None
        failed = None
    else:
        value, lost = _cast_and_loss(raw, argument.data_type, known, dialect)
        either = exp.or_(_is_null(value), lost) if lost is not None else _is_null(value)
        failed = exp.and_(exp.not_(_is_null(raw)), either)
    strict = failed if argument.on_cast_error == "error" else None
    if argument.on_null in ("default", "nan"):
        missing = _is_null(raw) if strict is not None else _is_null(value)
        value = exp.case().when(missing, _default(argument)).else_(value.copy())
    if failed is not None and lost is not None:
        if strict is None:
            value = exp.case().when(failed, _default(argument)).else_(value.copy())
        else:
            value = exp.case().when(exp.not_(strict.copy()), value.copy())
    return CastArgument(value, strict, _is_null(value) if argument.on_null == "error" else None)


def _default(argument: Argument) -> exp.Expr:
    """What stands for a missing value."""
    if argument.on_null == "default":
        return _cast(exp.convert(argument.default), argument.data_type, safe=True)
    if argument.on_null == "nan":
        if types.is_text(argument.data_type):
            return exp.Literal.string(MISSING_TEXT)
        items = ["nan"] * (types.array_width(argument.data_type) or 1)
        text = f"[{', '.join(items)}]" if types.is_array(argument.data_type) else "nan"
        return _cast(exp.Literal.string(text), argument.data_type, safe=True)
    return exp.null()


def _cast_and_loss(raw: exp.Expr, wanted: str, given: str | None, dialect: str) -> tuple[exp.Expr, exp.Expr | None]:
    """The cast, and the condition that it lost something without being NULL."""
    if given is not None:
        value = _converted(raw, wanted, given)
        return value, _loss(raw, value, wanted, given)
    if dialect != "duckdb":
        return _cast(raw, wanted, safe=False), None
    value_sql, loss_sql = _by_type(wanted)
    name = raw.sql(dialect="duckdb")
    lost = exp.Var(this=loss_sql.replace(_RAW, name)) if loss_sql else None
    return exp.Var(this=value_sql.replace(_RAW, name)), lost


def _converted(raw: exp.Expr, wanted: str, given: str) -> exp.Expr:
    if given.startswith("BIGNUM"):  # DuckDB 2.0 shuts the database down where it cannot cast one (INTERNAL Error)
        return _cast(_cast(raw, "TEXT", safe=True), wanted, safe=False)
    return _cast(raw, wanted, safe=False)


def _loss(raw: exp.Expr, value: exp.Expr, wanted: str, given: str) -> exp.Expr | None:
    """The rule for one type of values: what of ``raw`` the cast ``value`` does not hold any more.

    An integer holds whole numbers, BOOLEAN 0 and 1, DOUBLE integers up to 2^53 and beyond where they are exact.
    Decimals, texts and floats become the nearest DOUBLE or REAL.
    """
    item, source = types.element_type(wanted), types.element_type(given)
    lost: list[exp.Expr] = []
    if types.is_array(wanted) and not types.is_text(item):
        lost.append(exp.NEQ(this=_count(raw, given), expression=_count(value, wanted)))
    if types.is_integer(item) or item == "BOOLEAN":
        lost += _fraction(raw, value, wanted, source)
    elif item == "DOUBLE":
        lost += _digits(raw, value, wanted, source)
    elif item == "REAL" and source in ("UHUGEINT", "UINT128", "BIGNUM") and not types.is_array(wanted):
        lost.append(exp.Anonymous(this="isinf", expressions=[value.copy()]))
    return exp.or_(*lost) if lost else None


def _fraction(raw: exp.Expr, value: exp.Expr, wanted: str, source: str) -> list[exp.Expr]:
    item = types.element_type(wanted)
    if source == "BOOLEAN" or (types.is_integer(source) if types.is_integer(item) else types.is_text(source)):
        return []
    if types.is_float(source) and types.is_integer(wanted):
        return [exp.NEQ(this=raw.copy(), expression=value.copy())]
    compared = _cast(raw, "TEXT", safe=True) if source == "BIGNUM" else raw
    carriers = ["DOUBLE"]
    if item in ("BIGINT", "UBIGINT") and not types.is_float(source):
        carriers.append(_PLACES)
    return [_differs(compared, value, carrier, wanted) for carrier in carriers]  # '0x10' is an INTEGER, no DOUBLE


def _digits(raw: exp.Expr, value: exp.Expr, wanted: str, source: str) -> list[exp.Expr]:
    if source in ("BIGINT", "UBIGINT"):
        return [_differs(raw, value, "INT128", wanted, kind=exp.NEQ)]
    if source in ("HUGEINT", "INT128", "UHUGEINT", "UINT128"):
        return [_differs(raw, value, "UINT128" if source.startswith("U") else "INT128", wanted)]
    if source == "BIGNUM" and not types.is_array(wanted):
        back = _cast(_cast(value, "BIGNUM", safe=True), "TEXT", safe=True)
        return [exp.NEQ(this=_cast(raw, "TEXT", safe=True), expression=back)]
    return []


def _differs(
    raw: exp.Expr, value: exp.Expr, carrier: str, wanted: str, *, kind: type[exp.Binary] = exp.NullSafeNEQ
) -> exp.Expr:
    """Raw and value, both as a type that shows the difference; NULL where that type cannot hold one of them."""
    carrier += "[]" if types.is_array(wanted) else ""
    return kind(this=_cast(raw, carrier, safe=False), expression=_cast(value, carrier, safe=False))


def _count(node: exp.Expr, given: str) -> exp.Expr:
    """Elements that are not NULL: an element that does not fit becomes NULL."""
    listed = node.copy() if types.is_array(given) else _cast(node, f"{given}[]", safe=False)
    return exp.Anonymous(this="list_count", expressions=[listed])


@lru_cache(maxsize=256)
def _by_type(wanted: str) -> tuple[str, str | None]:
    """Cast and loss for values of any type, as DuckDB's SQL: the cases of the rule under the warehouse's ``typeof``."""
    raw = exp.column(_RAW)
    through_text, straight = _sql(_converted(raw, wanted, "BIGNUM")), _sql(_converted(raw, wanted, "TEXT"))
    value = f"CASE WHEN {_is_one_of('BIGNUM')} THEN {through_text} ELSE {straight} END"
    conditions = {}
    for case in _CASES:
        lost = _loss(raw, _converted(raw, wanted, case), wanted, case)
        conditions[case] = _sql(lost) if lost is not None else "FALSE"
    other = conditions.pop("TEXT")
    branches = [f"WHEN {_is_one_of(*_CASES[case])} THEN {sql}" for case, sql in conditions.items() if sql != other]
    if not branches:
        return value, None if other == "FALSE" else f"({other})"
    return value, f"CASE {' '.join(branches)} ELSE {other} END"


def _is_one_of(*names: str) -> str:
    """Of a list: what its elements are."""
    listed = ", ".join(f"'{name}'" for name in names)
    return f"regexp_extract(typeof({_RAW}), '^\\w+') IN ({listed})"


def _sql(node: exp.Expr) -> str:
    return node.sql(dialect="duckdb")


def status(cast: list[tuple[Argument, CastArgument, exp.Expr]], guard: exp.Expr | None) -> exp.Expr | None:
    """CASE over the failures, or None where a NULL argument is all there is; the third item is the final column."""
    if guard is None and not any(c.cast_failed is not None or c.null_failed is not None for _, c, _ in cast):
        return None
    result = exp.case()
    if guard is not None:
        result = result.when(exp.not_(exp.Is(this=guard.copy(), expression=exp.true())), exp.Literal.string(SKIPPED))
    for argument, c, _ in cast:
        if c.cast_failed is not None:
            result = result.when(c.cast_failed.copy(), exp.Literal.string(f"{CAST_ERROR}:{argument.name}"))
    for argument, c, _ in cast:
        if c.null_failed is not None:
            result = result.when(c.null_failed.copy(), exp.Literal.string(f"{NULL_ERROR}:{argument.name}"))
    any_null = exp.or_(*[_is_null(final) for _, _, final in cast])
    return result.when(any_null, exp.Literal.string(NULL_INPUT))


def _is_null(node: exp.Expr) -> exp.Expr:
    return exp.Is(this=node.copy(), expression=exp.null())


def _cast(node: exp.Expr, data_type: str, *, safe: bool) -> exp.Expr:
    kind = exp.Cast if safe else exp.TryCast
    return kind(this=node.copy(), to=_type(data_type).copy())


@lru_cache(maxsize=256)
def _type(data_type: str) -> exp.DataType:
    return exp.DataType.build(data_type, dialect="duckdb")
