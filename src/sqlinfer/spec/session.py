"""What the runner needs of a scoring session; ``inference`` has the real ones, tests bring their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from sqlinfer.spec.error_policy import ErrorPolicy
from sqlinfer.spec.function import PreparedFunction

if TYPE_CHECKING:
    import pyarrow as pa


READ_ROWS = 122_880
"""Rows of a batch that feeds a session: DuckDB's row group (measured: half as fast again as 16k)."""


class PassCounts(Protocol):
    @property
    def null_inputs(self) -> int:
        """Rows so far that had a NULL argument."""


class PassSeconds(Protocol):
    """Seconds so far of each stage of a pass, summed over the threads that did it."""

    @property
    def read(self) -> float: ...

    @property
    def assemble(self) -> float: ...

    @property
    def kernel(self) -> float: ...

    @property
    def finish(self) -> float: ...

    @property
    def workers(self) -> int:
        """Threads that assembled, ran and finished side by side."""


class ScoredPart(Protocol):
    """What one function of a pass has done so far."""

    @property
    def counts(self) -> PassCounts: ...

    @property
    def seconds(self) -> PassSeconds: ...


class Scored(ScoredPart, Protocol):
    """A stream of scored batches: kept columns, the result column, the error column. Closing it stops its threads."""

    @property
    def schema(self) -> pa.Schema: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...

    def to_reader(self) -> pa.RecordBatchReader: ...


class ScoredTogether(Scored, Protocol):
    """A stream with the results of several functions: their result and error columns stand in pairs."""

    @property
    def parts(self) -> Sequence[ScoredPart]:
        """One for each function, in order; the first has the seconds of reading."""


@dataclass(frozen=True, slots=True)
class Part:
    """One function of a pass that several go through together."""

    session: Session
    arguments: tuple[str, ...]
    as_column: str | None = None
    error_column: str = "error"
    policy: ErrorPolicy | None = None


class Session(Protocol):
    """One function, ready to score."""

    @property
    def quarantined(self) -> int:
        """Rows given up because they ended or stopped the process that scored them."""

    @property
    def categories(self) -> Mapping[int, Sequence[str]]:
        """Position of an argument whose texts feed as codes → the texts that have one. Such a column may come as a
        dictionary array; texts that are not among them feed as unknown, whatever they are."""

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
    ) -> Scored:
        """Score a stream.

        Args:
            arguments: columns of the stream, in the contract's order.
            keep: columns handed on unchanged.
            as_column: one result column of this name instead of one per output.
            policy: when to give up because of rows that fail; None: never.
            total: rows that there are at most, where the caller knows.
            cancel: when it is set, the stream ends early.
        """

    def joins(self, other: Session) -> bool:
        """Whether one pass can score with both, batch by batch in the same threads."""

    def score_together(
        self,
        reader: pa.RecordBatchReader,
        parts: Sequence[Part],
        keep: Sequence[str],
        *,
        total: int | None = None,
        cancel: threading.Event | None = None,
    ) -> ScoredTogether:
        """Score a stream with several functions, whose sessions this one ``joins``: each batch is read once.

        Args:
            parts: this session's own among them.
        """


SessionFactory = Callable[[PreparedFunction], AbstractContextManager[Session]]
"""``functools.partial(open_session, device=…)`` is one."""
