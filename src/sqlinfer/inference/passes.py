"""What every session offers, wherever its kernels run: a stream of batches → a stream of scored batches."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from sqlinfer.spec.function import FunctionContract, PreparedFunction
from sqlinfer.spec.session import Part
from sqlinfer.types import arrow_type

if TYPE_CHECKING:
    from sqlinfer.inference.batch_result import BatchResult
    from sqlinfer.inference.providers import Device
    from sqlinfer.inference.reader import ScoredReader
    from sqlinfer.inference.scoring import Outcomes
    from sqlinfer.inference.sharing import Shared
    from sqlinfer.spec.error_policy import ErrorPolicy


class Passes(ABC):
    """The parts of a session that do not depend on where it runs."""

    prepared: PreparedFunction
    contract: FunctionContract
    device: Device
    quarantined = 0
    """Rows given up because they ended or stopped the process that scored them."""

    @property
    def categories(self) -> Mapping[int, Sequence[str]]:
        """Position of an argument whose texts feed as codes → the texts that have one. Such a column may come as a
        dictionary array; texts that are not among them feed as unknown, whatever they are."""
        return {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None: ...

    def load(self) -> None:
        """Load now what is loaded on demand otherwise.

        Raises:
            InferenceError: it does not load.
        """
        return

    @abstractmethod
    def run_batch(self, batch: pa.RecordBatch, arguments: Sequence[str]) -> BatchResult:
        """Score one batch, from any thread."""

    @abstractmethod
    def scorers(self, outcomes: Outcomes, cancelled: Callable[[], bool]) -> Sequence[Any]:
        """One per worker thread of a pass; each has ``times``."""

    @abstractmethod
    def run_with(
        self, scorer: Any, batch: pa.RecordBatch, arguments: Sequence[str], shared: Shared | None = None
    ) -> BatchResult:
        """``shared``: what other functions have made of the same batch, where they score it in this thread."""

    def makes(self, arguments: Sequence[str]) -> Sequence[Hashable]:
        """See ``Assembling.makes``."""
        return ()

    def joins(self, other: object) -> bool:
        """Whether one pass can score with both, batch by batch in the same threads."""
        return False

    @abstractmethod
    def settle_layout(self, batch: pa.RecordBatch, arguments: Sequence[str]) -> None:
        """Called with the first rows, before they are cut into tasks."""

    @abstractmethod
    def task_rows(self) -> int:
        """Rows that one worker takes at a time."""

    def score(
        self,
        reader: pa.RecordBatchReader | ScoredReader,
        arguments: Sequence[str],
        keep: Sequence[str],
        *,
        as_column: str | None = None,
        error_column: str = "error",
        policy: ErrorPolicy | None = None,
        total: int | None = None,
        cancel: threading.Event | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> ScoredReader:
        """Score a stream. Nothing is read before the result is iterated; the reader is closed with it.

        Args:
            reader: an Arrow reader, or the stream of another pass.
            arguments: columns of the stream, in the contract's order.
            keep: columns handed on unchanged.
            as_column: one result column of this name (a struct where the contract says so) instead of one per output.
            policy: when to give up because of rows that fail at runtime; None: never.
            total: rows that there are at most, where the caller knows.
            cancel: when it is set, the stream ends early, between two runs of the graph.
            on_progress: called by the consumer's thread with the rows done so far.
        """
        from sqlinfer.inference.reader import ScoredReader

        part = Part(self, tuple(arguments), as_column, error_column, policy)
        return ScoredReader(reader, (part,), tuple(keep), total=total, cancel=cancel, on_progress=on_progress)

    def score_together(
        self,
        reader: pa.RecordBatchReader | ScoredReader,
        parts: Sequence[Part],
        keep: Sequence[str],
        *,
        total: int | None = None,
        cancel: threading.Event | None = None,
    ) -> ScoredReader:
        """Score a stream with several functions, whose sessions this one ``joins``: each batch is read once.

        Args:
            parts: this session's own among them.
        """
        from sqlinfer.inference.reader import ScoredReader

        return ScoredReader(reader, tuple(parts), tuple(keep), total=total, cancel=cancel)

    def score_table(
        self,
        table: pa.Table,
        arguments: Sequence[str] | None = None,
        keep: Sequence[str] | None = None,
        *,
        as_column: str | None = None,
        error_column: str = "error",
    ) -> pa.Table:
        """Score a table in memory. By default arguments are the columns of their names and all columns are kept."""
        names = arguments or [argument.name for argument in self.contract.arguments]
        kept = table.column_names if keep is None else keep
        with self.score(table.to_reader(), names, kept, as_column=as_column, error_column=error_column) as scored:
            return pa.Table.from_batches(scored, schema=scored.schema)

    def output_fields(self, as_column: str | None) -> list[pa.Field]:
        fields = [pa.field(output.name, arrow_type(output.data_type)) for output in self.contract.outputs]
        if as_column is None:
            return fields
        return [pa.field(as_column, pa.struct(fields) if self.contract.is_struct else fields[0].type)]
