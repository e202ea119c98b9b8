"""The order of work: one node after the other, what follows a failure is skipped, results on disk at every moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlinfer.errors import Cancelled, SqlinferError, SystemRefused
from sqlinfer.jobs.journal import Journal
from sqlinfer.runner.results import RunResult
from sqlinfer.spec.events import Emit, NodeFinished
from sqlinfer.spec.results import NodeResult

Do = Callable[[str], Iterable[NodeResult]]
"""Work on one unique_id: emits its own events, yields its result and those of its tests."""


@dataclass(slots=True)
class Loop:
    parents: Mapping[str, Sequence[str]]
    emit: Emit
    journal: Journal
    cancelled: Callable[[], bool]
    spent: Callable[[], str | None] = lambda: None
    """Which bound of what the run may spend is reached."""
    fail_fast: bool = False
    broken: dict[str, str] = field(default_factory=dict)
    """unique_id of a node that did not succeed → the one that it is down to."""

    def run(self, order: Sequence[str], do: Do, result: RunResult) -> RunResult:
        try:
            return self._run(order, do, result)
        except BaseException:
            self.journal.settle()
            raise

    def _run(self, order: Sequence[str], do: Do, result: RunResult) -> RunResult:
        begin = time.monotonic() - result.elapsed
        done = {item.unique_id: item for item in result.results}
        all_fine = result.ok
        for unique_id in order:
            for item in self._one(unique_id, do, all_fine):
                for one in (item, *item.tests):  # a result of the same node replaces the earlier one
                    done.pop(one.unique_id, None)
                    done[one.unique_id] = one
                    all_fine = all_fine and one.ok
                self.journal.note((item, *item.tests), time.monotonic() - begin)
                self._note(item, unique_id)
        return replace(result, results=tuple(done.values()), elapsed=time.monotonic() - begin)

    def _one(self, unique_id: str, do: Do, all_fine: bool) -> Iterable[NodeResult]:
        reason = self._reason_to_skip(unique_id, all_fine)
        if reason is not None:
            skipped = NodeResult(unique_id, "skipped", message=reason)
            self.emit(NodeFinished(skipped))
            return (skipped,)
        started = time.monotonic()
        try:
            return tuple(do(unique_id))
        except Cancelled:
            stopped = NodeResult(unique_id, "skipped", message="interrupted")
            self.emit(NodeFinished(stopped))
            return (stopped,)
        except (SqlinferError, OSError) as raised:
            error = SystemRefused.of(raised) if isinstance(raised, OSError) else raised
            seconds = time.monotonic() - started
            failed = NodeResult(unique_id, "error", message=str(error), error=error, execution_time=seconds)
            self.emit(NodeFinished(failed))
            return (failed,)

    def _reason_to_skip(self, unique_id: str, all_fine: bool) -> str | None:
        if self.cancelled():
            return "interrupted"
        spent = self.spent()
        if spent is not None:
            return spent
        if self.fail_fast and not all_fine:
            return "--fail-fast: an earlier node failed"
        above = next((parent for parent in self.parents.get(unique_id, ()) if parent in self.broken), None)
        return f"depends on {self.broken[above]}, which failed" if above else None

    def _note(self, item: NodeResult, unique_id: str) -> None:
        if item.status == "skipped":
            above = (self.broken[p] for p in self.parents.get(unique_id, ()) if p in self.broken)
            self.broken.setdefault(unique_id, next(above, unique_id))
        elif not item.ok:
            self.broken.setdefault(unique_id, unique_id)
