"""``--max-rows``, ``--max-seconds``, ``--max-cost``: a node that would pass one is not scored, and time that is up ends
the run after the chunk in hand.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from time import monotonic

from sqlinfer.errors import BoundReached
from sqlinfer.shown import counted


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one call of a node is about to score."""

    rows: int
    seconds: float
    """Expected, at the function's measured or estimated rate."""


@dataclass(slots=True)
class Bounds:
    """What a run may spend, and what it has spent."""

    max_rows: int | None = None
    max_seconds: float | None = None
    max_cost: float | None = None
    hour: float = 0.0
    """What an hour of the device costs."""
    currency: str = ""
    clock: Callable[[], float] = monotonic
    began: float = field(default_factory=monotonic)
    rows: int = 0
    """Inputs that were let through so far."""

    @property
    def any(self) -> bool:
        return (self.max_rows, self.max_seconds, self.max_cost) != (None, None, None)

    @property
    def spent(self) -> float:
        return self.clock() - self.began

    def admit(self, wanted: Iterable[Wanted]) -> None:
        """Before anything of them is scored.

        Raises:
            BoundReached: they would pass a bound.
        """
        calls = tuple(wanted)
        rows, seconds = sum(one.rows for one in calls), sum(one.seconds for one in calls)
        if not rows:
            return
        end = self.spent + seconds
        inputs = f"{counted(rows, 'input')} to score"
        if self.max_rows is not None and self.rows + rows > self.max_rows:
            before = f", {self.rows:,} of them are used" if self.rows else ""
            raise BoundReached(f"{inputs}, --max-rows allows {self.max_rows:,}{before}; nothing of them was scored")
        if self.max_seconds is not None and end > self.max_seconds:
            raise BoundReached(
                f"{inputs} in about {seconds:.1f} s: the run would take about {end:.1f} s, --max-seconds allows "
                f"{self.max_seconds:g}; nothing of them was scored"
            )
        if self.max_cost is not None and self._cost(end) > self.max_cost:
            raise BoundReached(
                f"{inputs} in about {seconds:.1f} s: the run would cost about {self._cost(end):.4g} {self.currency}, "
                f"--max-cost allows {self.max_cost:g}; nothing of them was scored"
            )
        self.rows += rows

    def over(self) -> str | None:
        """Which bound has been reached while the run was at work."""
        if self.max_seconds is not None and self.spent >= self.max_seconds:
            return f"--max-seconds {self.max_seconds:g} is used up"
        if self.max_cost is not None and self._cost(self.spent) >= self.max_cost:
            return f"--max-cost {self.max_cost:g} {self.currency} is used up"
        return None

    def stopped(self, done: Mapping[str, tuple[int, int | None]]) -> BoundReached:
        """``done``: function → inputs that came back before, of how many."""
        parts = [
            f"{rows:,}{f' of {total:,}' if total is not None else ''} inputs of {function} came back before"
            for function, (rows, total) in done.items()
        ]
        said = "; ".join([str(self.over()), *parts])
        return BoundReached(f"{said}; what is remembered of them is kept", hint="`sqlinfer retry` continues")

    def _cost(self, seconds: float) -> float:
        return seconds / 3600 * self.hour


class Stop(threading.Event):
    """Set when the caller sets it, and when time is up."""

    def __init__(self, asked: threading.Event, bounds: Bounds) -> None:
        super().__init__()
        self._asked, self._bounds = asked, bounds

    def is_set(self) -> bool:
        return super().is_set() or self._asked.is_set() or self._bounds.over() is not None
