"""What an error record shows of a row: its key columns as JSON text."""

from __future__ import annotations

from collections.abc import Iterable

from sqlinfer.relation import quote

NO_KEY = "CAST(NULL AS VARCHAR)"


def json_of(values: Iterable[tuple[str, str]]) -> str:
    """SQL for the text of what a record shows: name and SQL of each value."""
    fields = [f"{quote(name)} := {value}" for name, value in values]
    return f"CAST(to_json(struct_pack({', '.join(fields)})) AS VARCHAR)" if fields else NO_KEY
