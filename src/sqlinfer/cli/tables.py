"""Tables for people and programs. In: an Arrow table or rows. Out: text (or bytes for Parquet) for stdout."""

from __future__ import annotations

import base64
import datetime
import decimal
import io
import json
import math
import sys
import uuid
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from sqlinfer.errors import UsageError
from sqlinfer.scrub import scrub
from sqlinfer.shown import one_line, shown

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("table", "json", "csv", "parquet")
WIDEST = 60


def write_table(table: pa.Table, form: str) -> None:
    """Write a result to stdout in one of ``FORMATS``."""
    if form == "table":
        sys.stdout.write(_aligned(table) + "\n")
    elif form == "json":
        rows = _rows(exact(table))
        sys.stdout.write(json.dumps([plain(row) for row in rows], indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.flush()
        write_binary(table, form, sys.stdout.buffer)


def _aligned(table: pa.Table) -> str:
    """Values as the warehouse prints them."""
    import pyarrow as pa

    from sqlinfer.adapters.printing import printed

    is_numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null)
    numeric = [any(test(column.type) for test in is_numeric) for column in table.schema]
    columns = [column.to_pylist() for column in printed(table).columns]
    for position, column in enumerate(table.schema):
        if pa.types.is_floating(column.type):  # 5.0 is 5: a table for people, and no digit is lost
            columns[position] = [value and value.removesuffix(".0") for value in columns[position]]
    return render(table.column_names, zip(*columns, strict=True), numeric)


def exact(table: pa.Table) -> pa.Table:
    """Moments as the warehouse prints them, which Python has not all, and single floats without digits of a double."""
    import pyarrow as pa

    from sqlinfer.adapters.printing import printed

    text = None
    for position, column in enumerate(table.schema):
        is_float = pa.types.is_float32(column.type) or pa.types.is_float16(column.type)
        if is_float or pa.types.is_temporal(column.type):
            text = printed(table) if text is None else text
            values = text.column(position)
            table = table.set_column(position, column.name, values.cast(pa.float64()) if is_float else values)
    return table


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    return table.rename_columns(numbered(table.column_names)).to_pylist()  # type: ignore[no-any-return]


def numbered(names: Sequence[str]) -> list[str]:
    """Names as a table would have them where a result repeats one.

    >>> numbered(["id", "p", "ID", "id_1"])
    ['id', 'p', 'ID_1', 'id_1_1']
    """
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        number, free = 0, name
        while free.casefold() in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free.casefold())
        found.append(free)
    return found


def write_binary(table: pa.Table, form: str, sink: BinaryIO) -> None:
    import pyarrow as pa

    if form == "csv":
        from pyarrow import csv

        buffer = io.BytesIO()
        csv.write_csv(flatten(exact(table)), pa.PythonFile(buffer, mode="w"))
        text = scrub(buffer.getvalue().decode())
        sink.write((shown(text) if sink.isatty() else text).encode())
    else:
        from pyarrow import parquet

        if sink.isatty():
            raise UsageError("Parquet is binary and stdout is a terminal", hint="add > rows.parquet")
        buffer = pa.BufferOutputStream()
        named = table.rename_columns(numbered(table.column_names)).replace_schema_metadata(None)
        parquet.write_table(named, buffer)
        sink.write(buffer.getvalue())
    sink.flush()


def flatten(table: pa.Table) -> pa.Table:
    """Nested columns as JSON text and bytes as the warehouse prints them, because CSV has neither."""
    import pyarrow as pa

    from sqlinfer.adapters.printing import printed
    from sqlinfer.arrays import from_texts

    for position, column in enumerate(table.schema):
        if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
            table = table.set_column(position, column.name, printed(table.select([position])).column(0))
        if pa.types.is_nested(column.type):
            text = [None if v is None else json.dumps(plain(v)) for v in table.column(position).to_pylist()]
            table = table.set_column(position, column.name, from_texts(text))
    return table


def plain(value: Any) -> Any:
    """A value as JSON can say it: exact text for decimals and times, base64 for bytes, null for NaN."""
    match value:
        case dict():
            return {str(key): plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            return base64.b64encode(value).decode()
        case decimal.Decimal() | datetime.timedelta() | uuid.UUID():
            return str(value)
        case datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return value


def render(names: Sequence[str], rows: Iterable[Iterable[Any]], numeric: Sequence[bool] | None = None) -> str:
    """An aligned table as dbt shows one, numbers to the right.

    >>> print(render(["id", "score"], [["a", 0.25], ["bc", None]]))
    | id | score |
    | -- | ----- |
    | a  |  0.25 |
    | bc |       |
    """
    body = [list(row) for row in rows]
    cells = [[show(value) for value in row] for row in body]
    names = [show(name) for name in names]
    numeric = numeric or [all(isinstance(row[i], int | float | None) for row in body) for i in range(len(names))]
    widths = [max(len(name), 2, *(len(row[i]) for row in cells)) for i, name in enumerate(names)]
    align = [str.rjust if right else str.ljust for right in numeric]
    lines = [
        "| " + " | ".join(name.ljust(width) for name, width in zip(names, widths, strict=True)) + " |",
        "| " + " | ".join("-" * width for width in widths) + " |",
    ]
    for row in cells:
        padded = (put(cell, width) for put, cell, width in zip(align, row, widths, strict=True))
        lines.append("| " + " | ".join(padded) + " |")
    return "\n".join(lines)


def show(value: Any) -> str:
    """One cell: short, on one line, NULL empty."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            text = repr(value)
        case dict() | list() | bytes():
            text = json.dumps(plain(value), ensure_ascii=False)
        case _:
            text = str(value)
    return one_line(scrub(text), WIDEST)  # masked before it is cut
