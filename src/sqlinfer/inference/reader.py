"""The stream of scored batches: pulls the input in one thread, scores in others, hands out results in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from sqlinfer import arrays
from sqlinfer.errors import AdapterError, InferenceError
from sqlinfer.inference.pipeline import Pipeline
from sqlinfer.inference.scoring import Outcomes
from sqlinfer.scrub import scrub
from sqlinfer.withheld import warehouse_message

if TYPE_CHECKING:
    from sqlinfer.inference.batch_result import BatchResult
    from sqlinfer.inference.passes import Passes
    from sqlinfer.spec.error_policy import ErrorPolicy


@dataclass(slots=True)
class ScoreCounts:
    """Rows delivered so far: ``rows = scored + null_inputs + errors``."""

    rows: int = 0
    scored: int = 0
    null_inputs: int = 0
    errors: int = 0


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


class ScoredReader:
    """Iterate once. Ends, errors, ``close`` and leaving the context all stop the threads and close the input."""

    def __init__(
        self,
        session: Passes,
        reader: pa.RecordBatchReader | ScoredReader,
        arguments: tuple[str, ...],
        keep: tuple[str, ...],
        *,
        as_column: str | None,
        error_column: str,
        policy: ErrorPolicy | None,
        total: int | None,
        cancel: threading.Event | None,
        on_progress: Callable[[int], None] | None,
    ) -> None:
        self._session = session
        self._reader = reader
        self._arguments = arguments
        self._keep = keep
        self._as_column = as_column
        self._on_progress = on_progress
        kept = [_field(reader.schema, name) for name in keep]
        fields = [*kept, *session.output_fields(as_column), pa.field(error_column, pa.string())]
        self.schema: pa.Schema = pa.schema(fields)
        self.counts = ScoreCounts()
        self._read_rows = 0
        self._read_seconds = 0.0
        self._work_seconds = 0.0
        self._lock = threading.Lock()
        self._scorers = session.scorers(Outcomes(policy, total), lambda: self._pipeline.stopped)
        workers = [partial(self._work, scorer) for scorer in self._scorers]
        self._pipeline: Pipeline[pa.RecordBatch, tuple[pa.RecordBatch, BatchResult]] = Pipeline(
            self._tasks(), workers, 2 * len(workers) + 2, cancel
        )
        self._batches = self._deliver()

    @property
    def seconds(self) -> Seconds:
        assemble = sum(scorer.times.assemble for scorer in self._scorers)
        kernel = sum(scorer.times.kernel for scorer in self._scorers)
        finish = max(0.0, self._work_seconds - assemble - kernel)
        return Seconds(self._read_seconds, assemble, kernel, finish, self._pipeline.wait_seconds, len(self._scorers))

    @property
    def runs(self) -> int:
        """Runs of the graph so far."""
        return sum(scorer.times.runs for scorer in self._scorers)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def to_reader(self) -> pa.RecordBatchReader:
        """The same stream as an Arrow reader. Closing that one stops nothing: close this one too."""
        return pa.RecordBatchReader.from_batches(self.schema, self._batches)

    def read_next_batch(self) -> pa.RecordBatch:
        """As an Arrow reader does, so that a pass can read another one and close it with itself.

        Raises:
            StopIteration: at the end.
        """
        return next(self._batches)

    def close(self) -> None:
        self._pipeline.close()
        self._batches.close()
        self._reader.close()

    def _deliver(self) -> Generator[pa.RecordBatch, None, None]:
        try:
            for batch, result in self._pipeline:
                yield self._record(batch, result)
            if self.counts.rows != self._read_rows and not self._pipeline.cancelled:
                raise InferenceError(f"{self._read_rows} rows were read, {self.counts.rows} came out")
        finally:
            self._pipeline.close()
            self._reader.close()

    def _record(self, batch: pa.RecordBatch, result: BatchResult) -> pa.RecordBatch:
        counts = self.counts
        counts.rows += result.rows
        counts.null_inputs += result.null_inputs
        counts.errors += result.failed
        counts.scored += result.rows - result.null_inputs - result.failed
        if self._on_progress is not None:
            self._on_progress(counts.rows)
        columns = [batch.column(batch.schema.get_field_index(name)) for name in self._keep]
        return pa.RecordBatch.from_arrays([*columns, *self._results(result), result.errors], schema=self.schema)

    def _results(self, result: BatchResult) -> list[pa.Array]:
        if self._as_column is None or not self._session.contract.is_struct:
            return list(result.arrays)
        mask = None if result.missing is None else arrays.from_numpy(result.missing)
        fields = list(self.schema.field(len(self._keep)).type)
        return [pa.StructArray.from_arrays(list(result.arrays), fields=fields, mask=mask)]

    def _work(self, scorer: Any, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, BatchResult]:
        began = perf_counter()
        result = self._session.run_with(scorer, batch, self._arguments)
        with self._lock:
            self._work_seconds += perf_counter() - began
        return batch, result

    def _tasks(self) -> Iterator[pa.RecordBatch]:
        """The input cut, or put together, to tasks of a good size."""
        pending: list[pa.RecordBatch] = []
        rows = 0
        for batch in self._read():
            if batch.num_rows == 0:
                continue
            self._session.settle_layout(batch, self._arguments)
            pending.append(batch)
            rows += batch.num_rows
            wanted = self._session.task_rows()
            if rows >= min(wanted, 32_768):
                yield from _cut(pending, wanted)
                pending, rows = [], 0
        yield from _cut(pending, self._session.task_rows())

    def _read(self) -> Iterator[pa.RecordBatch]:
        while True:
            began = perf_counter()
            try:
                batch = self._reader.read_next_batch()
            except StopIteration:
                return
            except pa.ArrowException as error:  # what the warehouse raises while it streams
                raise AdapterError(f"reading the rows failed: {warehouse_message(scrub(str(error)))}") from None
            finally:
                self._read_seconds += perf_counter() - began
            self._read_rows += batch.num_rows
            yield batch


def _cut(pending: list[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    if not pending:
        return
    whole = pending[0] if len(pending) == 1 else pa.concat_batches(pending)
    for start in range(0, whole.num_rows, rows):
        yield whole.slice(start, rows)


def _field(schema: pa.Schema, name: str) -> pa.Field:
    position = schema.get_field_index(name)
    if position < 0:
        raise InferenceError(f"the stream to score has no column '{name}' (or has it twice)")
    return schema.field(position)
