"""Everything that running a node needs besides its plan. Opened by the caller and handed in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, Self

from sqlinfer.adapters.base import Workspace
from sqlinfer.errors import RunError
from sqlinfer.relation import Relation
from sqlinfer.runner.events import Emit, ignore
from sqlinfer.spec.function import PreparedFunction

if TYPE_CHECKING:
    import pyarrow as pa

STORE_CHUNK, STREAM_CHUNK = 65_536, 500_000


class Scored(Protocol):
    """A stream of scored batches: kept columns, the result column, the error column. Closing it stops its threads."""

    schema: pa.Schema
    seconds: Any
    """Attributes read, assemble, kernel, finish, wait: seconds so far."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: Any) -> None: ...

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...

    def to_reader(self) -> pa.RecordBatchReader: ...


class Session(Protocol):
    """What the runner needs of ``inference.Session``."""

    def score(
        self,
        reader: pa.RecordBatchReader,
        arguments: Sequence[str],
        keep: Sequence[str],
        *,
        as_column: str | None = None,
        error_column: str = "error",
    ) -> Scored: ...


SessionFactory = Callable[[PreparedFunction], AbstractContextManager[Any]]
"""Yields a ``Session``; ``functools.partial(open_session, device=…)`` is one."""


def now_utc() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RunEnvironment:
    workspace: Workspace
    run_id: str
    functions: Mapping[str, PreparedFunction]
    """By name, pinned for the whole run."""
    session_factory: SessionFactory
    emit: Emit = ignore
    cancel: threading.Event = field(default_factory=threading.Event)
    """Set by the caller's signal handler; the chunk loop stops after the chunk in hand."""
    now: Callable[[], datetime] = now_utc
    version: str = "0"
    full_refresh: bool = False
    publish_timeout: float = 300.0
    max_error_rate: float = 0.01
    store_chunk: int = STORE_CHUNK
    stream_chunk: int = STREAM_CHUNK
    chunk_seconds: float = 10.0
    relations: Mapping[str, Relation] = field(default_factory=dict)
    """Node and source names that data tests refer to → their relations."""

    def function(self, name: str, digest: str) -> PreparedFunction:
        prepared = self.functions.get(name)
        if prepared is None or prepared.contract.digest != digest:
            raise RunError(f"function '{name}' is not the one that the query was compiled with", hint="run again")
        return prepared

    def stop_if_cancelled(self) -> None:
        if self.cancel.is_set():
            raise Cancelled("interrupted; what was scored is kept", hint="`sqlinfer run` or `sqlinfer retry` continues")


class Cancelled(RunError):
    """The caller asked to stop. Everything committed so far stays."""
