"""The SQL function that tells files apart which rows name: path → size and time of change, over Arrow batches.

A file that cannot be found or read has another stamp in every run, so that nothing is remembered of it. DuckDB's own
access to files stays off; the function opens nothing, and gives no more than text that goes into a key.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlinfer.spec.function import FILE_STAMP

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def register(connection: DuckDBPyConnection, root: Path) -> None:
    """Make it callable on the connection's DuckDB. Relative paths are taken from ``root``."""
    missing = f"missing in {uuid4().hex}"

    def stamps(paths: Any) -> Any:
        from sqlinfer.arrays import from_texts

        return from_texts([stamp(root, path) or missing for path in paths.to_pylist()])

    text = connection.type("VARCHAR")
    connection.create_function(FILE_STAMP, stamps, [text], text, type="arrow")  # type: ignore[call-overload]


def is_asked_for(sql: str) -> bool:
    return FILE_STAMP in sql or FILE_STAMP.upper() in sql


def stamp(root: Path, path: str) -> str | None:
    """None where it is no regular file that can be read."""
    place = os.path.join(root, path)
    try:
        info = os.stat(place)
        readable = stat.S_ISREG(info.st_mode) and os.access(place, os.R_OK)
    except (OSError, ValueError):
        return None
    return f"{info.st_size} {info.st_mtime_ns}" if readable else None
