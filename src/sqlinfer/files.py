"""Files of ours, replaced as a whole, and opened without following links that somebody else may have put there."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write_atomic(path: Path, data: bytes) -> None:
    """Temp file, fsync, rename: readers see the old content or the new one, also after a kill.

    The folder is made; who may read the file is up to the umask, as for a file that is written directly.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _named(path), _folder(path.parent, ()) as folder:
        _put(folder, path.name, data, durable=True)


def write_below(base: Path, path: Path, data: bytes) -> None:
    """A file below ``base``, replaced as a whole, without waiting for the disk. No folder on the way may be a link.

    Raises:
        OSError: one of them is (ELOOP, ENOTDIR).
    """
    base.mkdir(parents=True, exist_ok=True)
    with _named(path), _folder(base, path.relative_to(base).parent.parts) as folder:
        _put(folder, path.name, data, durable=False)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """An error of the system names the file that was meant, not a temporary one."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


@contextlib.contextmanager
def _folder(base: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """A descriptor of ``base/parts``, made as it is walked."""
    handle = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=handle)
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)


def _put(folder: int, name: str, data: bytes, *, durable: bool) -> None:
    temporary = f".tmp-{uuid.uuid4().hex}"
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666, dir_fd=folder)
        with open(handle, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def sync(path: Path) -> None:
    """What was written to a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_own(path: Path, flags: int, mode: int = 0o644) -> int:
    """A regular file of ours that has no other name. Neither a link is followed nor a pipe waited for.

    Raises:
        OSError: it is something else.
    """
    handle = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    info = os.fstat(handle)
    if not stat.S_ISREG(info.st_mode) or info.st_nlink > 1:
        os.close(handle)
        what = "has a second name" if stat.S_ISREG(info.st_mode) else "is not a regular file"
        raise OSError(None, f"it {what}", str(path))
    return handle


def read_plain(path: Path) -> bytes:
    """A regular file that another run or program wrote; a link to one is followed, a pipe is not waited for.

    Raises:
        OSError: it is something else, or cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(None, "it is not a regular file", str(path))
        return file.read()


def parse_json(data: str | bytes) -> Any:
    """JSON that others wrote. Raises ValueError for all that is none, also where it nests deeper than Python reads."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
