"""Evidence of a crash in native code: faulthandler writes to a file that an orderly end removes."""

from __future__ import annotations

import faulthandler
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def crashed(path: Path) -> bool:
    """Whether the last run ended by a segmentation fault or its like."""
    with suppress(OSError):
        info = path.lstat()
        return stat.S_ISREG(info.st_mode) and info.st_size > 0
    return False


@contextmanager
def watched(path: Path) -> Iterator[None]:
    """Leaves faulthandler alone where somebody (a test runner, a debugger) uses it already."""
    if faulthandler.is_enabled():
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # a link that lies there is not followed
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644), "w")
    except OSError:
        yield
        return
    with file:
        faulthandler.enable(file, all_threads=False)
        try:
            yield
        finally:
            faulthandler.disable()
    with suppress(OSError):
        path.unlink(missing_ok=True)
