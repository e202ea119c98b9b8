"""PostgreSQL, 14 and later: casts behind a guard, keys as uuid, structs as flat columns that a query reads as jsonb.

Keys: two chains of the server's seeded 64-bit hashes, ``hash(b, hash(a, seed) # salt)``. A float of zero hashes to its
seed, so a salt goes between the steps, and a bigint hashes to 32 bits, so its high half is a step of its own. Arrays
and bytea, whose hashes have no independent seeds, are hashed by md5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

import sqlglot
from sqlglot import ErrorLevel, exp
from sqlglot.errors import UnsupportedError

from sqlinfer import types
from sqlinfer.compiler.calls.canonical import FIELD
from sqlinfer.compiler.calls.fits import family, fit, is_certain
from sqlinfer.compiler.forms.base import Form, collated, is_null
from sqlinfer.compiler.forms.postgres_names import figured_name
from sqlinfer.errors import UnsupportedQuery

_SEEDS = (0x2545F4914F6CDD1D, 0x1B03738712FAD5C9)
_SALTS = (0x1E3779B97F4A7C15, 0x42B2AE3D27D4EB4F)
_LARGEST_BELOW_2_63 = 2**63 - 1024
"""Of the DOUBLE values."""
_REAL_MOST, _REAL_LEAST = "3.4028235677973366e38", "7.006492321624086e-46"
"""Above the first a DOUBLE overflows as REAL; below the second it becomes zero."""
_RANGES = {
    "TINYINT": (-(2**7), 2**7 - 1), "SMALLINT": (-(2**15), 2**15 - 1), "INT": (-(2**31), 2**31 - 1),
    "INTEGER": (-(2**31), 2**31 - 1), "BIGINT": (-(2**63), 2**63 - 1), "UTINYINT": (0, 2**8 - 1),
    "USMALLINT": (0, 2**16 - 1), "UINTEGER": (0, 2**32 - 1), "UINT": (0, 2**32 - 1), "UBIGINT": (0, 2**64 - 1),
}  # fmt: skip
_NUMBER = r"[+-]?(\d{1,200}(\.\d{0,200})?|\.\d{1,200})([eE][+-]?\d{1,2})?"
_FLOAT = rf"({_NUMBER}|[+-]?(inf|infinity|nan))"
_PATTERNS = {
    "numeric": rf"^\s*{_NUMBER}\s*$",
    "double precision": rf"^\s*{_FLOAT}\s*$",
    "boolean": r"^\s*(t|tr|tru|true|y|ye|yes|on|1|f|fa|fal|fals|false|n|no|of|off|0)\s*$",
    "bytea": r"^\\x([0-9a-f]{2})*$",
    "double precision[]": rf"^\s*\{{\s*({_FLOAT}(\s*,\s*{_FLOAT})*)?\s*\}}\s*$",
}
"""Texts that the type is sure to take, for servers before 16; fewer than it takes."""
_CANNOT_FAIL = (
    exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT,
    exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.And, exp.Or, exp.Not, exp.Is, exp.Case, exp.If, exp.Coalesce,
    exp.Nullif, exp.Between, exp.In, exp.DPipe, exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.Lower, exp.Upper, exp.Trim,
    exp.Length, exp.Concat, exp.Abs, exp.Greatest, exp.Least,
)  # fmt: skip
"""Of values in the range of their type."""


class PostgresForm(Form):
    __slots__ = ()
    row_id: ClassVar[str] = "ctid"
    flat_structs: ClassVar[bool] = True
    folds_case: ClassVar[bool] = False
    sets: ClassVar[tuple[type[exp.Expr], ...]] = (exp.Unnest, exp.Explode, exp.GenerateSeries)
    names_follow_alias: ClassVar[bool] = True
    has_rows_as_values: ClassVar[bool] = False

    # text

    def sql(self, query: exp.Expr, *, pretty: bool = False, identify: bool = True) -> str:
        query = _series_as_rows(self._without_fields(query))
        try:
            return query.sql(dialect=self.dialect, pretty=pretty, comments=False, identify=identify,
                             unsupported_level=ErrorLevel.RAISE)  # fmt: skip
        except UnsupportedError as error:
            said = str(error).splitlines()[0] if str(error) else "this form of SQL"
            raise UnsupportedQuery(f"PostgreSQL has no form for this: {said}") from error

    def _without_fields(self, query: exp.Expr) -> exp.Expr:
        """Fields of structs that are values by now, and no longer columns of their own."""
        if not any(FIELD in dot.meta for dot in query.find_all(exp.Dot)):
            return query
        query = query.copy()
        for dot in [d for d in query.find_all(exp.Dot) if FIELD in d.meta]:
            dot.replace(self.field(dot.this, *dot.meta[FIELD]))
        return query

    def values_column(self, position: int) -> str:
        return f"column{position + 1}"

    def result_name(self, projection: exp.Expr) -> str:
        return figured_name(projection)

    # types and casts

    def data_type(self, canonical: str) -> exp.DataType:
        return exp.DataType.build(types.type_sql(canonical, self.dialect), dialect=self.dialect)

    def canonical(self, data_type: str) -> str:
        """``character(3)`` is no text as it is: it is read with its spaces, and cast without them."""
        padded = re.fullmatch(r"(?:bpchar|char|character)\b(?!\s*varying).*?((?:\[\d*\])*)", data_type.strip(), re.I)
        return f"CHAR{padded[1]}" if padded else Form.canonical(self, data_type)

    def cast(self, node: exp.Expr, wanted: str, given: str | None = None) -> exp.Expr:
        """A boolean becomes a number by way of an integer."""
        item = types.element_type(given) if given else ""
        if item == "BOOLEAN" and family(types.element_type(wanted)) == "number" and wanted != given:
            node = Form.cast(self, node, "INT[]" if types.is_array(wanted) else "INT")
        return Form.cast(self, node, wanted)

    def checked(self, raw: exp.Expr, wanted: str, given: str | None) -> tuple[exp.Expr, exp.Expr | None]:
        """NULL wherever a value does not fit, so that nothing more is lost."""
        if given is not None and given.startswith("VECTOR"):
            raw, given = Form.cast(self, raw, "REAL[]"), "REAL[]"
        known = given if is_certain(given) else None
        return (self._array if types.is_array(wanted) else self._scalar)(raw, wanted, known), None

    def nan_array(self, wanted: str) -> exp.Expr:
        items = ", ".join(["NaN"] * (types.array_width(wanted) or 1))
        return self.cast(exp.Literal.string(f"{{{items}}}"), wanted)

    def _scalar(self, raw: exp.Expr, wanted: str, given: str | None) -> exp.Expr:
        kind = family(given) if given is not None else "text"
        if kind == "number":
            return self._number(raw, wanted, str(given))
        if wanted == "DATE" and kind == "moment":
            return self.cast(raw, wanted)
        if wanted == "BLOB" and given == "UUID":
            return exp.Anonymous(this="uuid_send", expressions=[raw.copy()])
        return self._from_text(raw if given == "TEXT" else self.cast(raw, "TEXT"), wanted)

    def _number(self, raw: exp.Expr, wanted: str, given: str) -> exp.Expr:
        if fit(given, wanted) in ("same", "safe"):
            return self.cast(raw, wanted, given)
        if wanted == "BOOLEAN":
            zero, one = (exp.EQ(this=raw.copy(), expression=exp.Literal.number(n)) for n in (0, 1))
            return exp.case().when(zero, exp.false()).when(one, exp.true())
        if wanted in _RANGES:
            return exp.case().when(self._is_in_range(raw, wanted, given), self.cast(raw, wanted))
        value = self.cast(raw, wanted)
        return (
            exp.case()
            .when(_as_real(raw) if wanted == "REAL" else self._is_exact(raw), value)
            .else_(_when_tiny(raw, value) if wanted == "REAL" else exp.null())
        )

    def _is_in_range(self, raw: exp.Expr, wanted: str, given: str) -> exp.Expr:
        least, most = _RANGES[wanted]
        if types.is_integer(given):
            return exp.Between(this=raw.copy(), low=_number(least), high=_number(most))
        whole = exp.EQ(this=raw.copy(), expression=exp.Anonymous(this="trunc", expressions=[raw.copy()]))
        return exp.and_(
            exp.GTE(this=raw.copy(), expression=_number(least)),
            exp.LT(this=raw.copy(), expression=_number(most + 1)),  # the greatest bigint is no DOUBLE
            whole,
        )

    def _is_exact(self, raw: exp.Expr) -> exp.Expr:
        """Whether a bigint is a DOUBLE."""
        bound = _number(_LARGEST_BELOW_2_63)
        inside = exp.Between(this=raw.copy(), low=exp.Neg(this=bound), high=bound.copy())
        back = Form.cast(self, Form.cast(self, raw, "DOUBLE"), "BIGINT")
        return exp.case().when(inside, exp.EQ(this=back, expression=raw.copy()))

    def _from_text(self, raw: exp.Expr, wanted: str) -> exp.Expr:
        if wanted in _RANGES:  # '1e3' and '1.0' are whole numbers
            number = exp.cast(raw.copy(), "numeric", dialect=self.dialect)
            whole = exp.case().when(self._is_in_range(number, wanted, "DECIMAL"), self.cast(number, wanted))
            return exp.case().when(self._takes(raw, "numeric"), whole)
        if wanted == "REAL" and not self._asks_the_server:
            double = Form.cast(self, raw, "DOUBLE")
            return exp.case().when(self._takes(raw, "double precision"), self._number(double, "REAL", "DOUBLE"))
        name = types.type_sql(wanted, self.dialect)
        return exp.case().when(self._takes(raw, name), Form.cast(self, raw, wanted))

    @property
    def _asks_the_server(self) -> bool:
        """``pg_input_is_valid`` came with 16."""
        return self.version >= (16,)

    def _takes(self, text: exp.Expr, data_type: str) -> exp.Expr:
        """Whether the type takes the text."""
        if self._asks_the_server:
            return exp.Anonymous(this="pg_input_is_valid", expressions=[text.copy(), exp.Literal.string(data_type)])
        if data_type == "date":
            return _is_iso_date(text)
        pattern = _PATTERNS.get("double precision[]" if data_type in ("real[]",) else data_type)
        if pattern is None:
            raise UnsupportedQuery(
                f"a text cannot be checked to be a {data_type} before PostgreSQL 16",
                hint="cast it in the query, or declare the argument as text",
            )
        return exp.RegexpILike(this=text.copy(), expression=exp.Literal.string(pattern))

    def _array(self, raw: exp.Expr, wanted: str, given: str | None) -> exp.Expr:
        """Of a text, of what only the server knows (by way of its text), or of another array."""
        conditions: list[exp.Expr] = []
        if given is None or not types.is_array(given):
            text = raw if given == "TEXT" else self.cast(raw, "TEXT")
            conditions.append(self._takes(text, types.type_sql(wanted, self.dialect)))
            value = Form.cast(self, text, wanted)
            measured = value
        else:
            conditions += [exp.not_(is_null(raw)), _is_flat(raw)]
            value, measured = self._elements(raw, wanted, given, conditions), raw
        width = types.array_width(wanted)
        if width is not None:
            length = exp.Anonymous(this="cardinality", expressions=[measured.copy()])
            right = exp.EQ(this=length, expression=_number(width))
            if measured is value:
                return exp.case().when(exp.and_(*conditions), exp.case().when(right, value))
            conditions.append(right)
        return exp.case().when(exp.and_(*conditions), value)

    def _elements(self, raw: exp.Expr, wanted: str, given: str, conditions: list[exp.Expr]) -> exp.Expr:
        source, item = types.element_type(given), types.element_type(wanted)
        if fit(source, item) in ("same", "safe"):
            return self.cast(raw, wanted, given)
        element = exp.column("v", table="_e", quoted=True)
        one = self._scalar(element, item, source)
        listed = exp.Anonymous(this="unnest", expressions=[raw.copy()])
        misfits = f'SELECT 1 FROM _listed AS "_e"("v") WHERE NOT "_e"."v" IS NULL AND {_sql(one)} IS NULL'
        conditions.append(exp.not_(exp.Exists(this=_over(misfits, listed))))
        ordered = f'SELECT {_sql(one)} FROM _listed WITH ORDINALITY AS "_e"("v", "n") ORDER BY "_e"."n"'
        return exp.Array(expressions=[_over(ordered, listed)])

    # what may fail

    def tried(self, node: exp.Expr) -> exp.Expr | None:
        """There is no TRY: what may only fail in a division is guarded, anything else has no form."""
        if any(not isinstance(n, (*_CANNOT_FAIL, exp.Div, exp.Mod)) for n in node.walk()):
            return None
        guarded = node.copy()
        for division in list(guarded.find_all(exp.Div, exp.Mod)):
            by = division.expression
            by.replace(exp.Nullif(this=by.copy(), expression=exp.Literal.number(0)))
        return guarded

    # keys

    def key(self, arguments: Sequence[tuple[exp.Expr, str]]) -> exp.Expr:
        if len(arguments) == 1 and _is_digested(arguments[0][1]):
            return exp.cast(_digest(*arguments[0]), "uuid", dialect=self.dialect)
        high, low = (self._chain(arguments, seed) for seed in _SEEDS)
        sent = [exp.Anonymous(this="int8send", expressions=[half]) for half in (high, low)]
        both = exp.DPipe(this=sent[0], expression=sent[1])
        text = exp.Anonymous(this="encode", expressions=[both, exp.Literal.string("hex")])
        return exp.cast(text, "uuid", dialect=self.dialect)

    def _chain(self, arguments: Sequence[tuple[exp.Expr, str]], seed: int) -> exp.Expr:
        chained: exp.Expr = _number(seed)
        for position, (argument, data_type) in enumerate(arguments):
            if position:
                salt = _number((_SALTS[0] * (position + 1) + _SALTS[1]) % 2**63)
                chained = exp.BitwiseXor(this=chained, expression=salt)
            chained = _hashed(argument, data_type, chained)
        return chained

    def file_stamp(self, path: exp.Expr) -> exp.Expr | None:
        return None

    # rows and structs

    def look_up(self, value: exp.Column, query: exp.Select) -> exp.Select:
        """``any_value`` came with 16. A row that its guard leaves out has NULL beside others of the same values."""
        there = exp.not_(is_null(value.copy()))
        return query.select(value, copy=False).where(there, copy=False).limit(1, copy=False)

    def exact(self, value: exp.Column, given: str | None) -> exp.Expr:
        """Types of extensions have equalities of their own."""
        plain = given is not None and is_certain(given) and family(types.element_type(given)) != "text"
        return value if plain else collated(exp.cast(value.copy(), "text", dialect=self.dialect))

    def struct_type(self, fields: Mapping[str, str], canonical: str) -> exp.DataType:
        return exp.DataType.build("jsonb", dialect=self.dialect)

    def struct(self, fields: Mapping[str, exp.Expr]) -> exp.Expr:
        there = exp.Anonymous(this="num_nonnulls", expressions=[value.copy() for value in fields.values()])
        items = [part for name, value in fields.items() for part in (exp.Literal.string(name), value.copy())]
        built = exp.Anonymous(this="jsonb_build_object", expressions=items)
        return exp.case().when(exp.GT(this=there, expression=exp.Literal.number(0)), built)

    def field(self, struct: exp.Expr, name: str, data_type: str) -> exp.Expr:
        """A field of a struct that is a value by now."""
        if types.is_array(data_type):
            entry = _entry(struct, name, exp.JSONExtract)
            listed = exp.Anonymous(this="jsonb_array_elements_text", expressions=[entry])
            item = self.cast(exp.column("v", table="_e", quoted=True), types.element_type(data_type))
            query = f'SELECT {_sql(item)} FROM _listed WITH ORDINALITY AS "_e"("v", "n") ORDER BY "_e"."n"'
            array = exp.Array(expressions=[_over(query, listed)])
            return exp.case().when(exp.not_(is_null(entry)), array)
        return self.cast(_entry(struct, name, exp.JSONExtractScalar), data_type)


def _series_as_rows(query: exp.Expr) -> exp.Expr:
    """``unnest(generate_series(…))`` → ``generate_series(…)``, which gives rows and no list."""
    found = [u for u in query.find_all(exp.Unnest) if isinstance(u.parent, (exp.From, exp.Join))
             and len(u.expressions) == 1 and isinstance(u.expressions[0], exp.GenerateSeries)]  # fmt: skip
    if not found:
        return query
    query = query.copy()
    for unnest in list(query.find_all(exp.Unnest)):
        series = unnest.expressions[0] if len(unnest.expressions) == 1 else None
        if isinstance(series, exp.GenerateSeries) and isinstance(unnest.parent, (exp.From, exp.Join)):
            unnest.replace(exp.Table(this=series.copy(), alias=unnest.args.get("alias")))
    return query


def _number(value: int) -> exp.Expr:
    literal = exp.Literal.number(abs(value))
    return exp.Neg(this=literal) if value < 0 else literal


def _sql(node: exp.Expr) -> str:
    return node.sql(dialect="postgres", identify=True)


def _over(query: str, listed: exp.Expr) -> exp.Expr:
    """The query with its relation ``_listed`` exchanged for a function that gives rows."""
    return sqlglot.parse_one(query.replace("_listed", _sql(listed)), dialect="postgres")


def _entry(struct: exp.Expr, name: str, kind: type[exp.Binary]) -> exp.Expr:
    arrow = "->" if kind is exp.JSONExtract else "->>"
    return sqlglot.parse_one(f"(x {arrow} {exp.Literal.string(name).sql()})", dialect="postgres").transform(
        lambda node: struct.copy() if isinstance(node, exp.Column) else node
    )


def _as_real(raw: exp.Expr) -> exp.Expr:
    """Whether a DOUBLE is neither too large nor too small for a REAL. NaN is greater than all numbers."""
    size = exp.Anonymous(this="abs", expressions=[raw.copy()])
    most, least = (exp.Literal.number(bound) for bound in (_REAL_MOST, _REAL_LEAST))
    words = [exp.cast(exp.Literal.string(word), "double precision", dialect="postgres")
             for word in ("Infinity", "-Infinity", "NaN")]  # fmt: skip
    fits = exp.and_(exp.LT(this=size, expression=most), exp.GT(this=size.copy(), expression=least))
    special = exp.In(this=raw.copy(), expressions=[exp.Literal.number(0), *words])
    return exp.or_(fits, special)


def _when_tiny(raw: exp.Expr, value: exp.Expr) -> exp.Expr:
    size = exp.Anonymous(this="abs", expressions=[raw.copy()])
    tiny = exp.LTE(this=size, expression=exp.Literal.number(_REAL_LEAST))
    zero = exp.cast(exp.Literal.number(0), "real", dialect="postgres")
    return exp.case().when(tiny, zero)


def _is_flat(raw: exp.Expr) -> exp.Expr:
    """An empty array has no dimensions."""
    dimensions = exp.Anonymous(this="array_ndims", expressions=[raw.copy()])
    return exp.EQ(this=exp.func("coalesce", dimensions, exp.Literal.number(1)), expression=exp.Literal.number(1))


def _is_iso_date(text: exp.Expr) -> exp.Expr:
    """``2024-02-30`` looks like a date: the day is compared with the last one of the month."""
    shape = exp.Literal.string(r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")
    x = _sql(text)
    last = f"extract(day from (date_trunc('month', cast(left({x}, 8) || '01' as date)) + interval '1 month - 1 day'))"
    day = sqlglot.parse_one(f"cast(right({x}, 2) as int) <= {last}", dialect="postgres")
    year = sqlglot.parse_one(f"left({x}, 4) <> '0000'", dialect="postgres")
    looks = exp.RegexpLike(this=text.copy(), expression=shape)
    return exp.case().when(exp.and_(looks, year), day).else_(exp.false())


def _is_digested(data_type: str) -> bool:
    return types.is_array(data_type) or data_type == "BLOB"


def _digest(argument: exp.Expr, data_type: str) -> exp.Expr:
    """md5 as text. The binary form of texts depends on the client's encoding, so they are taken as text."""
    if data_type == "BLOB":
        content: exp.Expr = argument.copy()
    elif types.is_text(types.element_type(data_type)):
        content = exp.cast(argument.copy(), "text")
    else:
        content = exp.Anonymous(this="array_send", expressions=[argument.copy()])
    return exp.Anonymous(this="md5", expressions=[content])


def _hashed(argument: exp.Expr, data_type: str, seed: exp.Expr) -> exp.Expr:
    if data_type == "BIGINT":
        low = exp.Anonymous(this="hashint8extended", expressions=[argument.copy(), seed])
        shifted = exp.BitwiseRightShift(this=argument.copy(), expression=exp.Literal.number(32))
        high = exp.cast(exp.paren(shifted), "int")
        return exp.Anonymous(this="hashint4extended", expressions=[high, low])
    if data_type == "UINTEGER":
        return exp.Anonymous(this="hashint8extended", expressions=[argument.copy(), seed])
    if types.is_float(data_type):
        return exp.Anonymous(this="hashfloat8extended", expressions=[argument.copy(), seed])
    if (types.is_integer(data_type) and data_type != "UBIGINT") or data_type == "BOOLEAN":
        whole = argument.copy() if data_type in ("INT", "INTEGER") else exp.cast(argument.copy(), "int")
        return exp.Anonymous(this="hashint4extended", expressions=[whole, seed])
    if data_type == "DATE":
        days = exp.Sub(this=argument.copy(), expression=exp.cast(exp.Literal.string("2000-01-01"), "date"))
        return exp.Anonymous(this="hashint4extended", expressions=[days, seed])
    text = _digest(argument, data_type) if _is_digested(data_type) else exp.cast(argument.copy(), "text")
    if types.is_text(data_type):
        text = argument.copy()
    return exp.Anonymous(this="hashtextextended", expressions=[collated(text), seed])
