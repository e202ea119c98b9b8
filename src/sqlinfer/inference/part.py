"""One function of a pass under way: its scorers, one for each thread, and what they have done so far."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from sqlinfer import arrays
from sqlinfer.inference.scoring import Outcomes
from sqlinfer.inference.sharing import Shared
from sqlinfer.spec.session import Part

if TYPE_CHECKING:
    from sqlinfer.inference.batch_result import BatchResult
    from sqlinfer.inference.passes import Passes


@dataclass(slots=True)
class ScoreCounts:
    """Rows delivered so far: ``rows = scored + null_inputs + errors``."""

    rows: int = 0
    scored: int = 0
    null_inputs: int = 0
    errors: int = 0

    def add(self, result: BatchResult) -> None:
        self.rows += result.rows
        self.null_inputs += result.null_inputs
        self.errors += result.failed
        self.scored += result.rows - result.null_inputs - result.failed


@dataclass(frozen=True, slots=True)
class Seconds:
    """Time per stage, summed over the threads that did it; ``wait`` is the consumer's."""

    read: float
    assemble: float
    kernel: float
    finish: float
    wait: float
    workers: int = 1
    """Threads that assembled, ran and finished side by side."""


class OpenPart:
    """A ``spec.session.ScoredPart``."""

    def __init__(self, part: Part, total: int | None, stopped: Callable[[], bool], began: Callable[[], float]) -> None:
        """``began``: the seconds of reading that count as this part's."""
        self.session = cast("Passes", part.session)
        self.arguments = part.arguments
        self.counts = ScoreCounts()
        self.wait_seconds = 0.0
        self._read_seconds = began
        self._as_column = part.as_column
        self._lock = threading.Lock()
        self._work_seconds = 0.0
        self.scorers = self.session.scorers(Outcomes(part.policy, total), stopped)
        self.fields = (*self.session.output_fields(part.as_column), pa.field(part.error_column, pa.string()))

    @property
    def seconds(self) -> Seconds:
        assemble = sum(scorer.times.assemble for scorer in self.scorers)
        kernel = sum(scorer.times.kernel for scorer in self.scorers)
        finish = max(0.0, self._work_seconds - assemble - kernel)
        return Seconds(self._read_seconds(), assemble, kernel, finish, self.wait_seconds, len(self.scorers))

    @property
    def runs(self) -> int:
        return sum(scorer.times.runs for scorer in self.scorers)

    def makes(self) -> Sequence[Hashable]:
        return self.session.makes(self.arguments)

    def settle_layout(self, batch: pa.RecordBatch) -> None:
        self.session.settle_layout(batch, self.arguments)

    def task_rows(self) -> int:
        return self.session.task_rows()

    def score(self, worker: int, batch: pa.RecordBatch, shared: Shared) -> BatchResult:
        began = perf_counter()
        result = self.session.run_with(self.scorers[worker], batch, self.arguments, shared)
        with self._lock:
            self._work_seconds += perf_counter() - began
        return result

    def columns(self, result: BatchResult) -> list[pa.Array]:
        """As ``fields`` say."""
        return [*self._results(result), result.errors]

    def _results(self, result: BatchResult) -> list[pa.Array]:
        if self._as_column is None or not self.session.contract.is_struct:
            return list(result.arrays)
        mask = None if result.missing is None else arrays.from_numpy(result.missing)
        return [pa.StructArray.from_arrays(list(result.arrays), fields=list(self.fields[0].type), mask=mask)]
