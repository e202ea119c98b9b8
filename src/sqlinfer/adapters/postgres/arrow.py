"""What the driver gives in Arrow → ordinary Arrow types. uuid and json become text, numeric a decimal or a double."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlinfer.relation import quote

if TYPE_CHECKING:
    import pyarrow as pa

_WIDEST = 76
"""Digits of Arrow's widest decimal."""
_NUMERIC, _OPAQUE, _UUID = "numeric", "arrow.opaque", "arrow.uuid"
_TYPMOD = b"POSTGRESQL:typmod"


def values(column: pa.ChunkedArray) -> Sequence[Any]:
    """As Python values: a ``Decimal`` for numeric, text for uuid and json."""
    found: list[Any] = column.to_pylist()
    if _name(column.type) == _NUMERIC:
        return [None if value is None else Decimal(value) for value in found]
    return [str(value) if value is not None else None for value in found] if _name(column.type) == _UUID else found


def plain_schema(schema: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([pa.field(field.name, _plain_type(field)) for field in schema])


def plain_batches(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """``schema``: what ``plain_schema`` made of that of the batches."""
    import pyarrow as pa

    for batch in batches:
        columns = [_as(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def readable(sql: str, schema: pa.Schema) -> str:
    """The query with columns as text whose type has no form in Arrow: enums, ranges, composite types.

    ``schema``: of the query as the driver tells it.
    """
    strange = [_is_strange(field.type) for field in schema]
    if not any(strange):
        return sql
    names = [f"c{number}" for number in range(len(schema))]
    items = [
        f"{f'{name}::text' if odd else name} AS {quote(field.name)}"
        for name, odd, field in zip(names, strange, schema, strict=True)
    ]
    return f"SELECT {', '.join(items)} FROM (\n{sql}\n) AS q({', '.join(names)})"


def _name(kind: pa.DataType) -> str:
    """Of an extension type; of what has no Arrow type PostgreSQL's own."""
    name = str(getattr(kind, "extension_name", ""))
    return str(kind.type_name) if name == _OPAQUE else name


def _is_strange(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_list(kind):
        return _is_strange(kind.value_type)
    return pa.types.is_struct(kind) or (getattr(kind, "extension_name", "") == _OPAQUE and _name(kind) != _NUMERIC)


def _plain_type(field: pa.Field) -> pa.DataType:
    import pyarrow as pa

    kind = field.type
    if pa.types.is_list(kind):
        return pa.list_(_plain_type(kind.value_field))
    match _name(kind):
        case "numeric":
            return _decimal_type(field)
        case "arrow.uuid" | "arrow.json":
            return pa.string()
        case "":
            return kind
        case _:
            return kind.storage_type


def _decimal_type(field: pa.Field) -> pa.DataType:
    """numeric(p, s) is a decimal; one without limits has any number of digits in each row."""
    import pyarrow as pa

    modifier = int((field.metadata or {}).get(_TYPMOD, b"-1"))
    precision, scale = (modifier - 4) >> 16 & 0xFFFF, (modifier - 4) & 0x7FF
    if modifier < 4 or precision > _WIDEST or scale > precision:
        return pa.float64()
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if column.type == kind:
        return column
    if pa.types.is_list(column.type):
        items = _as(column.values, kind.value_type)
        return pa.ListArray.from_arrays(column.offsets, items, type=kind, mask=column.is_null())
    if _name(column.type) == _UUID:
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    storage = column.storage if isinstance(column, pa.ExtensionArray) else column
    if pa.types.is_decimal(kind):  # Arrow does not read NaN as a decimal, which PostgreSQL's numeric knows
        import pyarrow.compute as pc

        storage = pc.if_else(pc.equal(storage, "NaN"), pa.scalar(None, storage.type), storage)
    return storage.cast(kind)
