"""What the SELECTs of this package say differently to Spark; to the others all of it is one SQL."""

from __future__ import annotations

_SPARK = {"VARCHAR": "STRING", "TIMESTAMPTZ": "TIMESTAMP", "DOUBLE PRECISION": "DOUBLE"}


def kind(name: str, dialect: str) -> str:
    """A type.

    >>> kind("VARCHAR", "postgres"), kind("VARCHAR", "spark")
    ('VARCHAR', 'STRING')
    """
    return _SPARK.get(name, name) if dialect == "spark" else name


def epoch(moment: str, dialect: str) -> str:
    """Seconds since 1970 of a time with a zone."""
    return f"CAST({moment} AS DOUBLE)" if dialect == "spark" else f"extract(epoch FROM {moment})"


def listed(value: str, dialect: str) -> str:
    """Aggregates texts into one, in order."""
    if dialect == "spark":
        return f"listagg({value}, ',') WITHIN GROUP (ORDER BY {value})"
    return f"string_agg({value}, ',' ORDER BY {value})"
