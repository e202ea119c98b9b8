"""One run per target where the state lies in a bucket: an object for each run that wants it, renewed while it works.

Put the own object, then list them all: whoever finds another that is alive withdraws. Of two that start at once the
later put is sure to find the earlier, so that never two go on (listings of S3, GCS and Azure show all that was put).
Ages are differences of the server's own times; no clock of a machine counts.
"""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlinfer.errors import SqlinferError, StoreError
from sqlinfer.storage import Place

RENEWED, DEAD = 10.0, 60.0
"""Seconds between renewals, and after which a run that renews no more has died."""
_TRIES = 3
"""Of runs that start at the same moment, before they give up."""


@dataclass(slots=True)
class BucketClaim:
    folder: Place
    run_id: str
    _lost: bool = False
    _renewed: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def acquire(self) -> None:
        """Raises StoreError: another run holds the target."""
        for attempt in range(_TRIES):
            self._put()
            others = self._others()
            if others is not None and not others:
                break
            self._object.delete()
            if attempt == _TRIES - 1 or (others and others[0].get("age", 0.0) > 2.0):
                raise StoreError.held_by(others[0] if others else None)
            time.sleep(random.uniform(0.2, 1.0))
        self._thread = threading.Thread(target=self._renew, name="sqlinfer-claim", daemon=True)
        self._thread.start()

    def _others(self) -> list[dict[str, Any]] | None:
        """Runs that are alive, with what they say of themselves. None: the own object is not listed."""
        found = {one.name: one for one in self.folder.entries()}
        own = found.pop(self._name, None)
        if own is None or own.changed is None:
            return None
        alive = []
        for one in found.values():
            age = own.changed - one.changed if one.changed else timedelta()
            if age > timedelta(seconds=DEAD):
                self.folder.below(one.name).delete()  # so that it notices, should it wake up
                continue
            told: dict[str, Any] = {"pid": "unknown", "host": "another machine"}
            with suppress(ValueError, TypeError):
                told |= json.loads(self.folder.below(one.name).read() or b"{}")
            alive.append(told | {"age": age.total_seconds()})
        return alive

    def check(self) -> None:
        """Fencing, before something is published or put back. Raises StoreError: another run may have taken over."""
        others = None if self._lost or time.monotonic() - self._renewed > DEAD else self._others()
        if others is None or others:
            raise StoreError("this run lost its lock on the target; nothing was published", hint="start the run again")

    def release(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=RENEWED)
        with suppress(SqlinferError):
            self._object.delete()

    def _renew(self) -> None:
        while not self._stop.wait(RENEWED):
            with suppress(SqlinferError):  # tried again; check() knows how long it has failed
                if self._object.find() is None:
                    self._lost = True
                    return
                self._put()

    def _put(self) -> None:
        told = {"pid": os.getpid(), "host": socket.gethostname(), "run_id": self.run_id,
                "started": time.strftime("%Y-%m-%dT%H:%M:%S%z")}  # fmt: skip
        self._object.put(json.dumps(told).encode())
        self._renewed = time.monotonic()

    @property
    def _name(self) -> str:
        return f"{self.run_id}.json"

    @property
    def _object(self) -> Place:
        return self.folder.below(self._name)
