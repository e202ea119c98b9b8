"""Functions of a DuckDB connection: whether one is there, and a macro of our own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlinfer.relation import quote


def has_function(connection: Any, name: str) -> bool:
    """``connection`` is a ``duckdb.DuckDBPyConnection``."""
    return bool(connection.execute("SELECT 1 FROM duckdb_functions() WHERE function_name = ?", [name]).fetchall())


def create_macro(name: str, parameters: Iterable[str], body: str) -> str:
    """``parameters``: SQL of their names."""
    return f"CREATE OR REPLACE TEMP MACRO {quote(name)}({', '.join(parameters)}) AS {body}"
