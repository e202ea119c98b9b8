"""``relationships``: every value of the column is in ``field`` of the relation ``to``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sqlinfer.audits.arguments import Text
from sqlinfer.audits.base import Audit, Subject


@dataclass(frozen=True)
class Relationships(Audit):
    kind: ClassVar = "relationships"
    fields: ClassVar = ("from_field",)
    reads_warehouse: ClassVar = True

    to: Any
    """``ref('…')``, ``source('…', '…')``, or the relation itself."""
    field: Text

    def failing(self, on: Subject) -> str:
        parent = on.other(self.to)
        field = parent.name(self.field)
        return (
            f"SELECT c.from_field FROM (SELECT {on.needed} AS from_field FROM {on.rows.source} AS q) AS c "
            f"WHERE c.from_field IS NOT NULL AND NOT EXISTS (SELECT 1 FROM (SELECT {field} AS to_field FROM "
            f"{parent.source} AS o) AS p WHERE p.to_field = c.from_field)"
        )
