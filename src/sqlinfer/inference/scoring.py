"""One block through the kernel: in runs of the found size, halved when memory runs out, bisected to find bad rows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

from sqlinfer.errors import InferenceError, KernelError, KernelOutOfMemory, PassStopped, SqlinferError
from sqlinfer.inference.block import Block, Scratch
from sqlinfer.inference.kernel import Kernel, unfed
from sqlinfer.inference.outputs import Collecting
from sqlinfer.spec.error_policy import ErrorPolicy

SHARE = 3
"""Looking for a bad row, a third is tried: a failing run is dearer than a good one, halves would fail more often."""


class Limits:
    """The size of a run, shared by the workers and halved when memory runs out."""

    def __init__(self, batch_size: int, token_budget: int | None = None) -> None:
        self._lock = threading.Lock()
        self.batch_size = batch_size
        self.token_budget = token_budget
        self.halved = False

    def halve(self, failed_rows: int) -> None:
        """After a run of ``failed_rows`` ran out of memory. Workers that failed with an older size halve nothing."""
        with self._lock:
            wanted = max(1, failed_rows // 2)
            if wanted >= self.batch_size:
                return
            self.batch_size = wanted
            self.token_budget = max(1, self.token_budget // 2) if self.token_budget else None
            self.halved = True


class Outcomes:
    """Rows that one pass has tried, over all workers; it gives up where the call's policy does."""

    def __init__(self, policy: ErrorPolicy | None = None, total: int | None = None) -> None:
        self._policy = policy
        self._total = total
        self._lock = threading.Lock()
        self._rows = 0
        self._errors = 0

    def good(self, rows: int) -> None:
        with self._lock:
            self._rows += rows

    def bad(self, message: str) -> None:
        with self._lock:
            self._rows += 1
            self._errors += 1
            rows, errors = self._rows, self._errors
        if self._policy is not None and self._policy.gives_up(rows, errors, self._total):
            rate = f"{self._policy.max_rate:g}"
            raise InferenceError(f"{errors} rows failed, more than max_error_rate allows ({rate}); the last: {message}")


@dataclass(slots=True)
class Times:
    """Seconds of one worker."""

    assemble: float = 0.0
    kernel: float = 0.0
    runs: int = 0


@dataclass(slots=True)
class Scorer:
    """What one worker needs to score a block."""

    kernel: Kernel
    collect: Callable[[int], Collecting]
    """Makes what takes the values of a block of so many rows."""
    limits: Limits
    outcomes: Outcomes
    cancelled: Callable[[], bool] = bool
    scratch: Scratch = field(default_factory=dict)
    times: Times = field(default_factory=Times)

    def score(self, block: Block) -> Collecting:
        """The values of every row of the block; rows that failed stand in ``block.failed``."""
        collector = self.collect(block.rows)
        done = 0
        while done < block.rows:
            size = self.limits.batch_size
            for start, stop in block.splits(size, self.limits.token_budget):
                if start < done:  # scored before the limits were halved
                    if stop <= done:
                        continue
                    start = done
                self._range(block, start, stop, collector)
                done = stop
                if self.limits.batch_size < size:
                    break
        return collector

    def _range(self, block: Block, start: int, stop: int, collector: Collecting) -> None:
        """Score these rows. After a bad row runs get shorter, after a good run longer: bad rows may stand close."""
        size = stop - start
        while start < stop:
            end = min(start + size, stop)
            failure = self._try(block, start, end, collector)
            if failure is None:
                start, size = end, size * 2
            else:
                start, size = self._isolate(block, start, end, collector, failure), -(-(end - start) // 2)

    def _isolate(self, block: Block, start: int, stop: int, collector: Collecting, failure: str) -> int:
        """Find the first bad row of a run that failed, scoring those before it. Where to go on: the row after it.

        A row is given up only when it fails alone, so that a failure that does not come again costs nobody a result.
        """
        alone = stop - start == 1
        while stop - start > 1:
            middle = start + -(-(stop - start) // SHARE)
            found = self._try(block, start, middle, collector)
            alone = found is not None and middle - start == 1
            if found is None:
                start = middle
            else:
                stop, failure = middle, found
        found = failure if alone else self._try(block, start, stop, collector)
        if found is not None:
            self._give_up(block, start, found)
        return stop

    def _try(self, block: Block, start: int, stop: int, collector: Collecting) -> str | None:
        """One run; why it failed, where it did. Out of memory, the rows are done here in smaller runs."""
        if self.cancelled():
            raise PassStopped
        generation = self.kernel.generation
        try:
            self._run(block, start, stop, collector)
        except KernelOutOfMemory as error:
            self.limits.halve(stop - start)
            self.kernel.rebuild(generation)
            self._in_pieces(block, start, stop, collector, f"out_of_memory: {error}")
        except KernelError as error:
            return f"runtime: {error}"
        return None

    def _in_pieces(self, block: Block, start: int, stop: int, collector: Collecting, message: str) -> None:
        """Again, in runs of the size that is left; each of them may find it still too large."""
        if stop - start == 1:
            self._give_up(block, start, message)
            return
        while start < stop:
            end = min(start + self.limits.batch_size, stop)
            self._range(block, start, end, collector)
            start = end

    def _give_up(self, block: Block, row: int, message: str) -> None:
        block.failed.setdefault(row, message)
        self.outcomes.bad(message)

    def _run(self, block: Block, start: int, stop: int, collector: Collecting) -> None:
        began = perf_counter()
        try:
            feeds = block.feeds(start, stop, self.scratch)
        except SqlinferError:
            raise
        except Exception as wrong:  # a row that cannot be fed is found as one that cannot be run
            raise unfed(wrong) from wrong
        fed = perf_counter()
        self.times.assemble += fed - began
        self.times.runs += 1
        try:
            raws = self.kernel.run(feeds)
        finally:
            self.times.kernel += perf_counter() - fed
        collector.put(start, stop, raws)
        refused = [block.failed[row] for row in range(start, stop) if row in block.failed] if block.failed else []
        self.outcomes.good(stop - start - len(refused))
        for error in refused:  # texts and images that could not be fed
            self.outcomes.bad(error)
