"""``accepted_values``: every value of the column is one of ``values``. NULL always is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sqlinfer.audits.arguments import Flag, Values
from sqlinfer.audits.base import Audit, Problem, Subject, value_sql
from sqlinfer.relation import literal

_TEXTS = ("VARCHAR", "TEXT", "STRING", "CHAR")


@dataclass(frozen=True)
class AcceptedValues(Audit):
    kind: ClassVar = "accepted_values"
    fields: ClassVar = ("value_field", "n_records")

    values: Values
    quote: Flag = True
    """False: text is SQL, as in dbt."""

    def problem(self) -> Problem | None:
        if all(value is None for value in self.values):
            return Problem("values has no value", "values")
        return None

    def failing(self, on: Subject) -> str:
        known = [value for value in self.values if value is not None]  # NOT IN (…, NULL) is never true
        listed = ", ".join(self._sql(value, on) for value in known)
        return (
            f"SELECT {on.needed} AS value_field, count(*) AS n_records FROM {on.rows.source} AS q "
            f"WHERE {on.needed} NOT IN ({listed}) GROUP BY {on.needed}"
        )

    def _sql(self, value: Any, on: Subject) -> str:
        """dbt quotes every value: a number is the text of a number where the column is text."""
        if isinstance(value, str) and not self.quote:
            return value
        text = (on.column_type or "").upper().startswith(_TEXTS)
        return literal(str(value), on.dialect) if text and self.quote else value_sql(value, on.dialect)
