"""A session whose rows are scored in worker processes: one that crashes, hangs or eats memory costs only its row.

A task that ends its worker is cut into pieces until the row stands alone; a row that ends two workers alone is given
up with ``crashed``, ``timeout`` or ``out_of_memory``. Workers get Arrow over a socket, ``TASK_ROWS`` at most at a time.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from queue import LifoQueue
from time import monotonic, perf_counter

import numpy as np
import pyarrow as pa

from sqlinfer import numerals
from sqlinfer.arrays import from_texts
from sqlinfer.errors import InferenceError, PassStopped, WorkerDied
from sqlinfer.inference import frames
from sqlinfer.inference.batch_result import BatchResult, joined
from sqlinfer.inference.layout import core_count
from sqlinfer.inference.passes import Passes
from sqlinfer.inference.providers import Device
from sqlinfer.inference.scoring import Outcomes, Times
from sqlinfer.inference.sharing import Shared
from sqlinfer.project.secret import public
from sqlinfer.spec.function import PreparedFunction

TASK_ROWS, PIECES = 256, 16
"""Starting a worker costs a second, asking it a millisecond: two cuts into sixteen find the row, not eight halvings."""
LOAD_SECONDS, LOOK_SECONDS = 600.0, 0.2
MEMORY_VARIABLE = "SQLINFER_WORKER_MEMORY"
DEFAULT_TIMEOUT, SHORTEST_TIMEOUT, LAST_TIMEOUT, PATIENCE = 60.0, 2.0, 10.0, 50.0
"""Seconds for a task while nothing is known; later ``PATIENCE`` times the slowest one, but never less than the shortest
and, for the try after which a row is given up, the last."""
LIVES = 2
LAST_BYTES = 1 << 16
"""Of what a process wrote to its stderr."""


@dataclass(slots=True)
class Deadlines:
    """How long a task may take, learned from those that came back."""

    longest: float
    slowest: float | None = None

    def seconds(self, last: bool) -> float:
        if self.slowest is None:
            return self.longest
        return min(self.longest, max(LAST_TIMEOUT if last else SHORTEST_TIMEOUT, PATIENCE * self.slowest))

    def learn(self, seconds: float) -> None:
        self.slowest = max(seconds, self.slowest or 0.0)


class Worker:
    """One child process and the socket to it. Started when first asked; it ends when this one does, however."""

    def __init__(self, setup: bytes, environment: Mapping[str, str] | None = None) -> None:
        """``environment``: by default this process's own, without its secrets."""
        self._setup = setup
        self._environment = dict(public(os.environ) if environment is None else environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Load the function, unless that is done.

        Raises:
            InferenceError: it does not load.
        """
        with self._lock:
            self._start()

    def ask(
        self, batch: pa.RecordBatch, outputs: pa.Schema, seconds: float, cancelled: Callable[[], bool] = bool
    ) -> BatchResult:
        """Raises WorkerDied, PassStopped, or InferenceError where the whole function failed."""
        with self._lock:
            return self._ask(batch, outputs, seconds, cancelled)

    def _ask(
        self, batch: pa.RecordBatch, outputs: pa.Schema, seconds: float, cancelled: Callable[[], bool]
    ) -> BatchResult:
        self._start()
        try:
            self._socket.settimeout(seconds)
            frames.send(self._socket, frames.BATCH, frames.pack(batch))
            end = monotonic() + seconds
            self._wait(end, cancelled)
            kind, payload = frames.receive(self._socket, end)
            if kind == frames.RESULT:
                return frames.unpack_result(payload, outputs, batch.num_rows)
        except TimeoutError:
            self.stop()
            raise WorkerDied("timeout", f"the row was not scored within {seconds:.0f} s") from None
        except (OSError, EOFError):
            raise WorkerDied("crashed", f"the process that scored the row {self.stop()}") from None
        if kind == frames.MEMORY:
            self.stop()
            raise WorkerDied("out_of_memory", "scoring the row needs more memory than a worker may take")
        if kind == frames.ERROR:
            raise frames.told_error(payload)
        raise WorkerDied("crashed", f"the process that scored the row gave no answer and {self.stop()}")

    def _wait(self, end: float, cancelled: Callable[[], bool]) -> None:
        """Until there is an answer, or the end of it."""
        answer = select.poll()
        answer.register(self._socket, select.POLLIN)
        while not answer.poll(1000 * max(0.0, min(LOOK_SECONDS, end - monotonic()))):
            if cancelled():
                self.stop()
                raise PassStopped
            if monotonic() >= end:
                raise TimeoutError

    def _start(self) -> None:
        if self._process is not None:
            return
        ours, theirs = socket.socketpair()
        alive, self._life = os.pipe()
        self._socket, self._stderr = ours, tempfile.TemporaryFile()  # noqa: SIM115
        command = [sys.executable, "-P", "-m", "sqlinfer.inference.worker", str(theirs.fileno()), str(alive)]
        self._process = subprocess.Popen(
            command, pass_fds=(theirs.fileno(), alive), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=self._stderr, env=self._environment, start_new_session=True,
        )  # fmt: skip
        theirs.close()
        os.close(alive)
        try:
            ours.settimeout(LOAD_SECONDS)
            frames.send(ours, frames.SETUP, self._setup)
            kind, payload = frames.receive(ours, monotonic() + LOAD_SECONDS)
        except (OSError, EOFError, TimeoutError) as error:
            self._stderr.seek(max(0, self._stderr.seek(0, os.SEEK_END) - LAST_BYTES))
            said = self._stderr.read().decode(errors="replace").strip().splitlines()
            how = self.stop()
            raise InferenceError(f"the scoring process {how} while it loaded: {said[-1] if said else error}") from error
        if kind == frames.ERROR:
            self.stop()
            raise frames.told_error(payload)

    def stop(self) -> str:
        """End the process, however it is; says how it had ended by itself."""
        process, self._process = self._process, None
        if process is None:
            return "is gone"
        self._socket.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that a library started
        code = process.wait()
        self._stderr.close()
        os.close(self._life)
        return f"was ended by signal {-code}" if code < 0 else f"left with code {code}"


@dataclass(slots=True)
class Remote:
    """What one thread of a pass scores with."""

    worker: Worker
    deadlines: Deadlines
    outcomes: Outcomes
    cancelled: Callable[[], bool]
    outputs: pa.Schema
    times: Times = field(default_factory=Times)
    quarantined: int = 0

    def score(self, batch: pa.RecordBatch) -> BatchResult:
        """Raises PassStopped, or InferenceError where the whole function failed."""
        if self.cancelled():
            raise PassStopped
        self.worker.start()
        lives = LIVES if batch.num_rows == 1 else 1
        for life in range(lives):
            began = perf_counter()
            try:
                result = self.worker.ask(batch, self.outputs, self.deadlines.seconds(life == LIVES - 1), self.cancelled)
            except WorkerDied as death:
                if life == lives - 1:
                    return self._after(death, batch)
                continue
            finally:
                self.times.kernel += perf_counter() - began
                self.times.runs += 1
            self.deadlines.learn(perf_counter() - began)
            self._account(result)
            return result
        raise AssertionError("unreachable")

    def _after(self, death: WorkerDied, batch: pa.RecordBatch) -> BatchResult:
        if batch.num_rows > 1:
            size = max(1, batch.num_rows // PIECES)
            starts = range(0, batch.num_rows, size)
            return reduce(joined, (self.score(batch.slice(start, size)) for start in starts))
        self.quarantined += 1
        self.outcomes.bad(death.error)
        arrays = tuple(pa.nulls(1, item.type) for item in self.outputs)
        return BatchResult(arrays, from_texts([death.error]), np.ones(1, dtype=bool), 1, 0, 1)

    def _account(self, result: BatchResult) -> None:
        self.outcomes.good(result.rows - result.failed)
        if result.failed:
            for error in result.errors.drop_null().to_pylist():
                self.outcomes.bad(error)


class IsolatedSession(Passes):
    """Like ``Session``, with its workers in processes of their own."""

    def __init__(
        self, prepared: PreparedFunction, device: str, workers: int, cache_dir: Path | None, timeout: float
    ) -> None:
        self.prepared = prepared
        self.contract = prepared.contract
        self._workers = workers
        self._timeout = timeout
        memory = numerals.of_environment(MEMORY_VARIABLE)
        self._setup = pickle.dumps((prepared, device, cache_dir, workers, int(memory) if memory else None))
        self.device = _named(prepared.contract.device if device == "auto" else device)
        self._remotes: list[Remote] = []
        self._idle: LifoQueue[Remote] = LifoQueue()
        self._single = False
        """Whether there are workers for single batches."""
        self._lock = threading.Lock()

    def close(self) -> None:
        for remote in self._remotes:
            remote.worker.stop()

    @property
    def quarantined(self) -> int:  # type: ignore[override]
        return sum(remote.quarantined for remote in self._remotes)

    def scorers(self, outcomes: Outcomes, cancelled: Callable[[], bool]) -> list[Remote]:
        outputs, deadlines = pa.schema(self.output_fields(None)), Deadlines(self._timeout)
        made = [Remote(Worker(self._setup), deadlines, outcomes, cancelled, outputs) for _ in range(self._workers)]
        with self._lock:
            self._remotes += made
        return made

    def run_batch(self, batch: pa.RecordBatch, arguments: Sequence[str]) -> BatchResult:
        """Threads wait for a process that is free, the one that worked last first."""
        with self._lock:
            missing = not self._single
            self._single = True
        if missing:
            for made in self.scorers(Outcomes(), bool):
                self._idle.put(made)
        remote = self._idle.get()
        try:
            return self.run_with(remote, batch, arguments)
        finally:
            self._idle.put(remote)

    def run_with(
        self, scorer: Remote, batch: pa.RecordBatch, arguments: Sequence[str], shared: Shared | None = None
    ) -> BatchResult:
        names = [f"a{position}" for position in range(len(arguments))]
        columns = [batch.column(batch.schema.get_field_index(name)) for name in arguments]
        return scorer.score(pa.RecordBatch.from_arrays(columns, names=names))

    def settle_layout(self, batch: pa.RecordBatch, arguments: Sequence[str]) -> None:
        """Workers measure nothing: a measurement is a run, too."""

    def task_rows(self) -> int:
        return TASK_ROWS


def _named(device: str) -> Device:
    family, _, index = device.partition(":")
    return Device("cpu") if family == "auto" else Device(family, (int(index),) if index else ())  # type: ignore[arg-type]


def open_isolated(
    prepared: PreparedFunction,
    *,
    device: str = "auto",
    threads: int | None = None,
    cache_dir: Path | None = None,
) -> IsolatedSession:
    """A session in worker processes; a function without a graph has no other.

    ``SQLINFER_WORKER_TIMEOUT`` (seconds) and ``SQLINFER_WORKER_MEMORY`` (bytes) bound what one task may take.
    """
    if prepared.native is not None:
        from sqlinfer.inference.native_session import open_native_session

        return open_native_session(prepared, threads=threads)
    timeout = numerals.of_environment(frames.TIMEOUT_VARIABLE) or DEFAULT_TIMEOUT
    wanted = prepared.contract.device if device == "auto" else device
    workers = 1 if wanted.startswith("cuda") else threads or core_count()
    return IsolatedSession(prepared, device, workers, cache_dir, timeout)
