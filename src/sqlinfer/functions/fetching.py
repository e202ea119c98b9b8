"""``path: s3://models/churn.onnx``: an artifact of a bucket → the same one in the cache, fetched once by its content.

What an address held is remembered with its ETag, so that an unchanged artifact costs one request, and one with a
declared ``sha256`` none.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from sqlinfer import storage
from sqlinfer.errors import ArtifactError, SqlinferError
from sqlinfer.files import write_atomic
from sqlinfer.functions.cache import dump, hash_of, read_json
from sqlinfer.project.values import FunctionConfig
from sqlinfer.storage import Access, Entry, Place

_MEMORY = "fetched.json"
_FOLDER = "fetched-"


def fetched(
    config: FunctionConfig, cache_dir: Path, access: Access, tell: Callable[[str], None] = lambda _: None
) -> FunctionConfig:
    """The declaration with ``path`` in the cache.

    Raises:
        StorageError: the bucket does not give it.
        ArtifactError: it is not there, or is not the one that is declared.
    """
    if config.remote is None:
        return config
    try:
        return replace(config, path=_path(config, config.remote, cache_dir, access, tell))
    except SqlinferError as error:
        raise error.at(config.location) from error.__cause__


def remembered(config: FunctionConfig, cache_dir: Path) -> FunctionConfig:
    """The same without asking: as it was fetched last, or as it is."""
    if config.remote is None or config.path is not None:
        return config
    known = read_json(cache_dir / _MEMORY).get(config.remote)
    sha = config.sha256 or (known.get("sha256") if isinstance(known, dict) else None)
    name = config.remote.rstrip("/").rpartition("/")[2]
    return replace(config, path=_kept(cache_dir, str(sha).lower(), name)) if sha else config


def _path(config: FunctionConfig, url: str, cache_dir: Path, access: Access, tell: Callable[[str], None]) -> Path:
    name = url.rstrip("/").rpartition("/")[2]
    declared = config.sha256.lower() if config.sha256 else None
    if declared is not None and (there := _kept(cache_dir, declared, name)) is not None:
        return there
    place = storage.at(url, access)
    entries, tag = _looked_at(place, url)
    known = read_json(cache_dir / _MEMORY).get(url)
    if isinstance(known, dict) and known.get("tag") == tag and declared in (None, known.get("sha256")):
        there = _kept(cache_dir, str(known.get("sha256")), name)
        if there is not None:
            return there
    tell(f"fetching {url}, {sum(entry.size for entry in entries):,} bytes")
    sha = _fetch(place, entries, cache_dir, name, declared, url)
    write_atomic(cache_dir / _MEMORY, dump(read_json(cache_dir / _MEMORY) | {url: {"tag": tag, "sha256": sha}}))
    return cache_dir / f"{_FOLDER}{sha}" / name


def _looked_at(place: Place, url: str) -> tuple[list[Entry], str]:
    """What is fetched, and a text that changes when it does."""
    single = None if url.endswith("/") else place.find()
    if single is not None:
        return [replace(single, name="")], f"{single.tag}|{single.size}"
    entries = list(place.entries())
    if not entries:
        raise ArtifactError(f"artifact {url} does not exist", hint="look at the address, and at what its bucket holds")
    told = "".join(f"{entry.name}|{entry.size}|{entry.changed}\n" for entry in entries)
    return entries, hashlib.sha256(told.encode()).hexdigest()


def _fetch(place: Place, entries: list[Entry], cache_dir: Path, name: str, declared: str | None, url: str) -> str:
    """The sha256 of what is now in the cache: of a file's bytes, of a folder's names and their bytes."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".tmp-") as scratch:
        for entry in entries:
            source = place.below(entry.name) if entry.name else place
            target = Path(scratch) / "in" / name / entry.name
            if ".." in target.parts or not target.is_relative_to(Path(scratch) / "in"):
                raise ArtifactError(f"artifact {url} has a file that leaves it: {entry.name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            source.fetch(target)
        sha = _hash(Path(scratch) / "in" / name)
        if declared is not None and sha != declared:
            raise ArtifactError(
                f"artifact {url} has the sha256 {sha}, and {declared} is declared",
                hint="it was changed since: look at it, then declare its sha256",
            )
        kept = cache_dir / f"{_FOLDER}{sha}"
        if _kept(cache_dir, sha, name) is None:
            shutil.rmtree(kept, ignore_errors=True)
            (Path(scratch) / "in").rename(kept)
    return sha


def _kept(cache_dir: Path, sha: str, name: str) -> Path | None:
    """What was fetched before, if it still is what it was."""
    path = cache_dir / f"{_FOLDER}{sha}" / name
    try:
        return path if path.exists() and _hash(path) == sha else None
    except (ArtifactError, OSError):
        return None


def _hash(path: Path) -> str:
    if not path.is_dir():
        return hash_of(path)
    return hashlib.sha256("".join(_lines(path)).encode()).hexdigest()


def _lines(folder: Path) -> Iterator[str]:
    for file in sorted(one for one in folder.rglob("*") if one.is_file()):
        yield f"{file.relative_to(folder).as_posix()} {hash_of(file)}\n"
