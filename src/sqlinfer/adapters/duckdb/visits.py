"""Short visits to the warehouse file: attached read-only, or for writing, and let go of again (design 2.1)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sqlinfer.adapters.duckdb.connection import DuckDBConnection
from sqlinfer.adapters.duckdb.lock import TargetLock
from sqlinfer.adapters.duckdb.settings import DuckDBSettings
from sqlinfer.errors import AdapterError, DatabaseLocked, RunError
from sqlinfer.relation import literal, quote

LINGER = 0.5
"""Seconds for which publications that follow each other may keep the warehouse open: opening a database of a thousand
tables takes as long as writing a small one."""
_FIRST_WAIT, _LONGEST_WAIT = 0.02, 0.2
"""Readers that come and go leave gaps of milliseconds, so ask often."""


class WarehouseConnection(DuckDBConnection):
    """A connection that may attach the warehouse."""

    def __init__(self, settings: DuckDBSettings, place: str, lock: TargetLock | None, lock_wait: float) -> None:
        """``lock``: the target's, checked before something is written; None for a scratch workspace.

        ``lock_wait``: seconds to wait for a writer to leave before the database is read.
        """
        super().__init__(settings, place)
        self.cancel: threading.Event | None = None
        self._target_lock = lock
        self._lock_wait = lock_wait
        self._read_file = False
        self._lingers = False
        self._open_since: float | None = None
        """When the warehouse was opened for writing; None: it is not."""

    @contextmanager
    def warehouse(self) -> Iterator[None]:
        self.depth += 1
        try:
            if self.depth == 1:
                self.let_go()
                self._wait(self._attach_readonly, self._lock_wait)
                self.execute(self.use_warehouse())
            yield
        finally:
            self.depth -= 1
            if not self.depth:
                self._detach()

    @contextmanager
    def publishing(self, timeout: float) -> Iterator[None]:
        with self._opened(timeout), self.transaction():
            self._check_lock()
            yield

    @contextmanager
    def writing(self, timeout: float) -> Iterator[None]:
        with self._opened(timeout):
            self._check_lock()
            try:
                yield
            finally:
                with suppress(Exception):  # a hook may have left a transaction open
                    self._writer.execute("ROLLBACK")

    @contextmanager
    def _opened(self, timeout: float) -> Iterator[None]:
        """The warehouse attached for writing."""
        if self.depth:
            raise RunError("publication asked for while the warehouse is being read")
        self.depth = 1
        try:
            self._refuse_gone()
            if self._open_since is None:
                self._attach_writing(timeout)
            yield
        except BaseException:
            self.depth, self._open_since = 0, None
            self._detach()
            raise
        self.depth = 0
        if not self._lingers or time.monotonic() - (self._open_since or 0) > LINGER:
            self.let_go()

    def _attach_writing(self, timeout: float) -> None:
        self._wait(lambda: self.execute(f"ATTACH {self._path()} AS {self._catalog()}"), timeout)
        self._open_since = time.monotonic()
        self.execute(f"CREATE SCHEMA IF NOT EXISTS {self._catalog()}.{quote(self.settings.schema)}")
        self._attach_others()
        self.execute(self.use_warehouse())

    def linger(self, allowed: bool) -> None:
        self._lingers = allowed
        if not allowed:
            self.let_go()

    def let_go(self) -> None:
        """Close the warehouse, where it was left open behind a publication."""
        if self._open_since is not None:
            self._open_since = None
            self._checkpoint()
            self._detach()

    def _refuse_gone(self) -> None:
        """A database that was read and is gone is not made anew with nothing but our table in it."""
        if self._read_file and not self.settings.path.exists():
            raise AdapterError(
                f"database {self.settings.path.name} was there when its rows were read and is gone; nothing was "
                "published",
                hint="put it back, then `sqlinfer retry` publishes without scoring again",
            )

    def _checkpoint(self) -> None:
        """The commit stands in the write-ahead log already: what fails here is done at the next opening."""
        with suppress(AdapterError):
            self.execute(f"CHECKPOINT {self._catalog()}")

    def _check_lock(self) -> None:
        if self._target_lock is not None:
            self._target_lock.check()

    def _catalog(self) -> str:
        return quote(self.settings.catalog)

    def _path(self) -> str:
        return literal(str(self.settings.path))

    def _attach_readonly(self) -> None:
        if self.settings.path.exists():
            self.execute(f"ATTACH {self._path()} AS {self._catalog()} (READ_ONLY)")
            self._read_file = True
        else:
            self.execute(f"ATTACH ':memory:' AS {self._catalog()}")
        self._attach_others()

    def _attach_others(self) -> None:
        for other in self.settings.attach:
            self.execute(other.sql())

    def _detach(self) -> None:
        with suppress(AdapterError):
            self.execute("USE memory")
        for name in (self.settings.catalog, *(other.catalog for other in self.settings.attach)):
            with suppress(AdapterError):
                self.execute(f"DETACH DATABASE IF EXISTS {quote(name)}")

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
