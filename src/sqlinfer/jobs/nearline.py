"""``run --every``: one run after the other in one process. Never two at a time, and slower while runs fail."""

from __future__ import annotations

import fcntl
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlinfer import numerals
from sqlinfer.errors import SqlinferError, StoreError, UsageError
from sqlinfer.runner.results import RunResult

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_PAUSE = 3600.0
"""Failing runs are at most this far apart, or as far as was asked for where that is more."""


def interval(text: str) -> float:
    """Seconds of ``30s``, ``5m``, ``1h``, ``1d``. Raises UsageError."""
    found = re.fullmatch(r"([0-9]+)\s*([smhd])", text.strip())
    count = numerals.whole(found[1]) if found else None
    if found is None or count is None:
        raise UsageError(f"--every {text!r} is no interval", hint="a number and a unit: 30s, 5m, 1h")
    seconds = count * _SECONDS[found[2]]
    if not 1 <= seconds <= 366 * 86400:
        raise UsageError(f"--every {text!r} is not between a second and a year", hint="for example 5m")
    return float(seconds)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run is over and the next one is due."""

    seconds: float
    at: datetime
    failures: int = 0
    """Runs that failed in a row."""
    error: SqlinferError | None = None
    """Why the last one did not come to its nodes."""


@dataclass(slots=True)
class Loop:
    once: Callable[[], RunResult]
    seconds: float
    cancel: threading.Event
    tell: Callable[[Waiting], None] = lambda _: None
    clock: Callable[[], float] = time.monotonic
    wait: Callable[[float], bool] = field(init=False)

    def __post_init__(self) -> None:
        self.wait = self.cancel.wait

    def run(self) -> RunResult | None:
        """Until ``cancel`` is set; the last result.

        Raises:
            SqlinferError: the first run did not come to its nodes, for another reason than a run that is under way.
        """
        last: RunResult | None = None
        failures = first = 0
        while not self.cancel.is_set():
            began, error = self.clock(), None
            try:
                last = self.once()
                failures = 0 if last.ok else failures + 1
            except SqlinferError as raised:
                if not first and not isinstance(raised, StoreError):
                    raise
                error, failures = raised, failures + 1
            first = 1
            if self.cancel.is_set():
                break
            pause = self._pause(self.clock() - began, failures)
            self.tell(Waiting(pause, datetime.now() + timedelta(seconds=pause), failures, error))
            self.wait(pause)
        return last

    def _pause(self, took: float, failures: int) -> float:
        """To the next multiple of the interval: what was missed is not made up for. Failures double the interval."""
        step = self.seconds
        if failures:
            step = min(step * 2.0 ** min(failures, 30), max(LONGEST_PAUSE, step))
        return step - took % step


@contextmanager
def alone(folder: Path, target: str) -> Iterator[None]:
    """The only loop of a target. Raises StoreError where there is another."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / f"every-{target}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = numerals.whole(os.pread(handle, 32, 0).decode(errors="replace").strip())
            raise StoreError(
                f"another `run --every` works on target '{target}': process {holder or 'unknown'}",
                hint="stop that one first; a single run may go beside it",
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)
