"""The one table SQL type ↔ Arrow type ↔ ONNX element type. Canonical SQL spelling is DuckDB's."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlinfer.errors import ProjectError

if TYPE_CHECKING:
    import pyarrow as pa

_FLOATS = {"REAL": "float32", "FLOAT": "float32", "DOUBLE": "float64"}
_SIGNED = {"TINYINT": "int8", "SMALLINT": "int16", "INT": "int32", "INTEGER": "int32", "BIGINT": "int64"}
_UNSIGNED = {"UTINYINT": "uint8", "USMALLINT": "uint16", "UINTEGER": "uint32", "UBIGINT": "uint64"}
_OTHER = {
    "BOOLEAN": "bool_", "TEXT": "string", "VARCHAR": "string", "BLOB": "binary", "DATE": "date32",
}  # fmt: skip
LONGEST_ARRAY = 100_000
"""Elements; DuckDB knows no longer ones, and a column of them would take gigabytes for a few rows."""
_ARROW = _FLOATS | _SIGNED | _UNSIGNED | _OTHER

ONNX_TO_SQL = {
    "float": "REAL", "double": "DOUBLE", "float16": "REAL", "int8": "TINYINT", "int16": "SMALLINT", "int32": "INT",
    "int64": "BIGINT", "uint8": "UTINYINT", "uint16": "USMALLINT", "uint32": "UINTEGER", "uint64": "UBIGINT",
    "bool": "BOOLEAN", "string": "TEXT",
}  # fmt: skip
"""ONNX element type (ONNX Runtime's name inside ``tensor(…)``) → the SQL type that holds it."""


_PLAIN = {
    **{name: name for name in (*_SIGNED, *_UNSIGNED, "REAL", "DOUBLE", "BOOLEAN", "TEXT", "BLOB", "DATE", "TIMESTAMP",
                               "TIMESTAMPTZ", "TIME", "INTERVAL", "UUID", "JSON")},
    "INTEGER": "INT", "FLOAT": "REAL", "VARCHAR": "TEXT", "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
    "HUGEINT": "INT128", "UHUGEINT": "UINT128",
}  # fmt: skip
"""DuckDB's own words for types → how they are spelled here."""
_WORDS = re.compile(r"(?:(?P<plain>[A-Z ]+)|DECIMAL\((?P<width>\d+), ?(?P<scale>\d+)\))(?P<arrays>(?:\[\d*\])*)")


def _well_known(text: str) -> str | None:
    """The spelling of a type in DuckDB's own words, without a parser: an unchanged night needs none otherwise."""
    found = _WORDS.fullmatch(text)
    if found is None:
        return None
    if found["plain"] is None:
        return f"DECIMAL({found['width']}, {found['scale']}){found['arrays']}"
    name = _PLAIN.get(found["plain"])
    return None if name is None else name + found["arrays"]


@lru_cache(maxsize=1024)
def canonical(text: str, dialect: str = "duckdb") -> str:
    """A type as the user spelt it in ``dialect`` → DuckDB's spelling.

    >>> canonical("double precision"), canonical("varchar(20)"), canonical("float[384]")
    ('DOUBLE', 'TEXT', 'REAL[384]')
    """
    known = _well_known(text) if dialect == "duckdb" else None
    return _parsed(text, dialect) if known is None else known


def _parsed(text: str, dialect: str) -> str:
    from sqlglot import exp  # on use: scoring asks for types too, and needs no SQL
    from sqlglot.errors import SqlglotError

    try:
        parsed = exp.DataType.build(text, dialect=dialect)
    except SqlglotError as error:
        raise ProjectError(f"'{text}' is not a type that {dialect} knows") from error
    if parsed.this in exp.DataType.TEXT_TYPES:
        return "TEXT"
    spelled = parsed.sql(dialect="duckdb")
    return spelled.replace("FLOAT", "REAL") if "FLOAT" in spelled and "DOUBLE" not in spelled else spelled


def of_column(text: str, dialect: str) -> str:
    """A type as the warehouse tells it, in DuckDB's spelling; one of its own, such as an enum, stays as it is.

    >>> of_column("real", "postgres"), of_column("mood", "postgres")
    ('REAL', 'mood')
    """
    try:
        return canonical(text, dialect)
    except ProjectError:
        return text


_POSTGRES = {
    "TINYINT": "smallint", "UTINYINT": "smallint", "SMALLINT": "smallint", "USMALLINT": "integer", "INT": "integer",
    "INTEGER": "integer", "UINTEGER": "bigint", "UINT": "bigint", "BIGINT": "bigint", "UBIGINT": "numeric(20)",
    "REAL": "real", "FLOAT": "real", "DOUBLE": "double precision", "BOOLEAN": "boolean", "TEXT": "text",
    "VARCHAR": "text", "BLOB": "bytea", "DATE": "date", "TIMESTAMPTZ": "TIMESTAMPTZ",
}  # fmt: skip
_SPARK = {
    "UTINYINT": "SMALLINT", "USMALLINT": "INT", "UINTEGER": "BIGINT", "UINT": "BIGINT", "UBIGINT": "DECIMAL(20, 0)",
    "REAL": "FLOAT",
}  # fmt: skip


def type_sql(data_type: str, dialect: str) -> str:
    """A canonical type in the warehouse's spelling: the narrowest of its own types that holds all values.

    >>> type_sql("REAL[384]", "postgres"), type_sql("UBIGINT", "postgres"), type_sql("TEXT", "spark")
    ('real[]', 'numeric(20)', 'STRING')
    """
    known = _well_known(data_type) if dialect == "duckdb" else None
    if known is not None:
        return known
    from sqlglot import exp

    if dialect == "spark":
        if is_array(data_type):
            return f"ARRAY<{type_sql(element_type(data_type), dialect)}>"
        return _SPARK.get(data_type) or exp.DataType.build(data_type, dialect="duckdb").sql(dialect=dialect)
    if dialect != "postgres":
        return exp.DataType.build(data_type, dialect="duckdb").sql(dialect=dialect)
    if is_array(data_type):
        return f"{type_sql(element_type(data_type), dialect).removesuffix('[]')}[]"
    if data_type.startswith("STRUCT"):
        return "jsonb"
    return _POSTGRES.get(data_type) or exp.DataType.build(data_type, dialect="duckdb").sql(dialect=dialect)


def is_array(data_type: str) -> bool:
    return data_type.endswith("]")


def element_type(data_type: str) -> str:
    """``REAL[4]`` → ``REAL``; anything else unchanged."""
    return data_type[: data_type.rindex("[")] if is_array(data_type) else data_type


def array_width(data_type: str) -> int | None:
    """``REAL[4]`` → 4, ``REAL[]`` → None."""
    inside = data_type[data_type.rindex("[") + 1 : -1] if is_array(data_type) else ""
    return int(inside) if inside else None


def is_float(data_type: str) -> bool:
    return data_type in _FLOATS


def is_integer(data_type: str) -> bool:
    return data_type in _SIGNED or data_type in _UNSIGNED or data_type in ("HUGEINT", "UHUGEINT", "INT128", "UINT128")


def is_decimal(data_type: str) -> bool:
    return data_type.startswith("DECIMAL")


def is_numeric(data_type: str) -> bool:
    """Numbers and booleans: what can stand in a packed [N,F] matrix."""
    return is_float(data_type) or is_integer(data_type) or is_decimal(data_type) or data_type == "BOOLEAN"


def is_text(data_type: str) -> bool:
    return data_type in ("TEXT", "VARCHAR") or data_type.startswith(("ENUM", "VARCHAR("))


def is_fixed_width(data_type: str) -> bool:
    """Whether equal values have equal fixed-size bytes; the others are keyed by content."""
    return data_type in _ARROW and data_type not in ("TEXT", "VARCHAR", "BLOB")


def arrow_type(data_type: str) -> pa.DataType:
    """The Arrow type of a canonical SQL type.

    Raises:
        ProjectError: the type cannot be an argument or an output.
    """
    import pyarrow as pa

    if is_array(data_type):
        inner, width = arrow_type(element_type(data_type)), array_width(data_type)
        if width is not None and width > LONGEST_ARRAY:
            raise ProjectError(f"type '{data_type}' has more elements than an array can hold ({LONGEST_ARRAY:,})")
        return pa.list_(inner, width) if width else pa.list_(inner)
    name = _ARROW.get(data_type)
    if name is None:
        raise ProjectError(f"type {data_type} cannot be an argument or an output of a function")
    return getattr(pa, name)()


def value_bytes(data_type: str) -> int:
    """Bytes of a value, roughly."""
    items = array_width(data_type)
    if items:
        return 8 * items
    return {"BLOB": 65_536, "TEXT": 64, "VARCHAR": 64}.get(data_type, 256 if data_type.endswith("]") else 8)
