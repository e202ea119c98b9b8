"""The stream of scored batches: pulls the input in one thread, scores in others, hands out results in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from sqlinfer.errors import AdapterError, InferenceError
from sqlinfer.inference.part import OpenPart, ScoreCounts, Seconds
from sqlinfer.inference.pipeline import Pipeline
from sqlinfer.inference.sharing import Shared
from sqlinfer.scrub import scrub
from sqlinfer.withheld import warehouse_message

if TYPE_CHECKING:
    from sqlinfer.inference.batch_result import BatchResult
    from sqlinfer.spec.session import Part


FEWEST_ROWS = 4096
"""Of a task that several functions score: a block costs each of them a tenth of a millisecond."""


class ScoredReader:
    """Iterate once. Ends, errors, ``close`` and leaving the context all stop the threads and close the input."""

    def __init__(
        self,
        reader: pa.RecordBatchReader | ScoredReader,
        parts: tuple[Part, ...],
        keep: tuple[str, ...],
        *,
        total: int | None,
        cancel: threading.Event | None,
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        """Sessions of several ``parts`` have as many workers as each other."""
        self._reader = reader
        self._keep = keep
        self._on_progress = on_progress
        self._read_rows = 0
        self._read_seconds = 0.0
        self.parts = tuple(self._opened(part, position, total) for position, part in enumerate(parts))
        kept = [_field(reader.schema, name) for name in keep]
        self.schema: pa.Schema = pa.schema([*kept, *(field for part in self.parts for field in part.fields)])
        made = [key for part in self.parts for key in part.makes()]
        self._pipeline: Pipeline[pa.RecordBatch, tuple[pa.RecordBatch, list[BatchResult]]] = Pipeline(
            self._tasks(),
            [partial(self._work, worker, Shared(made)) for worker in range(self._workers)],
            2 * self._workers + 2,
            cancel,
        )
        self._batches = self._deliver()

    def _opened(self, part: Part, position: int, total: int | None) -> OpenPart:
        """The first part's seconds have those of reading."""
        return OpenPart(part, total, lambda: self._pipeline.stopped, lambda: 0.0 if position else self._read_seconds)

    @property
    def _workers(self) -> int:
        return len(self.parts[0].scorers)

    @property
    def counts(self) -> ScoreCounts:
        """Of the first part."""
        return self.parts[0].counts

    @property
    def seconds(self) -> Seconds:
        """Of the first part."""
        return replace(self.parts[0].seconds, wait=self._pipeline.wait_seconds)

    @property
    def runs(self) -> int:
        """Runs of the graphs so far."""
        return sum(part.runs for part in self.parts)

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
            for batch, results in self._pipeline:
                yield self._record(batch, results)
            if self.counts.rows != self._read_rows and not self._pipeline.cancelled:
                raise InferenceError(f"{self._read_rows} rows were read, {self.counts.rows} came out")
        finally:
            self._pipeline.close()
            self._reader.close()

    def _record(self, batch: pa.RecordBatch, results: list[BatchResult]) -> pa.RecordBatch:
        columns = [batch.column(batch.schema.get_field_index(name)) for name in self._keep]
        for part, result in zip(self.parts, results, strict=True):
            part.counts.add(result)
            columns += part.columns(result)
        if self._on_progress is not None:
            self._on_progress(self.counts.rows)
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _work(self, worker: int, shared: Shared, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, list[BatchResult]]:
        shared.begin()
        return batch, [part.score(worker, batch, shared) for part in self.parts]

    def _tasks(self) -> Iterator[pa.RecordBatch]:
        """The input cut, or put together, to tasks of a good size."""
        pending: list[pa.RecordBatch] = []
        rows = 0
        for batch in self._read():
            if batch.num_rows == 0:
                continue
            for part in self.parts:
                part.settle_layout(batch)
            pending.append(batch)
            rows += batch.num_rows
            wanted = self._task_rows()
            if rows >= min(wanted, 32_768):
                yield from _cut(pending, wanted)
                pending, rows = [], 0
        yield from _cut(pending, self._task_rows())

    def _task_rows(self) -> int:
        """Several functions take a task as long together as one of them alone."""
        wanted = [part.task_rows() for part in self.parts]
        if len(wanted) == 1:
            return wanted[0]
        return max(int(1 / sum(1 / rows for rows in wanted)), min(*wanted, FEWEST_ROWS))

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
