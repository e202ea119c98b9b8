"""A session whose rows a library predicts: workers as in ``isolation``, kept between passes, with larger tasks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final

import pyarrow as pa

from sqlinfer import numerals
from sqlinfer.inference import frames
from sqlinfer.inference.batch_result import BatchResult
from sqlinfer.inference.isolation import DEFAULT_TIMEOUT, Deadlines, IsolatedSession, Remote, Worker
from sqlinfer.inference.layout import core_count
from sqlinfer.inference.scoring import Outcomes
from sqlinfer.inference.sharing import Shared
from sqlinfer.project.secret import public
from sqlinfer.spec.function import PreparedFunction

FIRST_ROWS, FEWEST_ROWS, MOST_ROWS = 256, 16, 65_536
SHORT_SECONDS, LONG_SECONDS = 0.5, 8.0
THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""One thread for each process, where there are several: a library starts as many as there are cores otherwise."""


class Sizes:
    """Rows of a task. Twice as many while it is short: a call of a library has its price whatever it is asked."""

    def __init__(self, fixed: int | None = None) -> None:
        self._fixed = fixed
        self._lock = threading.Lock()
        self.rows = fixed or FIRST_ROWS

    def learn(self, rows: int, seconds: float) -> None:
        if self._fixed is not None:
            return
        with self._lock:
            if rows >= self.rows and seconds < SHORT_SECONDS:
                self.rows = min(2 * rows, MOST_ROWS)
            elif rows <= self.rows and seconds > LONG_SECONDS:
                self.rows = max(rows // 2, FEWEST_ROWS)


class NativeSession(IsolatedSession):
    """As many processes as workers, each started with its first task; passes share them."""

    def __init__(self, prepared: PreparedFunction, workers: int, timeout: float) -> None:
        super().__init__(prepared, "cpu", workers, None, timeout)
        assert prepared.native is not None
        environment = dict(os.environ if prepared.native.is_project_code else public(os.environ))
        if workers > 1:
            environment = dict.fromkeys(THREADS, "1") | environment
        self._processes = [Worker(self._setup, environment) for _ in range(workers)]
        self._sizes = Sizes(prepared.contract.batch_size)

    def close(self) -> None:
        for process in self._processes:
            process.stop()

    def load(self) -> None:
        """Raises InferenceError where the model does not load."""
        self._processes[0].start()

    def scorers(self, outcomes: Outcomes, cancelled: Callable[[], bool]) -> list[Remote]:
        outputs, deadlines = pa.schema(self.output_fields(None)), Deadlines(self._timeout)
        made = [Remote(process, deadlines, outcomes, cancelled, outputs) for process in self._processes]
        with self._lock:
            self._remotes += made
        return made

    def run_with(
        self, scorer: Remote, batch: pa.RecordBatch, arguments: Sequence[str], shared: Shared | None = None
    ) -> BatchResult:
        began = perf_counter()
        result = super().run_with(scorer, batch, arguments, shared)
        self._sizes.learn(batch.num_rows, perf_counter() - began)
        return result

    def task_rows(self) -> int:
        return self._sizes.rows


def open_native_session(prepared: PreparedFunction, *, threads: int | None = None) -> NativeSession:
    timeout = numerals.of_environment(frames.TIMEOUT_VARIABLE) or DEFAULT_TIMEOUT
    return NativeSession(prepared, threads or core_count(), timeout)
