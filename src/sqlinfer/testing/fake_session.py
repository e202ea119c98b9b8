"""A session that doubles numbers, for tests of what stands around sessions: negative ones fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

from sqlinfer.spec.error_policy import ErrorPolicy
from sqlinfer.spec.function import Argument, FunctionContract, Output, PreparedFunction, Strategy

if TYPE_CHECKING:
    import pyarrow as pa

FAILED = "runtime: negative"


def twice(strategy: Strategy = "store", digest: str = "a" * 64) -> PreparedFunction:
    """``twice(x)``: a double, its double."""
    arguments, outputs = (Argument("x", "DOUBLE"),), (Output("value", "DOUBLE"),)
    contract = FunctionContract("twice", digest, arguments, outputs, strategy=strategy)
    return PreparedFunction(contract, Path(), Path(), (), ())


@dataclass(frozen=True, slots=True)
class FakeCounts:
    null_inputs: int = 0


@dataclass(frozen=True, slots=True)
class FakeSeconds:
    read: float = 0.0
    assemble: float = 0.0
    kernel: float = 0.0
    finish: float = 0.0
    workers: int = 1


@dataclass(slots=True)
class DoublingSession:
    """A ``spec.session.Session`` for ``twice``."""

    seen: list[float] = field(default_factory=list)
    """What was scored, in order."""
    quarantined: int = 0
    categories: Mapping[int, Sequence[str]] = field(default_factory=dict)

    @contextmanager
    def opened(self, _: PreparedFunction) -> Iterator[Self]:
        """A ``SessionFactory``."""
        yield self

    def joins(self, _: object) -> bool:
        return False

    def score_together(self, *_: object, **__: object) -> NoReturn:
        raise AssertionError("it joins no other session")

    def score(
        self,
        reader: pa.RecordBatchReader,
        arguments: Sequence[str],
        keep: Sequence[str],
        *,
        as_column: str | None = None,
        error_column: str = "error",
        policy: ErrorPolicy | None = None,
        total: int | None = None,
        cancel: threading.Event | None = None,
    ) -> DoubledPass:
        import pyarrow as pa

        kept = [reader.schema.field(name) for name in keep]
        own = [pa.field(as_column or "value", pa.float64()), pa.field(error_column, pa.string())]
        return DoubledPass(self, reader, arguments[0], pa.schema([*kept, *own]))


@dataclass(slots=True)
class DoubledPass:
    """A ``spec.session.Scored``."""

    session: DoublingSession
    reader: pa.RecordBatchReader
    argument: str
    schema: pa.Schema
    counts: FakeCounts = FakeCounts()
    seconds: FakeSeconds = FakeSeconds()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reader.close()

    def to_reader(self) -> pa.RecordBatchReader:
        import pyarrow as pa

        return pa.RecordBatchReader.from_batches(self.schema, iter(self))

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.compute as pc

        for batch in self.reader:
            values = batch.column(batch.schema.get_field_index(self.argument)).cast(pa.float64())
            self.session.seen += values.drop_null().to_pylist()
            self.counts = FakeCounts(self.counts.null_inputs + values.null_count)
            bad = pc.fill_null(pc.less(values, 0), False)
            doubled = pc.if_else(bad, pa.scalar(None, pa.float64()), pc.multiply(values, 2.0))
            error = pc.if_else(bad, pa.scalar(FAILED), pa.scalar(None, pa.string()))
            kept = [batch.column(batch.schema.get_field_index(name)) for name in self.schema.names[:-2]]
            yield pa.RecordBatch.from_arrays([*kept, doubled, error], schema=self.schema)
