"""Everything that running a node needs besides its plan. Opened by the caller and handed in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlinfer.adapters.base import Workspace
from sqlinfer.errors import RunError
from sqlinfer.relation import Relation
from sqlinfer.runner.bounds import Bounds
from sqlinfer.spec.error_policy import ErrorPolicy
from sqlinfer.spec.events import Emit, ignore
from sqlinfer.spec.function import FunctionContract, PreparedFunction
from sqlinfer.spec.prices import Prices
from sqlinfer.spec.scorer import ChunkLimits, stop_if
from sqlinfer.spec.session import SessionFactory
from sqlinfer.spec.window import Window
from sqlinfer.storage import NOWHERE, Access

STORE_CHUNK, STREAM_CHUNK = 65_536, 500_000
QUICK_CHUNK = 262_144
CHUNK_BYTES, READ_BYTES = 128 << 20, 32 << 20
FUSE_BYTES, KEYED_ROWS = 8 << 20, 200_000


def now_utc() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RunEnvironment:
    workspace: Workspace
    run_id: str
    functions: Mapping[str, PreparedFunction]
    """By name, pinned for the whole run."""
    session_factory: SessionFactory
    isolated_factory: SessionFactory | None = None
    """The same in worker processes; used for a function that ended a run."""
    emit: Emit = ignore
    cancel: threading.Event = field(default_factory=threading.Event)
    """Set by the caller's signal handler; the chunk loop stops after the chunk in hand."""
    now: Callable[[], datetime] = now_utc
    version: str = "0"
    root: Path = Path()
    """The project's folder, for relative locations."""
    access: Access = NOWHERE
    """How buckets are reached."""
    may_write: Callable[..., None] = lambda *_, **__: None
    """Raises where an external model may not write; asked before its file is written and before it is put in place."""
    full_refresh: bool = False
    publish_timeout: float = 300.0
    max_error_rate: float | None = None
    """The node's own; None: that of each function."""
    store_chunk: int = STORE_CHUNK
    quick_chunk: int = QUICK_CHUNK
    stream_chunk: int = STREAM_CHUNK
    chunk_seconds: float = 10.0
    chunk_bytes: int = CHUNK_BYTES
    read_bytes: int = READ_BYTES
    """Bounds of what waits in memory for a commit, and of one batch that is read."""
    fuse_bytes: int | None = FUSE_BYTES
    """From here on a stream is read straight into the session. Below, a copy takes some hundredths of a second, and
    the warehouse stays free while scoring runs."""
    keyed_rows: int = KEYED_ROWS
    """From here on two narrow passes over a table beat staging all its arguments."""
    retry_errors: bool = False
    """Remembered failures are forgotten first, so that those inputs are tried again."""
    files_of: Callable[[str], Mapping[str, str]] = lambda _: {}
    """Files that a function is made of, with their sha256, for the run record."""
    relations: Mapping[str, Relation] = field(default_factory=dict)
    """Node and source names that data tests refer to → their relations."""
    filed: Mapping[str, Relation] = field(default_factory=dict)
    """Those whose rows are files."""
    window: Window | None = None
    """The slice of a backfill."""
    bounds: Bounds = field(default_factory=Bounds)
    """What the run may spend."""
    prices: Prices | None = None
    rate: Callable[[FunctionContract], float | None] = lambda _: None
    """Rows that a function scores in a second, where that was measured on this machine."""
    devices: Mapping[str, str] = field(default_factory=dict)
    """Digest of a function that has been loaded → the device that it runs on."""

    def function(self, name: str, digest: str) -> PreparedFunction:
        prepared = self.functions.get(name)
        if prepared is None or prepared.contract.digest != digest:
            raise RunError(f"function '{name}' is not the one that the query was compiled with", hint="run again")
        return prepared

    def error_policy(self, contract: FunctionContract) -> ErrorPolicy:
        return ErrorPolicy.of(contract, self.max_error_rate)

    @property
    def store_limits(self) -> ChunkLimits:
        return ChunkLimits(self.store_chunk, self.quick_chunk, self.chunk_seconds, self.chunk_bytes, self.read_bytes)

    @property
    def stream_limits(self) -> ChunkLimits:
        return ChunkLimits(self.stream_chunk, None, self.chunk_seconds, self.chunk_bytes, self.read_bytes)

    def stop_if_cancelled(self) -> None:
        stop_if(self.cancel)
