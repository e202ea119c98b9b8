"""DuckDB's parse trees of many texts. Nothing is bound or run, and no database is opened."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any


def trees(sqls: Iterable[str]) -> list[Any]:
    """The statements of each text; None where DuckDB serialises none: it does not parse, or is a PIVOT."""
    import duckdb

    found: list[Any] = []
    with duckdb.connect(":memory:", config={"threads": 1, "enable_external_access": False}) as connection:
        for sql in sqls:
            said: Any = {}
            with suppress(duckdb.Error, RecursionError, UnicodeError):
                row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
                said = json.loads(row[0]) if row else {}
            found.append(said.get("statements"))
    return found
