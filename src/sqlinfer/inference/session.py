"""A prepared function on a device: record batches with argument columns → record batches with results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa

from sqlinfer.arrays import from_texts
from sqlinfer.errors import InferenceError, KernelOutOfMemory, SqlinferError
from sqlinfer.inference import measure, text
from sqlinfer.inference.assembly import Assembler, Assembling
from sqlinfer.inference.batch_result import BatchResult, joined
from sqlinfer.inference.block import Block, Scratch
from sqlinfer.inference.kernel import Kernel, unfed
from sqlinfer.inference.layout import Layout, core_count, read_layout, write_layout
from sqlinfer.inference.outputs import Collecting, Collector
from sqlinfer.inference.passes import Passes
from sqlinfer.inference.providers import Device, resolve_device
from sqlinfer.inference.scoring import Limits, Outcomes, Scorer
from sqlinfer.inference.sharing import Shared
from sqlinfer.spec.function import PreparedFunction
from sqlinfer.spec.session import READ_ROWS

TASK_SECONDS = 0.05
TEXT_ROWS = 256
DEFAULT_BATCH = 1024
FIRST_ROWS = 1024
"""Rows of a task while nothing is known of the speed: a slow function must not hold a chunk back for minutes."""


class Rate:
    """Rows a second of one worker, from the tasks done so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows, self._seconds = 0, 0.0

    def add(self, rows: int, seconds: float) -> None:
        with self._lock:
            self._rows += rows
            self._seconds += seconds

    @property
    def rows_per_second(self) -> float | None:
        return self._rows / self._seconds if self._rows and self._seconds > 0 else None


class Session(Passes):
    """Use as a context manager. Several ``score`` passes may be under way at a time."""

    def __init__(
        self,
        prepared: PreparedFunction,
        kernels: Sequence[Kernel],
        layout: Layout,
        *,
        device: Device | None = None,
        cache_dir: Path | None = None,
        assembler: Assembling | None = None,
        collect: Callable[[int], Collecting] | None = None,
    ) -> None:
        """``kernels`` has one entry per worker thread; the same one may stand there several times.

        ``assembler`` and ``collect``: what feeds the kernels and takes their values, where they run no prepared graph.
        """
        self.prepared = prepared
        self.contract = prepared.contract
        self.device = device or Device("cpu")
        self.layout = layout
        self._kernels = tuple(kernels)
        self._cache_dir = cache_dir
        self._assembler: Assembling = assembler or Assembler(prepared)
        self._collect = collect or partial(Collector, outputs=self.contract.outputs, bindings=prepared.outputs)
        self._measuring = threading.Lock()
        self._tried = layout.source in ("declared", "cached") or self._assembler.has_text or self._assembler.has_images
        self._limits = Limits(layout.batch_size, layout.token_budget)
        self._seen = Rate()

    def close(self) -> None:
        if self._limits.halved:
            self._remember(
                replace(self.layout, batch_size=self._limits.batch_size, token_budget=self._limits.token_budget)
            )
        for kernel in self._kernels:
            kernel.close()

    # scoring

    @property
    def categories(self) -> Mapping[int, Sequence[str]]:
        return self._assembler.categories

    def run_batch(self, batch: pa.RecordBatch, arguments: Sequence[str]) -> BatchResult:
        """Score one batch in this thread."""
        return self.run_with(self.scorers(Outcomes(), bool)[0], batch, arguments)

    def scorers(self, outcomes: Outcomes, cancelled: Callable[[], bool]) -> list[Scorer]:
        """One scorer per worker thread."""
        return [Scorer(k, self._collect, self._limits, outcomes, cancelled) for k in self._kernels]

    def makes(self, arguments: Sequence[str]) -> Sequence[Hashable]:
        return self._assembler.makes(arguments)

    def joins(self, other: object) -> bool:
        """On a CPU, where nothing is fed that is made for one function alone (texts, images)."""
        return isinstance(other, Session) and self._is_plain and other._is_plain and self._workers == other._workers

    @property
    def _is_plain(self) -> bool:
        return self.device.family == "cpu" and not self._assembler.has_text and not self._assembler.has_images

    @property
    def _workers(self) -> int:
        return len(self._kernels)

    def run_with(
        self, scorer: Scorer, batch: pa.RecordBatch, arguments: Sequence[str], shared: Shared | None = None
    ) -> BatchResult:
        began = perf_counter()
        with np.errstate(over="ignore", invalid="ignore"):  # a double too large for a float is infinite, as in SQL
            result = self._scored(scorer, batch, arguments, shared)
        self._seen.add(result.rows, perf_counter() - began)
        return result

    def _scored(
        self, scorer: Scorer, batch: pa.RecordBatch, arguments: Sequence[str], shared: Shared | None = None
    ) -> BatchResult:
        """A batch that cannot be assembled is cut in halves until the row stands alone."""
        try:
            block = self._assembler.block(batch, arguments, shared)
        except SqlinferError:
            raise
        except Exception as error:
            found = error
        else:
            return self._finish(block, scorer.score(block))
        if batch.num_rows == 1:
            return self._unfed(scorer, f"runtime: {unfed(found)}")
        middle = batch.num_rows // 2
        halves = batch.slice(0, middle), batch.slice(middle)
        return joined(*(self._scored(scorer, half, arguments) for half in halves))

    def _unfed(self, scorer: Scorer, message: str) -> BatchResult:
        """The result of one row that cannot be assembled."""
        scorer.outcomes.bad(message)
        arrays = tuple(pa.nulls(1, item.type) for item in self.output_fields(None))
        return BatchResult(arrays, from_texts([message]), np.ones(1, dtype=bool), 1, 0, 1)

    def _finish(self, block: Block, values: Collecting) -> BatchResult:
        failed = dict(block.failed)
        if self.contract.on_invalid != "allow":
            invalid = {row: error for row, error in values.invalid().items() if row not in failed}
            if invalid and self.contract.on_invalid == "error":
                raise InferenceError(
                    f"function '{self.contract.name}' returned NaN or infinite values for {len(invalid)} of "
                    f"{block.rows} rows of a batch",
                    hint="on_invalid: null makes them NULL and records them as errors",
                )
            failed |= invalid
        errors = dict(block.rejected)
        for row, error in failed.items():
            errors[row if block.positions is None else int(block.positions[row])] = error
        missing = _missing(block, errors)
        return BatchResult(
            values.arrays(block.total, block.positions, missing),
            _error_column(block.total, errors),
            missing,
            block.total,
            block.null_inputs,
            len(errors),
        )

    # the layout

    def task_rows(self) -> int:
        """Rows that one worker takes at a time: a twentieth of a second, whole runs, at most a row group."""
        size = self._limits.batch_size
        if self._assembler.has_text:
            return TEXT_ROWS if self.device.family == "cpu" else 64 * TEXT_ROWS
        if self._assembler.has_images:
            return size
        rate = self.layout.rows_per_second
        each = self._seen.rows_per_second if rate is None else rate / self.layout.sessions
        wanted = FIRST_ROWS if each is None else int(each * TASK_SECONDS)
        return min(max(wanted // size, 1) * size, max(READ_ROWS, size))

    def settle_layout(self, batch: pa.RecordBatch, arguments: Sequence[str]) -> None:
        """Measure on the first rows, once, where nothing is declared or cached."""
        with self._measuring:
            if self._tried or batch.num_rows < measure.WORTH_IT:
                return
            self._tried = True
            sizes = measure.CPU_SIZES if self.device.family == "cpu" else measure.GPU_SIZES
            try:
                block = self._assembler.block(batch.slice(0, sizes[-1]), arguments)
            except Exception:  # the rows that cannot be assembled are found when they are scored
                return
            found = self._measure(block, tuple(size for size in sizes if size <= block.rows))
            if found is None:
                return
            self.layout = replace(
                self.layout,
                batch_size=found.batch_size,
                rows_per_second=found.rows_per_second * self.layout.sessions,
                source="measured",
            )
            if not self._limits.halved:
                self._limits.batch_size = found.batch_size
            self._remember(self.layout)

    def _measure(self, block: Block, sizes: tuple[int, ...]) -> measure.Measured | None:
        kernel, scratch, at = self._kernels[0], Scratch(), 0

        def run(size: int) -> None:
            """Vary the rows: repeated ones train the branch predictor."""
            nonlocal at
            at = at if at + size <= block.rows else 0
            generation = kernel.generation
            try:
                kernel.run(block.feeds(at, at + size, scratch))
                at += size
            except KernelOutOfMemory:
                kernel.rebuild(generation)
                raise

        with np.errstate(over="ignore", invalid="ignore"):
            return measure.measure(run, sizes)

    def _remember(self, layout: Layout) -> None:
        if self._cache_dir is not None:
            write_layout(self._cache_dir, self.contract.digest, self.device.family, layout)


def _missing(block: Block, errors: dict[int, str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]] | None:
    if len(errors) == 0 and block.null_inputs == 0:
        return None
    missing = np.zeros(block.total, dtype=bool)
    if block.null_inputs or block.rejected:
        missing[:] = True
        if block.rows:
            missing[slice(None) if block.positions is None else block.positions] = False
    missing[list(errors)] = True
    return missing


def _error_column(total: int, errors: dict[int, str]) -> pa.Array:
    if not errors:
        return pa.nulls(total, pa.string())
    column: list[str | None] = [None] * total
    for row, error in errors.items():
        column[row] = error
    return from_texts(column)


def open_session(
    prepared: PreparedFunction,
    *,
    device: str = "auto",
    threads: int | None = None,
    cache_dir: Path | None = None,
    batch_size: int | None = None,
) -> Passes:
    """Load a prepared function; one without a graph is loaded by its processes.

    ``device='auto'`` is what the contract says, ``batch_size`` wins over everything.

    Raises:
        DeviceError: the device that was asked for does not work.
        ArtifactError: the graph does not load.
    """
    if prepared.native is not None:
        from sqlinfer.inference.native_session import open_native_session

        return open_native_session(prepared, threads=threads)
    from sqlinfer.inference import build

    chosen = resolve_device(prepared.contract.device if device == "auto" else device)
    layout = _first_layout(prepared, chosen, threads or core_count(), cache_dir, batch_size)
    kernels, runnable = build.kernels(prepared, chosen, layout.sessions, cache_dir)
    assembler = Assembler(prepared, runnable)
    return Session(prepared, kernels, layout, device=chosen, cache_dir=cache_dir, assembler=assembler)


def _first_layout(
    prepared: PreparedFunction, device: Device, threads: int, cache_dir: Path | None, batch_size: int | None
) -> Layout:
    on_cpu = device.family == "cpu"
    sessions = threads if on_cpu else 2 * len(device.indices)
    tokens = None if prepared.tokenizer is None else (text.CPU_TOKENS if on_cpu else text.GPU_TOKENS)
    contract = prepared.contract
    declared = 1 if not contract.row_wise else batch_size or contract.batch_size
    if declared:
        return Layout(declared, sessions, 1, source="declared", token_budget=tokens)
    cached = read_layout(cache_dir, contract.digest, device.family) if cache_dir else None
    if cached is not None:
        return replace(cached, sessions=sessions)
    default = 32 if prepared.image is not None else DEFAULT_BATCH if on_cpu else 16 * DEFAULT_BATCH
    return Layout(default, sessions, 1, source="default", token_budget=tokens)
