"""Argument policies as SQL: cast, on_cast_error, on_null, guard → argument columns and a status.

The one rule of casts: a value fits where the declared type holds it. ``fits.fit`` tells types that always or never
hold, a form's ``checked`` what a cast loses of a value.

A row with a NULL in any argument column is not scored. ``status`` says why, where that is more than a NULL input.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from sqlinfer import types
from sqlinfer.compiler.calls.fits import fit
from sqlinfer.compiler.forms import DUCKDB, Form
from sqlinfer.compiler.forms.base import is_null
from sqlinfer.spec.function import MISSING_TEXT, Argument
from sqlinfer.spec.plan import CAST_ERROR, NULL_ERROR, NULL_INPUT, SKIPPED


@dataclass(frozen=True, slots=True)
class CastArgument:
    """One argument of a call over a ``raw`` column: the column to score and the conditions for a status."""

    value: exp.Expr
    cast_failed: exp.Expr | None
    null_failed: exp.Expr | None


def cast_argument(raw: exp.Expr, argument: Argument, given: str | None, form: Form = DUCKDB) -> CastArgument:
    """SQL for the value and the failures of one argument; ``raw`` is a column of the query below."""
    how = fit(given, argument.data_type)
    if how in ("same", "safe"):
        value, lost = (raw.copy() if how == "same" else form.cast(raw, argument.data_type, given)), None
        failed = None
    else:
        value, lost = form.checked(raw, argument.data_type, given)
        either = exp.or_(is_null(value), lost) if lost is not None else is_null(value)
        failed = exp.and_(exp.not_(is_null(raw)), either)
    strict = failed if argument.on_cast_error == "error" else None
    if argument.on_null in ("default", "nan"):
        missing = is_null(raw) if strict is not None else is_null(value)
        value = exp.case().when(missing, _default(argument, form)).else_(value.copy())
    if failed is not None and lost is not None:
        if strict is None:
            value = exp.case().when(failed, _default(argument, form)).else_(value.copy())
        else:
            value = exp.case().when(exp.not_(strict.copy()), value.copy())
    return CastArgument(value, strict, is_null(value) if argument.on_null == "error" else None)


def _default(argument: Argument, form: Form) -> exp.Expr:
    """What stands for a missing value."""
    wanted = argument.data_type
    if argument.on_null == "default":
        return form.cast(exp.convert(argument.default), wanted)
    if argument.on_null != "nan":
        return exp.null()
    if types.is_text(wanted):
        return exp.Literal.string(MISSING_TEXT)
    return form.nan_array(wanted) if types.is_array(wanted) else form.cast(exp.Literal.string("nan"), wanted)


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
    any_null = exp.or_(*[is_null(final) for _, _, final in cast])
    return result.when(any_null, exp.Literal.string(NULL_INPUT))
