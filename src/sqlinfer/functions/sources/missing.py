"""Missing texts as a library or code takes them: ``on_null: nan`` brings them as a text that nobody writes."""

from __future__ import annotations

import pyarrow as pa

from sqlinfer.spec.function import MISSING_TEXT


def with_missing(rows: pa.RecordBatch, names: frozenset[str]) -> pa.RecordBatch:
    """NULL again in these columns, where they are texts. Numbers that are missing stay NaN."""
    if not names:
        return rows
    import pyarrow.compute as pc

    columns = [
        pc.if_else(pc.equal(column, MISSING_TEXT), None, column) if name in names and pa.types.is_string(column.type)
        else column
        for name, column in zip(rows.schema.names, rows.columns, strict=True)
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, names=rows.schema.names)
