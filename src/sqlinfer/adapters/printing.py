"""Arrow values of any warehouse as text: no digit less, infinite dates and wide integers too. DuckDB prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    import pyarrow as pa


def printed(table: pa.Table) -> pa.Table:
    """Every column as text, NULL as NULL."""
    if not table.num_columns:
        return table
    names = [f"c{position}" for position in range(table.num_columns)]
    with duckdb.connect() as connection:
        connection.register("shown", table.rename_columns(names))
        text = connection.sql("SELECT CAST(COLUMNS(*) AS VARCHAR) FROM shown").to_arrow_table()
    return text.rename_columns(table.column_names)
