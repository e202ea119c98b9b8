"""DuckDB: TRY_CAST and TRY, ``typeof`` for what only the warehouse knows, keys as 128-bit integers.

Keys, fixed-width arguments: two structurally different 64-bit hashes. The first is ``hash(a, b, …)``; the second hashes
each argument's hash again after a distinct XOR: ``hash('salt', v)`` differs from ``hash(v)`` by a constant only.
Variable-length arguments: md5 over a length-delimited encoding. A call with both kinds has the XOR of the two, so that
numbers are not written out as text only to be hashed. A NULL inside an array is encoded by its content.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

from sqlglot import exp

from sqlinfer import types
from sqlinfer.compiler.calls.fits import is_certain
from sqlinfer.compiler.forms.base import Form, collated, concatenated, delimited, unsigned_zero
from sqlinfer.spec.names import OURS

_SALTS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)
_RAW = f"{OURS}_raw__"
"""Stands for the raw column in SQL that is written once for all columns."""
_CASES = {
    "INT": ("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"),
    "BIGINT": ("BIGINT", "UBIGINT"), "HUGEINT": ("HUGEINT",), "UHUGEINT": ("UHUGEINT",), "BIGNUM": ("BIGNUM",),
    "DOUBLE": ("FLOAT", "DOUBLE"), "DECIMAL": ("DECIMAL",), "TEXT": (),
}  # fmt: skip
"""One type for each case of the rule → what ``typeof`` calls the types of that case. TEXT is the case of all others."""


class DuckDBForm(Form):
    __slots__ = ()
    row_id: ClassVar[str] = "rowid"

    def checked(self, raw: exp.Expr, wanted: str, given: str | None) -> tuple[exp.Expr, exp.Expr | None]:
        """Where the type is not known, the SQL has every case of the rule under ``typeof``, which DuckDB folds away
        when it binds."""
        if is_certain(given):
            return Form.checked(self, raw, wanted, given)
        value_sql, loss_sql = _by_type(wanted)
        name = raw.sql(dialect="duckdb")
        lost = exp.Var(this=loss_sql.replace(_RAW, name)) if loss_sql else None
        return exp.Var(this=value_sql.replace(_RAW, name)), lost

    def converted(self, raw: exp.Expr, wanted: str, given: str) -> exp.Expr:
        if given.startswith("BIGNUM"):  # DuckDB 2.0 shuts the database down where it cannot cast one (INTERNAL Error)
            return self.try_cast(self.cast(raw, "TEXT"), wanted)
        return self.try_cast(raw, wanted)

    def key(self, arguments: Sequence[tuple[exp.Expr, str]]) -> exp.Expr:
        fixed = [unsigned_zero(e, t) for e, t in arguments if types.is_fixed_width(t)]
        variable = [_encoded(e, t) for e, t in arguments if not types.is_fixed_width(t)]
        if not variable:
            return _fixed(fixed)
        content = exp.func("md5_number", concatenated(variable))
        return exp.Anonymous(this="xor", expressions=[content, _fixed(fixed)]) if fixed else content

    def exact(self, value: exp.Column, given: str | None) -> exp.Expr:
        return collated(value.copy()) if given == "TEXT" else value


def _fixed(arguments: Sequence[exp.Expr]) -> exp.Expr:
    high = exp.Anonymous(this="hash", expressions=[a.copy() for a in arguments])
    low = exp.Anonymous(this="hash", expressions=[_rehashed(a, i) for i, a in enumerate(arguments)])
    wide = exp.Cast(this=high, to=exp.DataType.build("UHUGEINT", dialect="duckdb"))
    shifted = exp.Mul(this=wide, expression=exp.Literal.number(2**64))
    return exp.Add(this=shifted, expression=low)


def _rehashed(argument: exp.Expr, index: int) -> exp.Expr:
    salt = (_SALTS[0] * (index + 1) + _SALTS[1]) % 2**63
    inner = exp.Anonymous(this="hash", expressions=[argument.copy()])
    return exp.Anonymous(
        this="xor", expressions=[inner, exp.cast(exp.Literal.number(salt), "UBIGINT", dialect="duckdb")]
    )


def _encoded(argument: exp.Expr, data_type: str) -> exp.Expr:
    if data_type == "BLOB":
        return exp.Anonymous(this="md5", expressions=[argument.copy()])
    if types.is_array(data_type) and types.is_text(types.element_type(data_type)):
        item = exp.to_identifier("_e")
        parts = exp.Lambda(
            this=exp.func("coalesce", delimited(exp.column("_e")), exp.Literal.string("-")), expressions=[item]
        )
        listed = exp.Anonymous(this="list_transform", expressions=[argument.copy(), parts])
        return delimited(exp.Anonymous(this="array_to_string", expressions=[listed, exp.Literal.string("")]))
    return delimited(exp.cast(unsigned_zero(argument, data_type), "TEXT"))


@lru_cache(maxsize=256)
def _by_type(wanted: str) -> tuple[str, str | None]:
    """Cast and loss for values of any type: the cases of the rule under the warehouse's ``typeof``."""
    form, raw = DuckDBForm("duckdb"), exp.column(_RAW)
    through_text, straight = (form.converted(raw, wanted, kind).sql(dialect="duckdb") for kind in ("BIGNUM", "TEXT"))
    value = f"CASE WHEN {_is_one_of('BIGNUM')} THEN {through_text} ELSE {straight} END"
    conditions = {}
    for case in _CASES:
        lost = form.loss(raw, form.converted(raw, wanted, case), wanted, case)
        conditions[case] = lost.sql(dialect="duckdb") if lost is not None else "FALSE"
    other = conditions.pop("TEXT")
    branches = [f"WHEN {_is_one_of(*_CASES[case])} THEN {sql}" for case, sql in conditions.items() if sql != other]
    if not branches:
        return value, None if other == "FALSE" else f"({other})"
    return value, f"CASE {' '.join(branches)} ELSE {other} END"


def _is_one_of(*names: str) -> str:
    """Of a list: what its elements are."""
    listed = ", ".join(f"'{name}'" for name in names)
    return f"regexp_extract(typeof({_RAW}), '^\\w+') IN ({listed})"
