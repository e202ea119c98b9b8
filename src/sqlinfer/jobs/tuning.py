"""Bounds of a run that are not part of the project: environment variables and ``--memory-limit``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlinfer import numerals
from sqlinfer.errors import UsageError

ROWS, SECONDS, LARGE = "SQLINFER_CHUNK_ROWS", "SQLINFER_CHUNK_SECONDS", "SQLINFER_LARGE_ROWS"
APART = 250 << 20
"""What a run takes besides its data: libraries, a session, what allocators keep."""
LEAST = 128 << 20
"""With less the database fails on tables of a few million rows."""
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
          "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}  # fmt: skip


def chunk_bounds(env: Mapping[str, str], memory_limit: str | None) -> dict[str, Any]:
    """Fields of ``RunEnvironment`` that differ from their defaults.

    ``SQLINFER_CHUNK_ROWS`` and ``SQLINFER_CHUNK_SECONDS`` say after how much work a chunk is committed: less is lost in
    a kill, more commits are made. ``SQLINFER_LARGE_ROWS``: from so many rows on, tables are read as large ones are
    (fused with scoring, or staged by key). Results do not depend on them.
    """
    found: dict[str, Any] = {}
    if env.get(ROWS):
        rows = int(_positive(ROWS, env[ROWS]))
        found |= {"store_chunk": rows, "quick_chunk": rows, "stream_chunk": rows}
    if env.get(SECONDS):
        found["chunk_seconds"] = _positive(SECONDS, env[SECONDS])
    if env.get(LARGE):
        rows = int(_positive(LARGE, env[LARGE]))
        found |= {"keyed_rows": rows, "fuse_bytes": rows * 8}
    if memory_limit:
        from sqlinfer.runner.environment import CHUNK_BYTES, READ_BYTES

        size = parse_size(memory_limit)
        found["chunk_bytes"] = min(CHUNK_BYTES, size // 16)
        found["read_bytes"] = min(READ_BYTES, size // 64)
    return found


def _positive(name: str, text: str) -> float:
    value = numerals.decimal(text)
    if value is None or not 0 < value < 1e15:
        raise UsageError(f"{name}={text} is not a positive number")
    return value


def database_memory(memory_limit: str) -> str:
    """DuckDB's share of ``--memory-limit``: half of what is left for data; batches under way have the rest."""
    return f"{max((parse_size(memory_limit) - APART) // 2, LEAST) >> 20}MiB"


def parse_size(text: str) -> int:
    """
    >>> parse_size("1.5GiB")
    1610612736
    """
    match = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([a-zA-Z]*)\s*", text)
    unit = _UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None or float(match[1]) <= 0:
        raise UsageError(f"--memory-limit {text} is not a size", hint="for example 4GB or 512MiB")
    return int(float(match[1]) * unit)
