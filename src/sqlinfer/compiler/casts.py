"""Argument policies as SQL: cast, on_cast_error, on_null, guard → argument columns and a status.

A row with a NULL in any argument column is not scored. ``status`` says why, where that is more than a NULL input.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sqlglot import exp

from sqlinfer import types
from sqlinfer.spec.function import Argument
from sqlinfer.spec.plan import CAST_ERROR, NULL_ERROR, NULL_INPUT, SKIPPED

Fit = Literal["same", "safe", "checked", "never"]

_RANK = {
    "BOOLEAN": 0, "UTINYINT": 1, "TINYINT": 1, "USMALLINT": 2, "SMALLINT": 2, "UINTEGER": 3, "INT": 3, "BIGINT": 4,
    "UBIGINT": 4, "INT128": 5, "UINT128": 5,
}  # fmt: skip


def fit(given: str | None, wanted: str) -> Fit:
    """Whether values of type ``given`` (None: unknown) fit into ``wanted``: as they are, always, mostly, never."""
    if given is None:
        return "checked"
    if given == wanted:
        return "same"
    if given == "ANY[]" and types.is_array(wanted):
        return "checked"
    if types.is_array(wanted) != types.is_array(given):
        return "checked" if types.is_text(given) or types.is_text(wanted) else "never"
    if given.startswith(("STRUCT", "MAP", "UNION")) and not types.is_text(wanted):
        return "never"
    if given == "BLOB" and types.is_numeric(wanted):
        return "never"
    if types.is_text(wanted):
        return "same" if given == "VARCHAR" else "safe"
    temporal = ("DATE", "TIME", "INTERVAL")
    if (types.is_numeric(wanted) and given.startswith(temporal)) or (
        types.is_numeric(given) and wanted.startswith(temporal)
    ):
        return "never"
    if given in _RANK and wanted in _RANK and not wanted.startswith("U") and not given.startswith("U"):
        return "safe" if _RANK[given] <= _RANK[wanted] else "checked"
    if wanted == "DOUBLE" and (given in ("REAL", "FLOAT") or _RANK.get(given, 9) <= 3):
        return "safe"
    if wanted == "REAL" and (given == "FLOAT" or _RANK.get(given, 9) <= 2):
        return "safe"
    return "checked"


@dataclass(frozen=True, slots=True)
class CastArgument:
    """One argument of a call over a ``raw`` column: the column to score and the conditions for a status."""

    value: exp.Expr
    cast_failed: exp.Expr | None
    null_failed: exp.Expr | None


def cast_argument(raw: exp.Expr, argument: Argument, given: str | None) -> CastArgument:
    """SQL for the value and the failures of one argument; ``raw`` is a column of the query below."""
    how = fit(given, argument.data_type)
    value = raw.copy() if how == "same" else _cast(raw, argument.data_type, safe=how == "safe")
    failed = _cast_failed(raw, value, argument, given) if how == "checked" else None
    strict = failed if argument.on_cast_error == "error" else None
    null_failed = None
    if argument.on_null == "error":
        null_failed = _is_null(value)
    elif argument.on_null in ("default", "nan"):
        default = exp.Literal.string("nan") if argument.on_null == "nan" else exp.convert(argument.default)
        filled = _cast(default, argument.data_type, safe=True)
        missing = _is_null(raw) if strict is not None else _is_null(value)
        value = exp.case().when(missing, filled).else_(value.copy())
    if failed is not None and strict is None and _lossy(raw, value, argument.data_type, given) is not None:
        value = exp.case().when(failed, _null_or_default(argument)).else_(value.copy())
    elif strict is not None and _lossy(raw, value, argument.data_type, given) is not None:
        value = exp.case().when(exp.not_(strict.copy()), value.copy())
    return CastArgument(value, strict, null_failed)


def _null_or_default(argument: Argument) -> exp.Expr:
    if argument.on_null == "default":
        return _cast(exp.convert(argument.default), argument.data_type, safe=True)
    if argument.on_null == "nan":
        return _cast(exp.Literal.string("nan"), argument.data_type, safe=True)
    return exp.null()


def _cast_failed(raw: exp.Expr, value: exp.Expr, argument: Argument, given: str | None) -> exp.Expr:
    """Raw is not NULL and the cast is, or the cast lost what can be checked."""
    failed = _is_null(value)
    lossy = _lossy(raw, value, argument.data_type, given)
    either = exp.or_(failed, lossy) if lossy is not None else failed
    return exp.and_(exp.not_(_is_null(raw)), either)


def _lossy(raw: exp.Expr, value: exp.Expr, wanted: str, given: str | None) -> exp.Expr | None:
    if types.is_integer(wanted) and given is not None:
        if types.is_text(given):
            return exp.NEQ(
                this=_cast(raw, "DOUBLE", safe=False),
                expression=_cast(_cast(raw, wanted, safe=False), "DOUBLE", safe=False),
            )
        if types.is_float(given) or types.is_decimal(given):
            return exp.NEQ(this=raw.copy(), expression=_cast(raw, wanted, safe=False))
    if wanted == "DOUBLE" and given in ("BIGINT", "UBIGINT", "INT128", "UINT128"):
        back = _cast(_cast(raw, "DOUBLE", safe=True), "INT128", safe=False)
        return exp.NEQ(this=_cast(raw, "INT128", safe=True), expression=back)
    return None


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
