"""Where the time of a node goes."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlinfer.spec.session import ScoredPart


@dataclass(slots=True)
class Seconds:
    """Seconds per stage of the work, over all calls of a node."""

    spent: dict[str, float] = field(default_factory=dict)
    """Summed over the threads that did it."""
    threads: dict[str, int] = field(default_factory=dict)
    """Threads of a stage, where they are more than one."""

    @property
    def bound_by(self) -> str | None:
        """The stage that took longest, its threads side by side: the one to make faster."""
        alone = {name: seconds / self.threads.get(name, 1) for name, seconds in self.spent.items()}
        return max(alone, key=lambda name: alone[name]) if alone else None

    def add(self, name: str, seconds: float) -> None:
        self.spent[name] = self.spent.get(name, 0.0) + seconds

    def add_session(self, scored: ScoredPart) -> None:
        times = scored.seconds
        self.add("read", times.read)
        for name, seconds in (("assemble", times.assemble), ("kernel", times.kernel), ("finish", times.finish)):
            self.add(name, seconds)
            self.threads[name] = times.workers

    def so_far(self, *scored: ScoredPart) -> dict[str, float]:
        """With what passes under way have spent; those are added to ``spent`` when they end."""
        now = Seconds(dict(self.spent))
        for one in scored:
            now.add_session(one)
        return now.spent
