"""Spelling of types: canonical (DuckDB's, see ``sqlinfer.types``) → PostgreSQL's. PostgreSQL's own pass unchanged."""

from __future__ import annotations

import re

_OTHERS = {
    "DOUBLE": "double precision", "FLOAT": "real", "TINYINT": "smallint", "UTINYINT": "smallint",
    "USMALLINT": "integer", "UINTEGER": "bigint", "UBIGINT": "numeric(20)", "HUGEINT": "numeric(39)",
    "INT128": "numeric(39)", "UHUGEINT": "numeric(39)", "UINT128": "numeric(39)", "BLOB": "bytea", "VARCHAR": "text",
    "DATETIME": "timestamp", "TIMESTAMP_S": "timestamp", "TIMESTAMP_MS": "timestamp", "TIMESTAMP_NS": "timestamp",
    "STRING": "text", "JSON": "jsonb",
}  # fmt: skip
_SIZES = re.compile(r"\[\d*\]")


def spelled(data_type: str) -> str:
    """
    >>> spelled("DOUBLE"), spelled("REAL[384]"), spelled("character varying(5)")
    ('double precision', 'REAL[]', 'character varying(5)')
    """
    sizes = _SIZES.findall(data_type)
    base = _SIZES.sub("", data_type)
    if base.upper().startswith("DECIMAL"):
        base = f"numeric{base[7:]}"
    return f"{_OTHERS.get(base, base)}{'[]' * len(sizes)}"
