"""A slice of time that a backfill works on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Window:
    start: datetime
    """Without a time zone, as the warehouse's own times."""
    end: datetime
    """Not in it."""

    @property
    def variables(self) -> dict[str, str]:
        """What SQL sees: ``var('backfill_start')`` and ``var('backfill_end')``; dates where both are midnights."""
        return {"backfill_start": self._said(self.start), "backfill_end": self._said(self.end)}

    def condition(self, column: str) -> str:
        """SQL: a time lies in the slice."""
        start, end = (f"TIMESTAMP '{one.isoformat(' ')}'" for one in (self.start, self.end))
        return f"{column} >= {start} AND {column} < {end}"

    def _said(self, one: datetime) -> str:
        whole = all(not (at.hour or at.minute or at.second) for at in (self.start, self.end))
        return one.date().isoformat() if whole else one.isoformat(" ")

    def as_json(self) -> dict[str, str]:
        return {"start": self.start.isoformat(), "end": self.end.isoformat()}

    @classmethod
    def from_json(cls, given: dict[str, str] | None) -> Window | None:
        return cls(*(datetime.fromisoformat(given[name]) for name in ("start", "end"))) if given else None
