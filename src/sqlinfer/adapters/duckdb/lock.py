"""One run per target: a lock file beside the database, held with flock, so a dead holder's lock is free at once."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sqlinfer.errors import StoreError
from sqlinfer.files import open_own


@dataclass(slots=True)
class TargetLock:
    """Held while a run works. The file itself stays: removing it would let two runs lock two files."""

    path: Path
    run_id: str
    _handle: int | None = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = open_own(self.path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            closed = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
            raise StoreError(
                f"the lock file {self.path} cannot be opened: {_reason(error)}",
                hint="make its folder writable" if closed else "remove what lies there",
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(handle)
            os.close(handle)
            raise StoreError.held_by(holder) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, self._content(), 0)
        self._handle = handle

    def _content(self) -> bytes:
        return json.dumps(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "run_id": self.run_id,
                "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            }
        ).encode()

    def check(self) -> None:
        """Fencing: the file on disk must still be the one that is locked, and name this run.

        Raises:
            StoreError: another run has taken over.
        """
        try:
            now = open_own(self.path, os.O_RDONLY)
            try:
                current = json.loads(os.pread(now, 1 << 16, 0))
                same = self._handle is not None and os.path.sameopenfile(self._handle, now)
            finally:
                os.close(now)
        except (OSError, ValueError):
            current, same = {}, False
        if not same or current.get("run_id") != self.run_id:
            raise StoreError("this run lost its lock on the target; nothing was published", hint="start the run again")

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _reason(error: OSError) -> str:
    return "it is a link" if error.errno == errno.ELOOP else str(error.strerror or error)


def _holder(handle: int) -> dict[str, object] | None:
    """Who holds the lock. A holder that has just got it may not have written its name yet."""
    known = None
    for _ in range(10):
        with suppress(ValueError, KeyError, TypeError, OSError):
            content = json.loads(os.pread(handle, 4096, 0))
            known = {name: content[name] for name in ("pid", "host", "run_id", "started")}
            os.kill(int(content["pid"]), 0)
            break
        time.sleep(0.02)
    return known
