"""The input key: 128 bits over the cast arguments, computed by the warehouse.

Arguments are never NULL where a key is computed (rows with a NULL argument are not scored), so the key needs no mask
for them; a NULL inside an array is encoded by its content.

Fixed-width arguments: two structurally different 64-bit hashes. The first is DuckDB's ``hash(a, b, …)``; the second
hashes each argument's hash again after a distinct XOR, because ``hash('salt', v)`` differs from ``hash(v)`` by a
constant only. Variable-length arguments: md5 over a length-delimited encoding. A call with both kinds has the XOR of
the two, so that numbers are not written out as text only to be hashed.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from sqlinfer import types

_SALTS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)


def key(arguments: Sequence[tuple[exp.Expr, str]], dialect: str) -> exp.Expr:
    """The key of (expression, canonical type) pairs, in the given dialect."""
    if dialect == "duckdb":
        fixed = [_unsigned_zero(e, t) for e, t in arguments if types.is_fixed_width(t)]
        variable = [_encoded(e, t) for e, t in arguments if not types.is_fixed_width(t)]
        if not variable:
            return _fixed(fixed)
        content = exp.func("md5_number", _concatenated(variable))
        return exp.Anonymous(this="xor", expressions=[content, _fixed(fixed)]) if fixed else content
    return exp.func("md5", _concatenated([_delimited(exp.cast(_unsigned_zero(e, t), "text")) for e, t in arguments]))


def _unsigned_zero(argument: exp.Expr, data_type: str) -> exp.Expr:
    """-0.0 + 0.0 is 0.0."""
    if not types.is_float(data_type):
        return argument.copy()
    return exp.Add(this=argument.copy(), expression=exp.cast(exp.Literal.number(0), data_type))


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
            this=exp.func("coalesce", _delimited(exp.column("_e")), exp.Literal.string("-")), expressions=[item]
        )
        listed = exp.Anonymous(this="list_transform", expressions=[argument.copy(), parts])
        return _delimited(exp.Anonymous(this="array_to_string", expressions=[listed, exp.Literal.string("")]))
    return _delimited(exp.cast(_unsigned_zero(argument, data_type), "TEXT"))


def _delimited(value: exp.Expr) -> exp.Expr:
    """``<length>:<text>``, so that ('ab','c') and ('a','bc') differ."""
    length = exp.cast(exp.func("length", value.copy()), "TEXT")
    return exp.DPipe(this=exp.DPipe(this=length, expression=exp.Literal.string(":")), expression=value.copy())


def _concatenated(parts: Sequence[exp.Expr]) -> exp.Expr:
    whole = parts[0]
    for part in parts[1:]:
        whole = exp.DPipe(this=whole, expression=part)
    return whole
