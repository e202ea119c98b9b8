"""Spark 4: casts by ``try_cast`` under ANSI, keys as 32 hexadecimal digits, structs as flat columns.

Keys: two chains of ``xxhash64`` over the same values, one of which begins with a salt; ``hex`` of both, side by side.
Equal inputs have equal keys whatever the collation of a text (its bytes are hashed), and -0.0 equals 0.0, NaN equals
NaN. ``xxhash64`` skips NULL, so that ``array(null)``, ``array()`` and NULL would be one: an array is hashed as its
size, whether it holds a NULL, its values, and where the NULLs are. A row with a NULL argument has no key (NULL).
A key is a STRING; stores and stages hold it as that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from sqlglot import ErrorLevel, exp
from sqlglot.errors import UnsupportedError

from sqlinfer import types
from sqlinfer.compiler.calls.fits import family, fit, is_certain
from sqlinfer.compiler.forms.base import Form, is_null
from sqlinfer.compiler.forms.spark_names import pretty_name
from sqlinfer.errors import UnsupportedQuery
from sqlinfer.relation import quote

_SALT = 0x1B03738712FAD5C9
_RANGES = {
    "TINYINT": (-(2**7), 2**7 - 1), "SMALLINT": (-(2**15), 2**15 - 1), "INT": (-(2**31), 2**31 - 1),
    "INTEGER": (-(2**31), 2**31 - 1), "BIGINT": (-(2**63), 2**63 - 1), "UTINYINT": (0, 2**8 - 1),
    "USMALLINT": (0, 2**16 - 1), "UINTEGER": (0, 2**32 - 1), "UINT": (0, 2**32 - 1), "UBIGINT": (0, 2**64 - 1),
}  # fmt: skip
_REAL_MOST = "3.4028235677973366e38"
"""Above it a DOUBLE overflows as FLOAT."""
_PLACES = "DECIMAL(38, 9)"
_NUMBER = r"^\s*[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?\s*$"
_SPECIAL = r"^\s*([+-]?(?i:inf|infinity)|(?i:nan))\s*$"
"""Texts of numbers. Spark takes ``1d`` and hexadecimal digits too, as Java does, and makes infinity of ``1e999``."""
_TRIED: dict[type[exp.Expr], str] = {
    exp.Div: "try_divide", exp.Mod: "try_mod", exp.Add: "try_add", exp.Sub: "try_subtract", exp.Mul: "try_multiply",
}  # fmt: skip
_TRIED_FUNCTIONS = {
    "element_at": "try_element_at", "to_number": "try_to_number", "to_binary": "try_to_binary",
    "parse_json": "try_parse_json",
    "make_timestamp": "try_make_timestamp", "url_decode": "try_url_decode", "parse_url": "try_parse_url",
    "make_interval": "try_make_interval", "validate_utf8": "try_validate_utf8", "try_divide": "try_divide",
    "try_mod": "try_mod", "try_add": "try_add", "try_subtract": "try_subtract", "try_multiply": "try_multiply",
    "try_element_at": "try_element_at", "get": "get",
}  # fmt: skip
_CANNOT_FAIL = (
    exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT,
    exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.And, exp.Or, exp.Not, exp.Is, exp.Case, exp.If, exp.Coalesce,
    exp.Nullif, exp.Between, exp.In, exp.DPipe, exp.Lower, exp.Upper, exp.Trim, exp.Length, exp.Concat, exp.Greatest,
    exp.Least, exp.DataType, exp.DataTypeParam, exp.Substring, exp.Left, exp.Right, exp.Reverse, exp.Ln,
    exp.Sqrt, exp.Exp, exp.Dot, exp.Distinct, exp.Var,
)  # fmt: skip
_HOLDS_VALUES = (exp.Select, exp.Alias, exp.Anonymous, exp.Array, exp.Struct, exp.PropertyEQ)
"""Where a list in parentheses is a struct whose names are seen."""


class SparkForm(Form):
    __slots__ = ()
    flat_structs: ClassVar[bool] = True
    sets: ClassVar[tuple[type[exp.Expr], ...]] = (exp.Unnest, exp.Explode, exp.Posexplode, exp.Inline)
    has_rows_as_values: ClassVar[bool] = False
    sees_outer_levels: ClassVar[bool] = False
    pure_functions: ClassVar[frozenset[str]] = frozenset(
        ("xxhash64", "hex", "lpad", "named_struct", "transform", "exists", "from_json", "cardinality", "array_repeat",
         *_TRIED.values())
    )  # fmt: skip

    # text

    def sql(self, query: exp.Expr, *, pretty: bool = False, identify: bool = True) -> str:
        query = _ordered_windows(query)
        try:
            return query.sql(dialect=self.dialect, pretty=pretty, comments=False, identify=identify,
                             unsupported_level=ErrorLevel.RAISE)  # fmt: skip
        except UnsupportedError as error:
            said = str(error).splitlines()[0] if str(error) else "this form of SQL"
            raise UnsupportedQuery(f"Spark has no form for this: {said}") from error

    def values_column(self, position: int) -> str:
        return f"col{position + 1}"

    def result_name(self, projection: exp.Expr) -> str:
        return pretty_name(projection)

    def name_fields(self, query: exp.Expr) -> None:
        """``struct(x, f(x))`` and ``(x, f(x))`` have fields x and col2."""
        for node in list(query.find_all(exp.Struct, exp.Tuple)):
            if isinstance(node, exp.Tuple) and not isinstance(node.parent, _HOLDS_VALUES):
                continue
            if any(isinstance(item, exp.Star) or item.is_star for item in node.expressions):
                continue
            for position, item in enumerate(list(node.expressions), 1):
                if not isinstance(item, (exp.Alias, exp.PropertyEQ)):
                    name = item.name if isinstance(item, (exp.Column, exp.Dot)) else f"col{position}"
                    item.replace(exp.alias_(item.copy(), name, quoted=True))
            if isinstance(node, exp.Tuple):
                node.replace(_call("struct", *node.expressions))

    # types and casts

    def data_type(self, canonical: str) -> exp.DataType:
        return exp.DataType.build(types.type_sql(canonical, self.dialect), dialect=self.dialect)

    def try_cast(self, node: exp.Expr, wanted: str) -> exp.Expr:
        return exp.TryCast(this=node.copy(), to=self.data_type(wanted), safe=True)

    def checked(self, raw: exp.Expr, wanted: str, given: str | None) -> tuple[exp.Expr, exp.Expr | None]:
        """NULL wherever a value does not fit, so that nothing more is lost."""
        known = given if is_certain(given) else None
        return (self._array if types.is_array(wanted) else self._scalar)(raw, wanted, known), None

    def nan_array(self, wanted: str) -> exp.Expr:
        nan = self.cast(exp.Literal.string("NaN"), types.element_type(wanted))
        return _call("array_repeat", nan, _number(types.array_width(wanted) or 1))

    def _scalar(self, raw: exp.Expr, wanted: str, given: str | None) -> exp.Expr:
        kind = family(given) if given is not None else "text"
        if kind == "number":
            return self._from_number(raw, wanted, str(given))
        if wanted == "DATE" and kind == "moment":
            return self.cast(raw, wanted)
        return self._from_text(raw if given == "TEXT" else self.cast(raw, "TEXT"), wanted)

    def _from_number(self, raw: exp.Expr, wanted: str, given: str) -> exp.Expr:
        if fit(given, wanted) in ("same", "safe"):
            return self.cast(raw, wanted)
        value = self.try_cast(raw, wanted)
        if wanted == "BOOLEAN":
            zero, one = (exp.EQ(this=raw.copy(), expression=_number(n)) for n in (0, 1))
            return exp.case().when(zero, exp.false()).when(one, exp.true())
        if wanted in _RANGES:
            return exp.case().when(self._is_whole(raw, value, wanted), value)
        if wanted == "REAL":
            size = _call("abs", raw)
            infinite = exp.GTE(this=size, expression=self.cast(exp.Literal.string("Infinity"), "DOUBLE"))
            small = exp.LT(this=size.copy(), expression=exp.Literal.number(_REAL_MOST))
            return exp.case().when(exp.or_(small, infinite), value)  # NaN is greater than infinity
        back = self.try_cast(self.cast(raw, wanted), given)
        inside = exp.LT(this=self.cast(raw, wanted), expression=_number(2**63))  # which comes back as 2^63 - 1
        return exp.case().when(exp.and_(inside, exp.EQ(this=back, expression=raw.copy())), value)

    def _is_whole(self, raw: exp.Expr, value: exp.Expr, wanted: str) -> exp.Expr:
        """Whether a number lies in the range of an integer type and is one. The greatest bigint is no DOUBLE."""
        least, most = _RANGES[wanted]
        return exp.and_(
            exp.GTE(this=raw.copy(), expression=_number(least)),
            exp.LT(this=raw.copy(), expression=_number(most + 1)),
            exp.EQ(this=value.copy(), expression=raw.copy()),
        )

    def _from_text(self, raw: exp.Expr, wanted: str) -> exp.Expr:
        if wanted in ("DOUBLE", "REAL"):
            value, wide = self.try_cast(raw, wanted), self.try_cast(raw, "DOUBLE")
            most = (
                exp.Literal.number(_REAL_MOST) if wanted == "REAL" else self.cast(exp.Literal.string("inf"), "DOUBLE")
            )
            finite = exp.and_(_matches(raw, _NUMBER), exp.LT(this=_call("abs", wide), expression=most))
            return exp.case().when(exp.or_(finite, _matches(raw, _SPECIAL)), value)
        if wanted in _RANGES:  # '1e3' and '1.0' are whole numbers, '1.0000000001' is none
            places = self.try_cast(raw, _PLACES)
            value = self.try_cast(places, wanted)
            same = exp.EQ(this=self.try_cast(raw, "DOUBLE"), expression=self.cast(value, "DOUBLE"))
            fits = exp.and_(_matches(raw, _NUMBER), self._is_whole(places, value, wanted), same)
            return exp.case().when(fits, value)
        return self.try_cast(raw, wanted)

    def _array(self, raw: exp.Expr, wanted: str, given: str | None) -> exp.Expr:
        """Of a text (as JSON), of what only the warehouse knows (by way of its text), or of another array."""
        source, item = "TEXT", types.element_type(wanted)
        if given is not None and types.is_array(given):
            listed, source = raw.copy(), types.element_type(given)
        else:
            text = raw if given == "TEXT" else self.cast(raw, "TEXT")
            listed = _call("from_json", text, exp.Literal.string("array<string>"))
        conditions: list[exp.Expr] = []
        if fit(source, item) in ("same", "safe"):
            value = self.cast(listed, wanted)
        else:
            value = _each("transform", listed, lambda e: self._scalar(e, item, source))
            lost = _each(
                "exists", listed, lambda e: exp.and_(exp.not_(is_null(e)), is_null(self._scalar(e, item, source)))
            )
            conditions.append(exp.not_(lost))
        width = types.array_width(wanted)
        if width is not None:
            conditions.append(exp.EQ(this=_call("cardinality", listed), expression=_number(width)))
        return exp.case().when(exp.and_(*conditions), value) if conditions else value

    # what may fail

    def tried(self, node: exp.Expr) -> exp.Expr | None:
        """There is no TRY: each operator that may fail has a form that gives NULL, anything else has none."""
        return _tried(node.copy())

    # keys

    def key(self, arguments: Sequence[tuple[exp.Expr, str]]) -> exp.Expr:
        values = [part for argument, data_type in arguments for part in _hashed(argument, data_type)]
        chains = (_call("xxhash64", *values), _call("xxhash64", _number(_SALT), *values))
        halves = [_call("lpad", _call("hex", chain), _number(16), exp.Literal.string("0")) for chain in chains]
        return exp.DPipe(this=halves[0], expression=halves[1])

    def file_stamp(self, path: exp.Expr) -> exp.Expr | None:
        return None

    # rows and structs

    def look_up(self, value: exp.Column, query: exp.Select) -> exp.Select:
        """A row that its guard leaves out has NULL beside others of the same values."""
        known = _call("any_value", value, exp.true())
        return query.select(exp.alias_(known, value.name, quoted=True), copy=False)

    def struct_type(self, fields: Mapping[str, str], canonical: str) -> exp.DataType:
        listed = ", ".join(
            f"{quote(name, self.dialect)}: {types.type_sql(kind, self.dialect)}" for name, kind in fields.items()
        )
        return exp.DataType.build(f"STRUCT<{listed}>", dialect=self.dialect)

    def struct(self, fields: Mapping[str, exp.Expr]) -> exp.Expr:
        items = [part for name, value in fields.items() for part in (exp.Literal.string(name), value)]
        there = exp.or_(*[exp.not_(is_null(value)) for value in fields.values()])
        return exp.case().when(there, _call("named_struct", *items))


def _ordered_windows(query: exp.Expr) -> exp.Expr:
    """``row_number() over ()`` wants an order."""
    if not any(map(_is_loose, query.find_all(exp.Window))):
        return query
    query = query.copy()
    for window in filter(_is_loose, query.find_all(exp.Window)):
        window.set("order", exp.Order(expressions=[exp.Ordered(this=exp.null(), nulls_first=True)]))
    return query


def _is_loose(window: exp.Window) -> bool:
    named = window.args.get("alias") or window.args.get("over") is None
    return isinstance(window.this, exp.RowNumber) and not window.args.get("order") and not named


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def _number(value: int) -> exp.Expr:
    literal = exp.Literal.number(abs(value))
    return exp.Neg(this=literal) if value < 0 else literal


def _matches(text: exp.Expr, pattern: str) -> exp.Expr:
    return exp.RegexpLike(this=text.copy(), expression=exp.Literal.string(pattern))


def _each(function: str, listed: exp.Expr, of: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """``function(listed, _e -> …)``."""
    element = exp.column("_e", quoted=True)
    return _call(function, listed, exp.Lambda(this=of(element), expressions=[exp.to_identifier("_e", quoted=True)]))


def _tried(node: exp.Expr) -> exp.Expr | None:
    holder = exp.Paren(this=node)
    for inner in reversed(list(holder.this.walk())):  # inner ones first
        changed = _one_tried(inner)
        if changed is None:
            return None
        if changed is not inner:
            inner.replace(changed)
    result: exp.Expr = holder.this
    result.pop()
    return result


def _one_tried(node: exp.Expr) -> exp.Expr | None:
    """The node itself where it cannot fail, None where it has no form."""
    if type(node) in _TRIED:
        return _call(_TRIED[type(node)], node.this.unnest(), node.expression.unnest())
    if isinstance(node, exp.Neg):
        return node if isinstance(node.this, exp.Literal) else _call("try_subtract", _number(0), node.this)
    if isinstance(node, exp.Cast):
        return exp.TryCast(this=node.this.copy(), to=node.to.copy(), safe=True)
    if isinstance(node, exp.Anonymous):
        name = _TRIED_FUNCTIONS.get(str(node.this).casefold())
        return _call(name, *node.expressions) if name else None
    return node if isinstance(node, _CANNOT_FAIL) else None


def _hashed(argument: exp.Expr, data_type: str) -> list[exp.Expr]:
    """What of one argument is hashed, one after the other."""
    if not types.is_array(data_type):
        return [exp.cast(argument.copy(), "BINARY", dialect="spark") if types.is_text(data_type) else argument.copy()]
    listed = argument.copy()
    if types.is_text(types.element_type(data_type)):
        listed = exp.cast(listed, "ARRAY<BINARY>", dialect="spark")
    with_nulls = _each("exists", argument, is_null)
    where = exp.case().when(with_nulls, _each("transform", argument, is_null))
    return [_call("cardinality", argument), with_nulls.copy(), listed, where]
