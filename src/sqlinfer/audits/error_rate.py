"""``error_rate``: at most this share (``max``) of the run's inputs failed; of a column: is NULL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sqlinfer.audits.arguments import Number
from sqlinfer.audits.base import Audit, Problem, Subject


@dataclass(frozen=True)
class ErrorRate(Audit):
    kind: ClassVar = "error_rate"
    column_is: ClassVar = "possible"
    aliases: ClassVar[Mapping[str, str]] = {"max_rate": "max", "max_value": "max", "rate": "max"}

    max: Number = 0.01

    def problem(self) -> Problem | None:
        return None if 0 <= self.max <= 1 else Problem(f"max is a share between 0 and 1, found {self.max:g}", "max")

    def failing(self, on: Subject) -> str:
        if on.column is None and on.scoring is not None:
            counted = f"SELECT {on.scoring.errors} AS n"
            return f"SELECT n AS errors FROM ({counted}) AS e WHERE n > {self.max} * {on.scoring.inputs}"
        share = f"avg(CASE WHEN {on.needed} IS NULL THEN 1.0 ELSE 0.0 END)"
        return f"SELECT r AS null_rate FROM (SELECT {share} AS r FROM {on.rows.source} AS q) AS n WHERE r > {self.max}"
