"""A scorer without a model, for tests of what reads and writes around it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sqlinfer.spec.function import PreparedFunction
from sqlinfer.spec.names import error_column
from sqlinfer.spec.plan import Call


@dataclass(frozen=True, slots=True)
class Heard:
    """Numbers that a scorer has seen, in a file: it may run in other processes of this machine."""

    path: Path

    def __iadd__(self, numbers: Sequence[float]) -> Heard:
        if numbers:
            with self.path.open("a") as file:
                file.write("".join(f"{number!r}\n" for number in numbers))
        return self

    @property
    def numbers(self) -> list[float]:
        return [float(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


ROWS = 2
"""Of a scored batch, so that few rows make several chunks."""


@dataclass(slots=True)
class Doubling:
    """``value = 2 x`` for the first argument, which is a number; a negative one is a bad row. Remembers what it saw."""

    calls: tuple[Call, ...]
    functions: tuple[PreparedFunction, ...]
    seen: list[float] | Heard = field(default_factory=list)
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @contextmanager
    def opened(self) -> Iterator[Doubling]:
        yield self

    def score(
        self,
        reader: pa.RecordBatchReader,
        keep: Iterable[str],
        *,
        total: int | None = None,
        cancel: threading.Event | None = None,
    ) -> DoublingPass:
        names = set(keep)
        return DoublingPass(self, reader, tuple(name for name in reader.schema.names if name in names))


@dataclass(slots=True)
class _Part:
    """Seconds and counts of one call, as a session tells them."""

    null_inputs: int = 0
    read: float = 0.0
    assemble: float = 0.0
    kernel: float = 0.0
    finish: float = 0.0
    workers: int = 1

    @property
    def counts(self) -> _Part:
        return self

    @property
    def seconds(self) -> _Part:
        return self


class DoublingPass:
    def __init__(self, scorer: Doubling, reader: pa.RecordBatchReader, keep: tuple[str, ...]) -> None:
        self._scorer, self._reader, self._keep = scorer, reader, keep
        self.parts: Any = [_Part() for _ in scorer.calls]
        fields = [reader.schema.field(name) for name in keep]
        for position, call in enumerate(scorer.calls):
            fields += [pa.field(call.output, pa.float64()), pa.field(error_column(position), pa.string())]
        self.schema = pa.schema(fields)

    def __enter__(self) -> DoublingPass:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in _pieces(self._reader):
            columns = [batch.column(name) for name in self._keep]
            for call, part in zip(self._scorer.calls, self.parts, strict=True):
                x = batch.column(call.arguments[0]).cast(pa.float64())
                part.null_inputs += x.null_count
                self._scorer.seen += x.drop_null().to_pylist()
                bad = pc.fill_null(pc.less(x, 0.0), False)
                columns.append(pc.if_else(bad, pa.scalar(None, pa.float64()), pc.multiply(x, 2.0)))
                columns.append(pc.if_else(bad, pa.scalar("runtime: negative"), pa.scalar(None, pa.string())))
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _pieces(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        for start in range(0, batch.num_rows, ROWS):
            yield batch.slice(start, ROWS)
