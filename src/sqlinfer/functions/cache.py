"""Prepared functions on disk, found by a source key without importing onnx.

``<cache>/<digest>/``      model.onnx, contract.json, tokenizer: immutable once there
``<cache>/keys/<key>.json`` what was prepared from a declaration and its files
``<cache>/files.json``     sha256 by path, size, mtime and inode
``<cache>/devices.json``   provider family pinned per function
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlinfer.errors import ArtifactError
from sqlinfer.files import write_atomic
from sqlinfer.functions.containment import unreadable

_RACY_NS = 2_000_000_000
"""A file changed this recently may change again within one tick of its clock: hash it anew."""


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of ours; empty where it is missing or damaged, because a cache can be rebuilt."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def dump(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()


class FileHashes:
    """sha256 of files, remembered by path, size, mtime_ns and inode."""

    def __init__(self, cache_dir: Path, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._path = cache_dir / "files.json"
        self._known = read_json(self._path)
        self._now_ns = now_ns
        self._changed = False

    def of(self, path: Path) -> str:
        """The file's sha256.

        Raises:
            ArtifactError: it is missing, unreadable, or not a regular file.
        """
        try:
            info = path.stat()
        except OSError as error:
            raise unreadable(path, error) from error
        if not path.is_file():
            raise ArtifactError(f"artifact {path} is not a regular file", hint="name the file itself")
        stamp = [info.st_size, info.st_mtime_ns, info.st_ino]
        known = self._known.get(str(path))
        if isinstance(known, list) and len(known) == 4 and known[:3] == stamp:
            return str(known[3])
        digest = _sha256(path)
        if self._now_ns() - info.st_mtime_ns > _RACY_NS:
            self._known[str(path)] = [*stamp, digest]
            self._changed = True
        return digest

    def save(self) -> None:
        if self._changed:
            write_atomic(self._path, dump(self._known))
            self._changed = False


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


class Pins:
    """The provider family of each function, written at its first preparation (design section 2)."""

    def __init__(self, cache_dir: Path) -> None:
        self._path = cache_dir / "devices.json"

    def get(self, function: str) -> str | None:
        found = read_json(self._path).get(function)
        return found if isinstance(found, str) else None

    def set(self, function: str, family: str) -> None:
        write_atomic(self._path, dump(read_json(self._path) | {function: family}))


def publish_folder(cache_dir: Path, digest: str, fill: Callable[[Path], None]) -> Path:
    """``<cache>/<digest>`` with what ``fill`` writes; complete or absent, safe against another preparing process."""
    final = cache_dir / digest
    if (final / "contract.json").is_file():
        return final
    cache_dir.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=cache_dir, prefix=".tmp-"))
    try:
        fill(scratch)
        _sync_tree(scratch)
        scratch.chmod(0o755)
        _rename(scratch, final)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return final


def _rename(scratch: Path, final: Path) -> None:
    try:
        os.rename(scratch, final)
    except OSError:
        if (final / "contract.json").is_file():
            return  # another process was first, with the same content
        shutil.rmtree(final, ignore_errors=True)  # left over by hand: no complete folder is ever without its contract
        os.rename(scratch, final)
    descriptor = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def sha256_of(value: Mapping[str, object]) -> str:
    """A digest of plain data, independent of key order."""
    return hashlib.sha256(dump(value)).hexdigest()
