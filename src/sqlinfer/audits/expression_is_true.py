"""``expression_is_true``: ``expression`` (of a column: the column, then ``expression``) is false for no row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlinfer.audits.arguments import Text
from sqlinfer.audits.base import Audit, Problem, Subject


@dataclass(frozen=True)
class ExpressionIsTrue(Audit):
    kind: ClassVar = "expression_is_true"
    column_is: ClassVar = "possible"
    reads_warehouse: ClassVar = True  # the text may hold a subquery

    expression: Text

    def problem(self) -> Problem | None:
        return None if self.expression.strip() else Problem("expression is empty", "expression")

    def failing(self, on: Subject) -> str:
        return f"SELECT * FROM {on.rows.source} AS q WHERE NOT ({on.column or ''} {self.expression})"
