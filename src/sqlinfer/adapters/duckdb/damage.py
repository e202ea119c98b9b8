"""Blocks of a database file that do not read back: how the driver says it, and which file it is."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from sqlinfer.relation import Relation, literal, quote

_SIGNS = re.compile(r"checksum|corrupt|has been invalidated|could not read enough bytes", re.IGNORECASE)


def looks_damaged(error: BaseException) -> bool:
    return _SIGNS.search(str(error)) is not None


def is_damaged(path: Path) -> bool:
    """Whether some row of some table of the file cannot be read. Reads all of it; nothing may have it open."""
    with duckdb.connect(":memory:") as connection:
        try:
            connection.execute(f"ATTACH {literal(str(path))} AS looked_at (READ_ONLY)")
            tables = connection.execute(
                "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'looked_at'"
            ).fetchall()
            for schema, name in tables:
                table = Relation(name, schema, "looked_at").sql()
                connection.execute(f"SELECT bit_xor(hash({quote('t')})) FROM {table} AS t").fetchall()
        except duckdb.Error as error:
            return looks_damaged(error)
    return False
