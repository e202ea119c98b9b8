"""What a warehouse is handed to score with, and what it hands back.

The warehouse reads batches, puts them through a ``Scorer`` and writes what comes out, in commits that outlive the
process. It does so here (DuckDB, PostgreSQL) or ships the scorer to where the rows are (Spark).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from sqlinfer.errors import Cancelled
from sqlinfer.spec.function import FunctionContract, PreparedFunction
from sqlinfer.spec.plan import Call, Counts
from sqlinfer.spec.seconds import Seconds
from sqlinfer.spec.session import READ_ROWS, ScoredPart
from sqlinfer.types import value_bytes

if TYPE_CHECKING:
    import pyarrow as pa


class ScoredPass(Protocol):
    """Scored batches, once: columns that were kept, and for each call ``Call.output`` and ``names.error_column``.

    Closing the pass stops its threads and closes the reader.
    """

    @property
    def schema(self) -> pa.Schema: ...

    @property
    def parts(self) -> Sequence[ScoredPart]:
        """One for each call, in order: its seconds and counts so far."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...


class OpenScorer(Protocol):
    """A scorer whose functions are loaded in this process. Several passes may be made one after the other."""

    @property
    def categories(self) -> Mapping[str, Sequence[str]]:
        """Argument column → the texts that feed as codes. It may come as a dictionary array; texts that are not among
        them feed as unknown."""

    def score(
        self,
        reader: pa.RecordBatchReader,
        keep: Iterable[str],
        *,
        total: int | None = None,
        cancel: threading.Event | None = None,
    ) -> ScoredPass:
        """Nothing is read before the pass is iterated.

        Args:
            keep: columns of the reader that are handed on unchanged.
            total: rows that there are at most, for the error policy; None where that is not known.
            cancel: when it is set, the pass ends early.
        """


class Scorer(Protocol):
    """Calls that are scored in one pass over the rows.

    It can be pickled where its session factory can: ``functions`` say what has to be there on the other machine.
    """

    @property
    def calls(self) -> tuple[Call, ...]:
        """Their ``arguments`` are columns of the batches."""

    @property
    def functions(self) -> tuple[PreparedFunction, ...]:
        """That of each call."""

    def opened(self) -> AbstractContextManager[OpenScorer]:
        """Load the functions in this process, each once."""


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """How much work is committed at a time, and how much of it waits in memory."""

    rows: int
    quick_rows: int | None = None
    """Rows of a chunk that takes next to no time; None: as ``rows``."""
    seconds: float = 10.0
    nbytes: int = 128 << 20
    read_bytes: int = 32 << 20
    """Bytes of one batch that is read."""

    def read_rows(self, contracts: Iterable[FunctionContract]) -> int:
        """Rows of one batch that is read: fewer where the arguments are wide."""
        width = sum(value_bytes(argument.data_type) for contract in contracts for argument in contract.arguments)
        return max(64, min(READ_ROWS, self.read_bytes // max(width, 1)))


def stop_if(cancel: threading.Event) -> None:
    """Raises Cancelled where the caller has asked to stop."""
    if cancel.is_set():
        raise Cancelled("interrupted; what was scored is kept", hint="`sqlinfer run` or `sqlinfer retry` continues")


@dataclass(frozen=True, slots=True)
class Watch:
    """Who looks on while a pass is made."""

    limits: ChunkLimits
    cancel: threading.Event
    """Asked after each commit (``stop_if``), and handed to the session."""
    seconds: Seconds
    """What a pass spends is added: ``write``, and what its sessions say."""
    committing: Callable[[int], None] = lambda _: None
    """Called inside the transaction that commits a chunk, with the progress after it (``Todo.progress`` and what was
    committed since): it writes notes."""
    progress: Callable[[int, int | None, Mapping[str, float]], None] = lambda *_: None
    """Called after each commit: rows done, rows that there are (None: not known), seconds so far."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of one call in a pass."""

    rows: int = 0
    """Rows that came back and were committed."""
    skipped: int = 0
    nulls: int = 0
    errors: int = 0

    @property
    def counts(self) -> Counts:
        inputs = self.rows - self.skipped
        return Counts(inputs, inputs - self.nulls - self.errors, 0, self.nulls, self.errors)
