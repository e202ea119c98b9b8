"""``unique``: no value, or no combination of ``columns``, occurs twice. Rows of NULLs alone do not count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sqlinfer.audits.arguments import Names
from sqlinfer.audits.base import Audit, Problem, Subject


@dataclass(frozen=True)
class Unique(Audit):
    kind: ClassVar = "unique"
    column_is: ClassVar = "possible"
    fields: ClassVar = ("unique_field", "n_records")
    aliases: ClassVar[Mapping[str, str]] = {"combination_of_columns": "columns"}

    columns: Names | None = None

    def problem(self) -> Problem | None:
        return Problem("columns names no column", "columns") if self.columns == [] else None

    def failing(self, on: Subject) -> str:
        names = [on.rows.name(column) for column in self.columns] if self.columns else [on.needed]
        some = " OR ".join(f"{name} IS NOT NULL" for name in names)
        fields = names if self.columns else [f"{names[0]} AS unique_field"]
        return (
            f"SELECT {', '.join(fields)}, count(*) AS n_records FROM {on.rows.source} AS q WHERE {some} "
            f"GROUP BY {', '.join(names)} HAVING count(*) > 1"
        )
