"""Prepared functions on disk, found by a source key without importing onnx.

``<cache>/<digest>/``      model.onnx, contract.json, tokenizer: immutable once there
``<cache>/keys/<key>.json`` what was prepared from a declaration and its files
``<cache>/devices.json``   provider family pinned per function
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlinfer.errors import ArtifactError
from sqlinfer.files import parse_json, read_plain, write_atomic
from sqlinfer.functions.check.containment import open_regular, unreadable

CONTRACT: Final = "contract.json"
"""The last file of a prepared folder: where it is, the folder is complete."""


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of ours; empty where it is missing or damaged, because a cache can be rebuilt."""
    try:
        found = parse_json(read_plain(path))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def dump(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()


def hash_of(path: Path) -> str:
    """sha256 of a regular file. Raises ArtifactError."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class FileHashes:
    """Files by their content, and private copies of them below ``folder``."""

    folder: Path

    def of(self, path: Path) -> str:
        """The file's sha256, read anew each time: neither size nor times say what is in a file.

        Raises:
            ArtifactError: it is missing, unreadable, or not a regular file.
        """
        return hash_of(path)

    def copy(self, path: Path, sha256: str) -> Path:
        """The file that was hashed, and no other, where nobody else changes it.

        Raises:
            ArtifactError: it is another one by now.
        """
        target = self.folder / f"{sha256}{path.suffix}"
        try:
            shutil.copyfile(path, target)
        except OSError as error:
            raise unreadable(path, error) from error
        if hash_of(target) != sha256:
            raise ArtifactError(f"artifact {path} changed while it was read", hint="run again")
        return target


class Pins:
    """The provider family of each function, written at its first preparation (design section 2)."""

    def __init__(self, cache_dir: Path) -> None:
        self._path = cache_dir / "devices.json"

    def get(self, function: str) -> str | None:
        found = read_json(self._path).get(function)
        return found if isinstance(found, str) else None

    def set(self, function: str, family: str) -> None:
        write_atomic(self._path, dump(read_json(self._path) | {function: family}))


def publish_folder(cache_dir: Path, digest: str, fill: Callable[[Path], None]) -> dict[str, str]:
    """``<cache>/<digest>`` with what ``fill`` writes; complete or absent, safe against another preparing process.

    Returns the hashes of its files, but for the contract. What lies there already stays if it is the same.
    """
    final = cache_dir / digest
    cache_dir.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=cache_dir, prefix=".tmp-"))
    try:
        fill(scratch)
        files = {path.name: hash_of(path) for path in scratch.iterdir() if path.name != CONTRACT}
        if not _holds(final, files):
            _sync_tree(scratch)
            scratch.chmod(0o755)
            _rename(scratch, final, files)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return files


def _holds(folder: Path, files: Mapping[str, str]) -> bool:
    """Whether the folder is complete and has these files."""
    try:
        return (folder / CONTRACT).is_file() and all(hash_of(folder / name) == sha for name, sha in files.items())
    except ArtifactError:
        return False


def _rename(scratch: Path, final: Path, files: Mapping[str, str]) -> None:
    try:
        os.rename(scratch, final)
    except OSError:
        if _holds(final, files):
            return  # another process was first, with the same content
        shutil.rmtree(final, ignore_errors=True)  # damaged or edited
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
