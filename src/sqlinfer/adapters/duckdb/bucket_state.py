"""A side file that lives in a bucket, so that the machine may be replaced: fetched, journalled, put back.

Below ``<state>/<database>/``:

    state.json            which file is whole, and its generation; put last
    side-<n>.duckdb       the side file of generation n
    parts/<n>-<m>         what the run of generation n committed, in order (Arrow: a header, and the rows of a chunk)
    claims/<run>.json     who holds the target

A run works on a copy on its own disk, and puts a part for each chunk that it has committed. When it ends, it puts the
whole file, then ``state.json``, and removes what that replaces. A killed run leaves parts of a higher generation than
the file's: the next run replays them. At most the chunk that was being committed is scored again.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlinfer.adapters.duckdb.bucket_claim import BucketClaim
from sqlinfer.adapters.duckdb.lock import TargetLock
from sqlinfer.adapters.duckdb.replay import part_of, replay
from sqlinfer.errors import SqlinferError, StoreError
from sqlinfer.files import write_atomic

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.adapters.duckdb.connection import DuckDBConnection
    from sqlinfer.adapters.duckdb.place import Place
    from sqlinfer.storage import Place as Folder

FORMAT = 1


@dataclass(slots=True)
class BucketState:
    """A claim whose holder has the side file on this machine. Locked here, too: the copy is shared."""

    place: Place
    folder: Folder
    run_id: str
    _local: TargetLock = field(init=False)
    _claim: BucketClaim = field(init=False)
    _generation: int = 0
    _parts: int = 0
    _left: bool = False
    """Parts of killed runs were replayed: they are to go into the whole file."""
    _waiting: tuple[str, ...] = ()
    _old: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._local = TargetLock(self.place.lock, self.run_id)
        self._claim = BucketClaim(self.folder.below("claims"), self.run_id)

    @property
    def path(self) -> Path:
        return self._local.path

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.release()
        except SqlinferError:
            if kind is None:
                raise

    def acquire(self) -> None:
        _make_own(self.place)
        self._local.acquire()
        try:
            self._claim.acquire()
            try:
                self._bring()
            except BaseException:
                self._claim.release()
                raise
        except BaseException:
            self._local.release()
            raise

    def check(self) -> None:
        self._local.check()
        self._claim.check()

    def release(self) -> None:
        """Raises StoreError: what was scored could not be put back; parts of it are in the bucket."""
        try:
            if not self._waiting and (self._parts or self._left or is_changed(self.place)):
                self._put_back()
        except SqlinferError as error:
            raise StoreError(
                f"what this run has remembered could not be put back to {self.folder.url}: {error.message}",
                hint=error.hint or "what is published stays; the next run scores what it does not find there",
            ) from error
        finally:
            self._claim.release()
            self._local.release()

    def journal(self, header: Mapping[str, Any], rows: pa.Table | None = None) -> None:
        """Keep what was just committed. Raises StorageError."""
        name = f"{self._generation:08d}-{self._parts:08d}"
        self.folder.below("parts", name).put(part_of({**header, "format": FORMAT}, rows))
        self._parts += 1

    def _bring(self) -> None:
        done = int(fetch(self.place, self.folder).get("generation", 0))
        found = [one.name for one in self.folder.below("parts").entries()]
        generations = [int(name.partition("-")[0]) for name in found if name[:8].isdigit()]
        left = [name for name in found if name[:8].isdigit() and int(name[:8]) > done]
        self._generation = max((done, *generations)) + 1
        self._old = tuple(found)
        self._waiting, self._left = tuple(left), bool(left)

    def replay_into(self, connection: DuckDBConnection) -> None:
        """What killed runs committed, into the side file that is open now. Once."""
        waiting, self._waiting = self._waiting, ()
        for name in waiting:
            data = self.folder.below("parts", name).read()
            if data is not None:
                replay(connection, name, data, FORMAT)

    def _put_back(self) -> None:
        if not self.place.side.exists():
            return
        settle(self.place.side)
        self._claim.check()
        name = f"side-{self._generation:08d}.duckdb"
        with self.folder.below(name).writing() as target, self.place.side.open("rb") as source:
            while piece := source.read(1 << 20):
                target.write(piece)
        state = {"format": FORMAT, "generation": self._generation, "side": name, "run_id": self.run_id}
        self.folder.below("state.json").put(json.dumps(state).encode())
        remember(self.place, name)
        with suppress(SqlinferError):  # what stays is known by its generation and goes next time
            mine = [f"{self._generation:08d}-{number:08d}" for number in range(self._parts)]
            for old in (*self._old, *mine):
                self.folder.below("parts", old).delete()
            for one in self.folder.entries():
                if one.name.startswith("side-") and one.name != name:
                    self.folder.below(one.name).delete()


def fetch(place: Place, folder: Folder) -> Mapping[str, Any]:
    """The side file as the last run put it; the answer is ``state.json``, empty where there is none yet.

    Raises:
        StorageError: the bucket. StoreError: a newer version wrote it.
    """
    data = folder.below("state.json").read()
    state: dict[str, Any] = {}
    if data is not None:
        try:
            state = json.loads(data)
            known = int(state["format"]), str(state["side"]), int(state["generation"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{folder.url}/state.json is not one of sqlinfer's", hint="name another state:") from error
        if known[0] > FORMAT:
            raise StoreError(f"a newer version of sqlinfer has written {folder.url}", hint="upgrade sqlinfer")
    name = str(state.get("side", ""))
    if not name or _marker(place).get("side") != name or is_changed(place):
        _remove(place)
        if name:
            place.side.parent.mkdir(parents=True, exist_ok=True)
            part = place.side.with_name(f"{place.side.name}.{os.getpid()}.fetched")
            with suppress(OSError):
                part.unlink()
            folder.below(name).fetch(part)
            part.replace(place.side)
            remember(place, name)
    return state


def look(place: Place, folder: Folder) -> None:
    """For who only reads what is remembered: the copy on this machine is that of the last run that has ended.

    While a run works here, its copy is left alone.
    """
    _make_own(place)
    lock = TargetLock(place.lock, "look")
    with suppress(StoreError):
        lock.acquire()
        try:
            fetch(place, folder)
        finally:
            lock.release()


def settle(side: Path) -> None:
    """What is in the write-ahead log goes into the file."""
    if side.with_name(f"{side.name}.wal").exists():
        import duckdb

        with duckdb.connect(str(side)) as connection:
            connection.execute("CHECKPOINT")


def remember(place: Place, name: str) -> None:
    write_atomic(_marked(place), json.dumps({"side": name, "stat": _stat(place)}).encode())


def is_changed(place: Place) -> bool:
    """Whether the copy is another than what was fetched or put last."""
    return _marker(place).get("stat") != _stat(place)


def _make_own(place: Place) -> None:
    """The folder of the copy, which others of the machine do not see.

    Raises:
        StoreError: somebody else has made it.
    """
    top = place.side.parent.parent
    with suppress(FileExistsError):
        top.mkdir(mode=0o700)
    found = top.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StoreError(f"{top} is not this user's own folder", hint="remove it, or set TMPDIR")
    place.side.parent.mkdir(exist_ok=True)


def _marked(place: Place) -> Path:
    return place.side.with_name(f"{place.side.name}.json")


def _marker(place: Place) -> Mapping[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(_marked(place).read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


def _stat(place: Place) -> list[int] | None:
    try:
        found = place.side.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, int(place.side.with_name(f"{place.side.name}.wal").exists())]


def _remove(place: Place) -> None:
    for name in (place.side.name, f"{place.side.name}.wal", f"{place.side.name}.json"):
        with suppress(FileNotFoundError):
            place.side.with_name(name).unlink()
