"""Reading files that a model names: regular files only, never outside the artifact's folder."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from sqlinfer.errors import ArtifactError

_HOLES, _COMPRESSED = 64 << 20, 8
"""Bytes that a file may claim without having them on the disk: so many, and so many times what it has."""
_PART: Final = 1 << 20


def read_regular(path: Path, *, may_be_empty: bool = False) -> bytes:
    """The bytes of a regular file."""
    with open_regular(path) as file:
        data = file.read()
    if not data and not may_be_empty:
        raise ArtifactError(f"artifact {path} is empty", hint="the copy or the download may have failed")
    return data


@contextmanager
def open_regular(path: Path) -> Iterator[BufferedReader]:
    """Devices, pipes and folders are refused before they are read.

    Raises:
        ArtifactError: it is one of these, is missing, or cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise ArtifactError(f"artifact {path} is not a regular file", hint="name the file itself")
        with open(handle, "rb") as file:
            yield file
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> ArtifactError:
    if isinstance(error, FileNotFoundError):
        near = sorted(p.name for p in path.parent.glob(f"*{path.suffix or '.onnx'}")) if path.parent.is_dir() else []
        hint = f"in that folder: {', '.join(near[:8])}" if near else "paths are relative to the folder of the yml file"
        return ArtifactError(f"artifact {path} does not exist", hint=hint)
    return ArtifactError(f"artifact {path} cannot be read: {error.strerror}")


def contained(path: Path, location: str) -> Path:
    """The external file ``location`` beside ``path``, or an error where it would leave the folder.

    Symlinks and hard links are refused too: both can point to any file that this user can read.
    """
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    if not location or "\0" in location:
        raise _escapes(path, location, "it is not a file name")
    if posix.is_absolute() or windows.is_absolute() or windows.drive or location.startswith("\\"):
        raise _escapes(path, location, "it is an absolute path")
    if ".." in posix.parts or ".." in windows.parts:
        raise _escapes(path, location, "it leads out of the artifact's folder")
    folder = path.parent
    file = folder / location
    steps = [folder.joinpath(*posix.parts[: i + 1]) for i in range(len(posix.parts))]
    if any(step.is_symlink() for step in steps):
        raise _escapes(path, location, "it is a symbolic link")
    if not file.exists():
        raise ArtifactError(
            f"artifact {path}: its external data file {location!r} does not exist",
            hint="copy the .onnx file and its data file together",
        )
    info = file.lstat()
    if not stat.S_ISREG(info.st_mode):
        raise _escapes(path, location, "it is not a regular file")
    if info.st_nlink > 1:
        raise _escapes(path, location, "it is a hard link to another file")
    if info.st_size > _HOLES + _COMPRESSED * 512 * info.st_blocks and path.stat().st_blocks:
        raise _escapes(path, location, f"it claims {info.st_size:,} bytes and has {512 * info.st_blocks:,}")
    return file


def copied(path: Path, location: str, target: Path) -> str:
    """Copy the external file ``location`` beside ``path``; the sha256 of what was copied.

    Raises:
        ArtifactError: it leads out of the folder, or is not there.
    """
    digest, size = hashlib.sha256(), 0
    try:
        handle = os.open(contained(path, location), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with open(handle, "rb") as source, target.open("xb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise _escapes(path, location, "it is not a regular file")
            most = os.fstat(handle).st_size
            while (part := source.read(_PART)) and size <= most:
                digest.update(part)
                size += file.write(part)
    except OSError as error:
        raise unreadable(path.parent / location, error) from error
    return digest.hexdigest()


def _escapes(path: Path, location: str, why: str) -> ArtifactError:
    return ArtifactError(
        f"artifact {path} names external data {location!r}: refused, {why}",
        hint="external data must be a plain file in the artifact's own folder",
    )
