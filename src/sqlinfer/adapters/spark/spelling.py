"""Spelling of types: canonical (DuckDB's, see ``sqlinfer.types``) → Spark's own, in which its catalog answers."""

from __future__ import annotations

import re

from sqlinfer import types
from sqlinfer.errors import ProjectError

_OTHERS = {
    "TIMESTAMPTZ": "timestamp", "TIMESTAMP": "timestamp_ntz", "DATETIME": "timestamp_ntz", "HUGEINT": "decimal(38,0)",
    "INT128": "decimal(38,0)", "UHUGEINT": "decimal(38,0)", "UINT128": "decimal(38,0)", "JSON": "string",
    "UUID": "string", "STRING": "string", "INTEGER": "int", "TIME": "string",
}  # fmt: skip
"""Where ``types.type_sql`` says another thing, or nothing."""
_WORDS = {"integer": "int", "double precision": "double", "real": "float", "text": "string", "long": "bigint",
          "byte": "tinyint", "short": "smallint", "dec": "decimal", "numeric": "decimal", "bytea": "binary",
          "timestamptz": "timestamp"}  # fmt: skip
"""What users write, too."""


def spelled(data_type: str) -> str:
    """
    >>> spelled("DOUBLE"), spelled("REAL[384]"), spelled("decimal(10, 2)"), spelled("TEXT[]")
    ('double', 'array<float>', 'decimal(10,2)', 'array<string>')
    """
    if types.is_array(data_type):
        return f"array<{spelled(types.element_type(data_type))}>"
    if data_type != data_type.upper() or data_type.startswith(("DECIMAL", "NUMERIC")):
        word = re.sub(r"\s*([(),<>:])\s*", r"\1", data_type.strip())
        word = word.lower() if "<" not in word else word
        head, paren, tail = word.partition("(")
        if head in ("varchar", "character varying") and not paren:
            return "string"
        return f"{_WORDS.get(head, head)}{paren}{tail}"
    if data_type in _OTHERS:
        return _OTHERS[data_type]
    try:
        return types.type_sql(data_type, "spark").lower().replace(", ", ",")
    except (ProjectError, ValueError):
        return data_type
