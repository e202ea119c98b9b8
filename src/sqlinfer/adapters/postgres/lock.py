"""One run per target: an advisory lock of the session that publishes; a dead holder's goes with its connection."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sqlinfer.adapters.postgres import side
from sqlinfer.adapters.postgres.checks import refuse_unfit
from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.settings import PostgresSettings
from sqlinfer.errors import AdapterError, StoreError
from sqlinfer.relation import literal

_PATIENCE = 10.0
"""Seconds to wait for the lock of a process of this machine that has died: the server may still be at its statement."""
_PAUSE = 0.1


@dataclass(slots=True)
class TargetLock:
    """Held while a run works, with the session that holds it."""

    settings: PostgresSettings
    run_id: str
    _session: PostgresSession | None = None
    _backend: int = field(default=0)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def path(self) -> Path | None:
        """No file: the server holds the lock."""
        return None

    @property
    def session(self) -> PostgresSession:
        """The one that holds the lock; connected and locked again where the server has ended it.

        Raises:
            StoreError: another run has taken over.
        """
        if self._session is None:
            raise StoreError("this run holds no lock on the target", hint="start the run again")
        if self._session.is_lost and not self._session.in_transaction:
            self._reconnect()
        return self._session

    def acquire(self) -> None:
        session = PostgresSession(self.settings, run_id=self.run_id)
        try:
            refuse_unfit(session, self.settings)
            self._wait(session)
            side.prepare(session, self.settings)
            self._sign(session)
        except BaseException:
            session.close()
            raise
        self._session = session

    def release(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def check(self) -> None:
        """Fencing: this session must hold the lock, and the last run that took it must be this one.

        Raises:
            StoreError: another run has taken over.
        """
        session = self.session
        if not session.value(f"SELECT count(*) FROM pg_locks WHERE {self._held} AND pid = pg_backend_pid()"):
            raise _lost()
        self._check_signature(session)

    def _wait(self, session: PostgresSession) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not session.value(f"SELECT pg_try_advisory_lock({self._key})"):
            holder = self._holder(session)
            if not _has_died(holder) or time.monotonic() > deadline:
                raise StoreError.held_by(holder)
            time.sleep(_PAUSE)

    def _reconnect(self) -> None:
        assert self._session is not None
        self._session.close()
        self._session = PostgresSession(self.settings, run_id=self.run_id)
        self._wait(self._session)
        self._check_signature(self._session)
        self._sign(self._session)

    def _check_signature(self, session: PostgresSession) -> None:
        if session.value(f"SELECT run_id FROM {side.table(self.settings, 'holder')}") != self.run_id:
            raise _lost()

    def _sign(self, session: PostgresSession) -> None:
        table = side.table(self.settings, "holder")
        with session.transaction():
            session.execute(f"DELETE FROM {table}")
            session.execute(
                f"INSERT INTO {table} VALUES ({literal(self.run_id)}, {os.getpid()}, {literal(socket.gethostname())}, "
                f"pg_backend_pid(), {literal(time.strftime('%Y-%m-%dT%H:%M:%S%z'))})"
            )

    def _holder(self, session: PostgresSession) -> dict[str, object] | None:
        """As far as it has written its name."""
        try:
            found = session.rows(
                f"SELECT h.pid, h.host, h.run_id, h.started FROM {side.table(self.settings, 'holder')} AS h "
                f"JOIN pg_locks AS l ON l.pid = h.backend AND {self._held}"
            )
        except AdapterError:
            return None
        return dict(zip(("pid", "host", "run_id", "started"), found[0], strict=True)) if found else None

    @property
    def _key(self) -> int:
        """Of 64 bits; advisory locks belong to one database."""
        digest = hashlib.blake2b(f"sqlinfer {self.settings.side_schema}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)

    @property
    def _held(self) -> str:
        high, low = (self._key >> 32) & 0xFFFFFFFF, self._key & 0xFFFFFFFF
        return f"locktype = 'advisory' AND classid = {high} AND objid = {low} AND objsubid = 1 AND granted"


def _has_died(holder: dict[str, object] | None) -> bool:
    """Whether it is a process of this machine that is no more, or one that has not said who it is."""
    if holder is None:
        return True
    if holder["host"] != socket.gethostname():
        return False
    try:
        os.kill(int(str(holder["pid"])), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _lost() -> StoreError:
    return StoreError("this run lost its lock on the target; nothing was published", hint="start the run again")
