"""Short visits to the warehouse file: attached read-only, or for writing, and let go of again (design 2.1)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb.connection import DuckDBConnection
from sqlinfer.adapters.duckdb.databases import Database
from sqlinfer.adapters.duckdb.lock import TargetLock
from sqlinfer.adapters.duckdb.preflight import writable
from sqlinfer.adapters.duckdb.quick import is_quick
from sqlinfer.adapters.duckdb.settings import DuckDBSettings
from sqlinfer.errors import AdapterError, DatabaseLocked, RunError
from sqlinfer.relation import Relation, quote

if TYPE_CHECKING:
    from sqlinfer.adapters.duckdb.bucket_state import BucketState

LINGER = 0.5
"""Seconds for which publications that follow each other may keep the warehouse open."""
SHARE, MOST = 20, 2.0
"""Opening and closing a database of a thousand tables takes as long as writing some small ones: the warehouse stays
open for so many times what that took, and for no more than so many seconds."""
_FIRST_WAIT, _LONGEST_WAIT = 0.02, 0.2
"""Readers that come and go leave gaps of milliseconds, so ask often."""


class WarehouseConnection(DuckDBConnection):
    """A connection that may attach the warehouse."""

    def __init__(
        self, settings: DuckDBSettings, place: str, lock: TargetLock | BucketState | None, lock_wait: float
    ) -> None:
        """``lock``: the target's, checked before something is written; None for a scratch workspace.

        ``lock_wait``: seconds to wait for a writer to leave before the database is read.
        """
        super().__init__(settings, place)
        self.cancel: threading.Event | None = None
        self._target_lock = lock
        self._lock_wait = lock_wait
        self._read: set[str] = set()
        """Databases that were there when they were read."""
        self._lingers = False
        self._open_since: float | None = None
        """When the warehouse was opened for writing; None: it is not."""
        self._written = settings.default
        """The database that is open for writing then; DuckDB's transactions write one."""
        self._opening = self._closing = 0.0
        """Seconds that opening for writing took last, and letting go."""
        self._guard = threading.RLock()
        """Held by who opens, closes, or says that the warehouse is in use."""
        self._closer: threading.Timer | None = None

    @contextmanager
    def warehouse(self, *, brief: bool = False) -> Iterator[None]:
        with self._guard:
            self.depth += 1
            if self.depth == 1 and not brief:
                self.let_go()
        try:
            if self.depth == 1:
                self._filed.forget()
                self._open_for_reading()
            yield
        finally:
            with self._guard:
                self.depth -= 1
                if not self.depth:
                    self._leave()

    def _open_for_reading(self) -> None:
        if self._open_since is None:
            self._wait(self._attach_readonly, self._lock_wait)
        self.execute(self.use_warehouse())

    def settle(self, queries: Iterable[str]) -> bool:
        """Inside a brief visit: what it reads may take long, so that others shall be able to read, too.

        Whether it is known to be quick.
        """
        if self._open_since is None or self.depth != 1:
            return False
        if all(is_quick(self, sql) for sql in queries):
            return True
        self.let_go()
        self._open_for_reading()
        return False

    def see_files(self, sql: str) -> None:
        """A transaction sees no view that is made after it has begun."""
        self._filed.provide(self._memory, sql)

    @contextmanager
    def publishing(self, timeout: float, into: Relation | None = None) -> Iterator[None]:
        with self._opened(timeout, self._database_of(into)), self.transaction():
            self._check_lock()
            yield

    @contextmanager
    def writing(self, timeout: float, into: Relation | None = None) -> Iterator[None]:
        with self._opened(timeout, self._database_of(into)):
            self._check_lock()
            try:
                yield
            finally:
                with suppress(Exception):  # a hook may have left a transaction open
                    self._writer.execute("ROLLBACK")

    def _database_of(self, relation: Relation | None) -> Database:
        """Raises PublicationError: no database of that name is written."""
        name = relation.catalog if relation is not None else None
        return self.settings.default if not name else writable(self.settings, str(relation), name)

    @contextmanager
    def _opened(self, timeout: float, database: Database) -> Iterator[None]:
        """The warehouse attached, that database for writing."""
        if self.depth:
            raise RunError("publication asked for while the warehouse is being read")
        with self._guard:
            if database != self._written:
                self.let_go()
            self.depth = 1
        try:
            self._refuse_gone(database)
            if self._open_since is None:
                self._attach_writing(timeout, database)
            self.execute(self.use_warehouse())
            yield
        except BaseException:
            with self._guard:
                self.depth, self._open_since = 0, None
                self._detach()
            raise
        finally:
            self._changes.settle()
            self._filed.forget()
        with self._guard:
            self.depth = 0
            self._leave()

    def _attach_writing(self, timeout: float, database: Database) -> None:
        self._written = database
        self._wait(lambda: self._attach_for_writing(database), timeout)
        self._open_since = time.monotonic()
        if database == self.settings.default:
            place = Relation(self.settings.schema, database.name)
            self.execute(f"CREATE SCHEMA IF NOT EXISTS {place.sql()}")
            self._schemas.add(place.folded())

    def _attach_for_writing(self, database: Database) -> None:
        began = time.monotonic()
        self.execute(database.attach(writing=True))
        for other in self.settings.databases:
            if other is not database:
                self.execute(other.attach(writing=False))
        self._opening = time.monotonic() - began
        self._forget()

    def linger(self, allowed: bool) -> None:
        self._lingers = allowed
        if not allowed:
            self.let_go()

    def _leave(self) -> None:
        """At the end of a visit: the warehouse is let go of, now or by a timer, whatever is done meanwhile."""
        if self._open_since is None:
            self._detach()
            return
        left = self._open_since + self._stay() - time.monotonic()
        if not self._lingers or left <= 0:
            self.let_go()
            return
        self.execute("USE memory")
        if self._closer is None:
            self._closer = threading.Timer(left, self._close_in_time)
            self._closer.daemon = True
            self._closer.start()

    def _stay(self) -> float:
        return max(LINGER, min(MOST, SHARE * (self._opening + self._closing)))

    def _close_in_time(self) -> None:
        """In the timer's thread, while the writer may be busy elsewhere: by a cursor of its own."""
        with self._guard:
            if self._closer is not threading.current_thread():
                return
            self._closer = None
            if self.depth or self._open_since is None:
                return  # who is visiting lets go
            began = time.monotonic()
            with suppress(Exception), closing(self._memory.cursor()) as cursor:
                for sql in (self._checkpointing(), *self._detaching()):
                    with suppress(Exception):
                        cursor.execute(sql)
                self._open_since = None
                self._forget()
            self._closing = time.monotonic() - began

    def let_go(self) -> None:
        """Close the warehouse, where it was left open behind a publication."""
        with self._guard:
            if self._closer is not None:
                self._closer.cancel()
                self._closer = None
            if self._open_since is not None:
                self._open_since, began = None, time.monotonic()
                self._checkpoint()
                self._detach()
                self._closing = time.monotonic() - began

    def _refuse_gone(self, database: Database) -> None:
        """A database that was read and is gone is not made anew with nothing but our table in it."""
        if database.name in self._read and database.local is not None and not database.local.exists():
            raise AdapterError(
                f"database {database.local.name} was there when its rows were read and is gone; nothing was published",
                hint="put it back, then `sqlinfer retry` publishes without scoring again",
            )

    def _checkpoint(self) -> None:
        """The commit stands in the write-ahead log already: what fails here is done at the next opening."""
        with suppress(AdapterError):
            self.execute(self._checkpointing())

    def _checkpointing(self) -> str:
        return f"CHECKPOINT {quote(self._written.name)}"

    def _check_lock(self) -> None:
        if self._target_lock is not None:
            self._target_lock.check()

    def _attach_readonly(self) -> None:
        for database in self.settings.databases:
            self.execute(database.attach(writing=False))
            if database.local is not None and database.local.exists():
                self._read.add(database.name)

    def _detach(self) -> None:
        for sql in ("USE memory", *self._detaching()):
            with suppress(AdapterError):
                self.execute(sql)
        self._forget()

    def _detaching(self) -> list[str]:
        return [f"DETACH DATABASE IF EXISTS {quote(one.name)}" for one in self.settings.databases]

    def _wait(self, attach: Callable[[], None], timeout: float) -> None:
        deadline, pause = time.monotonic() + timeout, _FIRST_WAIT
        while True:
            try:
                attach()
                return
            except DatabaseLocked:
                self._detach()
                stopped = self.cancel is not None and self.cancel.is_set()
                if stopped or time.monotonic() >= deadline:
                    raise
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 2, _LONGEST_WAIT)
