"""``accepted_range``: the column lies between ``min_value`` and ``max_value``; NaN lies nowhere, NULL anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sqlinfer.audits.arguments import Flag, Value
from sqlinfer.audits.base import Audit, Problem, Subject, bound_sql, is_float
from sqlinfer.types import type_sql


@dataclass(frozen=True)
class AcceptedRange(Audit):
    kind: ClassVar = "accepted_range"
    aliases: ClassVar[Mapping[str, str]] = {"min": "min_value", "max": "max_value"}

    min_value: Value = None
    max_value: Value = None
    inclusive: Flag = True

    def problem(self) -> Problem | None:
        if self.min_value is None and self.max_value is None:
            return Problem("test 'accepted_range' needs 'min_value' or 'max_value'")
        low, high = self.min_value, self.max_value
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            return Problem(f"min_value {low:g} is above max_value {high:g}", "min_value")
        return None

    def failing(self, on: Subject) -> str:
        strict = "" if self.inclusive else "="
        bad = [f"{on.needed} <{strict} {bound_sql(self.min_value, on.dialect)}"] if self.min_value is not None else []
        bad += [f"{on.needed} >{strict} {bound_sql(self.max_value, on.dialect)}"] if self.max_value is not None else []
        nan = f"CAST('NaN' AS {type_sql('DOUBLE', on.dialect)})"
        bad += [f"{on.needed} = {nan}"] if is_float(on.column_type) else []
        return f"SELECT * FROM {on.rows.source} AS q WHERE {' OR '.join(bad)}"
