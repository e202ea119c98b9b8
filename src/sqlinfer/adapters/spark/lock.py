"""One run per target: a table of the catalog, which only one can create, with a heartbeat.

Locks have numbers. Who finds the highest one left behind (its process has died, or its heartbeat has stopped) creates
the next: of several who try one succeeds, and whoever holds a lower number learns of that before publishing.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sqlinfer.adapters.spark import side
from sqlinfer.adapters.spark.catalog import asked_like, named_like
from sqlinfer.adapters.spark.errors import EXISTS
from sqlinfer.adapters.spark.known import Known
from sqlinfer.adapters.spark.session import SparkSqlSession, properties_sql, table_name
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.errors import AdapterError, StatementRefused, StoreError
from sqlinfer.relation import Relation

BEAT = 10.0
STALE = 60.0
"""Seconds between heartbeats, and without one until a lock counts as left behind."""
_LEAD = "lock_"


@dataclass(slots=True)
class TargetLock:
    """Held while a run works."""

    settings: SparkSettings
    run_id: str
    _session: SparkSqlSession | None = None
    _number: int = 0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _beating: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def path(self) -> Path | None:
        """No file: the catalog holds the lock."""
        return None

    @property
    def session(self) -> SparkSqlSession:
        if self._session is None:
            raise StoreError("this run holds no lock on the target", hint="start the run again")
        return self._session

    def acquire(self) -> None:
        session = SparkSqlSession(self.settings)
        side.prepare(session, self.settings)
        while True:
            highest = self._highest(session)
            holder = session.properties(self._table(highest)) if highest else {}
            if holder and not self._is_left(session, highest, holder):
                raise StoreError.held_by(_shown(holder))
            if self._create(session, highest + 1):
                break
        self._number, self._session = highest + 1, session
        session.notes = session.properties(side.relation(self.settings, "notes"))
        session.known = Known(self.settings.side_schema)
        for number in _numbers(named_like(session, self.settings.side_schema, f"{_LEAD}*")):
            if number < self._number:
                session.execute(f"DROP TABLE IF EXISTS {table_name(self._table(number))}")
        self._beat()

    def release(self) -> None:
        self._stopped.set()
        if self._beating is not None:
            self._beating.join(timeout=BEAT)
        if self._session is not None:
            with suppress(AdapterError):
                self._session.execute(f"DROP TABLE IF EXISTS {table_name(self._table(self._number))}")
            self._session = None

    def check(self) -> None:
        """Fencing. Raises StoreError: another run has taken over."""
        if self._highest(self.session) != self._number:
            raise StoreError("this run lost its lock on the target; nothing was published", hint="start the run again")

    def _create(self, session: SparkSqlSession, number: int) -> bool:
        """False where another one was quicker."""
        signed = properties_sql({
            "run_id": self.run_id, "pid": str(os.getpid()), "host": socket.gethostname(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "beat": str(time.time()),
        })  # fmt: skip
        try:
            session.execute(f"CREATE TABLE {table_name(self._table(number))} (nothing int) USING parquet "
                            f"TBLPROPERTIES ({signed})")  # fmt: skip
        except StatementRefused as error:
            if error.code in EXISTS:
                return False
            raise
        return True

    def _is_left(self, session: SparkSqlSession, number: int, holder: dict[str, str]) -> bool:
        """A clock that is ahead says nothing: a heartbeat that seems old must stand still for two beats.

        A process that lives may be another by now: containers of one name give the same number again.
        """
        if holder.get("host") == socket.gethostname() and not side.is_alive(int(holder.get("pid", "0"))):
            return True
        if time.time() - float(holder.get("beat", "0")) < STALE:
            return False
        time.sleep(2 * BEAT)
        return session.properties(self._table(number)).get("beat") == holder.get("beat")

    def _beat(self) -> None:
        def keep_on() -> None:
            session: SparkSqlSession | None = None
            while not self._stopped.wait(BEAT):
                with suppress(AdapterError):  # the run itself finds out
                    session = session or SparkSqlSession(self.settings)
                    session.execute(f"ALTER TABLE {table_name(self._table(self._number))} "
                                    f"SET TBLPROPERTIES ('beat' = '{time.time()}')")  # fmt: skip

        self._beating = threading.Thread(target=keep_on, name="sqlinfer-heartbeat", daemon=True)
        self._beating.start()

    def _highest(self, session: SparkSqlSession) -> int:
        """Others may have taken over: the catalog is asked."""
        return max(_numbers(asked_like(session, self.settings.side_schema, f"{_LEAD}*")), default=0)

    def _table(self, number: int) -> Relation:
        return side.relation(self.settings, f"{_LEAD}{number}")


def _numbers(locks: list[str]) -> list[int]:
    return [int(tail) for one in locks if (tail := one.removeprefix(_LEAD)).isdigit()]


def _shown(holder: dict[str, str]) -> dict[str, object]:
    return {key: holder.get(key) for key in ("pid", "host", "run_id", "started")}
