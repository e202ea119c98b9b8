"""One run per target where the state lies in a bucket: an object for each run that wants it, renewed while it works.

Put the own object, then list them all: whoever finds another that is alive withdraws. Of two that start at once the
later put is sure to find the earlier, so that never two go on (listings of S3, GCS and Azure show all that was put).
Where the server takes puts on a condition, all runs want the same object (``bucket_holder``), and one gets it.
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
from typing import Any, Protocol

from sqlinfer.adapters.duckdb.bucket_holder import DEAD, HolderMark, said
from sqlinfer.errors import SqlinferError, StoreError
from sqlinfer.storage import Place
from sqlinfer.storage.conditional import Unconditional

RENEWED = 10.0
"""Seconds between renewals."""
_TRIES = 3
"""Of runs that start at the same moment, before they give up."""


class Mark(Protocol):
    """The object by which a run says that it lives."""

    @property
    def name(self) -> str: ...
    def put(self, told: bytes) -> None:
        """Raises StoreError: another run has it. Unconditional: not on this server."""

    def renew(self, told: bytes) -> bool:
        """False: another run removed or replaced it."""

    def is_ours(self) -> bool: ...
    def remove(self) -> None: ...


@dataclass(frozen=True, slots=True)
class OwnMark:
    """An object that is called as the run is."""

    folder: Place
    run_id: str

    @property
    def name(self) -> str:
        return f"{self.run_id}.json"

    def put(self, told: bytes) -> None:
        self.folder.below(self.name).put(told)

    def renew(self, told: bytes) -> bool:
        there = self.is_ours()
        if there:
            self.put(told)
        return there

    def is_ours(self) -> bool:
        return self.folder.below(self.name).find() is not None

    def remove(self) -> None:
        self.folder.below(self.name).delete()


@dataclass(slots=True)
class BucketClaim:
    folder: Place
    run_id: str
    _mark: Mark = field(init=False)
    _lost: bool = False
    _renewed: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self._mark = OwnMark(self.folder, self.run_id)

    def acquire(self) -> None:
        """Raises StoreError: another run holds the target."""
        holder = HolderMark.of(self.folder, self.run_id)
        try:
            if holder is None:
                raise Unconditional
            self._mark = holder
            self._stand(tries=1)
        except Unconditional:
            self._mark = OwnMark(self.folder, self.run_id)
            self._stand(_TRIES)
        self._thread = threading.Thread(target=self._renew, name="sqlinfer-claim", daemon=True)
        self._thread.start()

    def _stand(self, tries: int) -> None:
        for attempt in range(tries):
            self._mark.put(self._told())
            self._renewed = time.monotonic()
            others = self._others()
            if others is not None and not others:
                break
            self._mark.remove()
            if attempt == tries - 1 or (others and others[0].get("age", 0.0) > 2.0):
                raise StoreError.held_by(others[0] if others else None)
            time.sleep(random.uniform(0.2, 1.0))

    def _others(self) -> list[dict[str, Any]] | None:
        """Runs that are alive, with what they say of themselves. None: the own object is not listed."""
        found = {one.name: one for one in self.folder.entries() if one.name.endswith(".json")}
        own = found.pop(self._mark.name, None)
        if own is None or own.changed is None:
            return None
        alive = []
        for one in found.values():
            age = own.changed - one.changed if one.changed else timedelta()
            if age > timedelta(seconds=DEAD):
                self.folder.below(one.name).delete()  # so that it notices, should it wake up
            else:
                alive.append(said(self.folder.below(one.name)) | {"age": age.total_seconds()})
        return [one for one in alive if one.get("run_id") != self.run_id]

    def check(self) -> None:
        """Fencing, before something is published or put back. Raises StoreError: another run may have taken over."""
        alone = False
        if not self._lost and time.monotonic() - self._renewed <= DEAD:
            alone = self._others() == [] and self._mark.is_ours()
        if not alone:
            raise StoreError("this run lost its lock on the target; nothing was published", hint="start the run again")

    def release(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=RENEWED)
        with suppress(SqlinferError):
            self._mark.remove()

    def _renew(self) -> None:
        while not self._stop.wait(RENEWED):
            with suppress(SqlinferError):  # tried again; check() knows how long it has failed
                if not self._mark.renew(self._told()):
                    self._lost = True
                    return
                self._renewed = time.monotonic()

    def _told(self) -> bytes:
        told = {"pid": os.getpid(), "host": socket.gethostname(), "run_id": self.run_id,
                "started": time.strftime("%Y-%m-%dT%H:%M:%S%z")}  # fmt: skip
        return json.dumps(told).encode()
