"""``row_count``: the number of rows is ``equals``, or between ``min`` and ``max``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sqlinfer.audits.arguments import Whole
from sqlinfer.audits.base import Audit, Problem, Subject


@dataclass(frozen=True)
class RowCount(Audit):
    kind: ClassVar = "row_count"
    column_is: ClassVar = "refused"
    fields: ClassVar = ("row_count",)
    aliases: ClassVar[Mapping[str, str]] = {"min_value": "min", "max_value": "max"}

    equals: Whole | None = None
    min: Whole | None = None
    max: Whole | None = None

    def problem(self) -> Problem | None:
        if self.equals is None and self.min is None and self.max is None:
            return Problem("test 'row_count' needs 'equals', 'min' or 'max'")
        if self.min is not None and self.max is not None and self.min > self.max:
            return Problem(f"min {self.min} is above max {self.max}", "min")
        return None

    def failing(self, on: Subject) -> str:
        bad = [] if self.equals is None else [f"row_count <> {self.equals}"]
        bad += [] if self.min is None else [f"row_count < {self.min}"]
        bad += [] if self.max is None else [f"row_count > {self.max}"]
        counted = f"SELECT count(*) AS row_count FROM {on.rows.source} AS q"
        return f"SELECT row_count FROM ({counted}) AS n WHERE {' OR '.join(bad)}"
