"""``not_null``: no row has NULL in the column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlinfer.audits.base import Audit, Subject


@dataclass(frozen=True)
class NotNull(Audit):
    kind: ClassVar = "not_null"

    def failing(self, on: Subject) -> str:
        return f"SELECT * FROM {on.rows.source} AS q WHERE {on.needed} IS NULL"
