"""Fail fast, before heavy imports, if another run holds the target.

In: the project's folder and the flags. Out: a ``Door``, or the ``StoreError`` that the target's own lock would raise.
It only ever spares work: the lock beside the database decides, and whatever is in doubt is let through to it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlinfer.errors import StoreError

if TYPE_CHECKING:
    from sqlinfer.cli.options import Flags

STARTING = 60.0
"""Seconds in which a start reaches the target's lock. One that takes longer turns nobody away."""

_ENV_VAR = re.compile(r"\benv_var\s*\(\s*(?:'(\w+)'|\"(\w+)\")\s*[,)]")


@dataclass(slots=True)
class Door:
    """A file under flock, held as long as the command works. Without a handle nothing is held."""

    path: str = ""
    handle: int | None = None

    def claimed(self, database: str, lock: Path) -> None:
        """The target's own lock is held now: from here on it says whether anybody may enter."""
        with suppress(OSError):
            self._write(database=database, real=os.path.realpath(database), lock=str(lock), inode=lock.stat().st_ino)

    def _write(self, **more: Any) -> None:
        if self.handle is not None:
            known = {"pid": os.getpid(), "host": os.uname().nodename, "since": time.time(), **more}
            content = json.dumps(known).encode()
            os.pwrite(self.handle, content, 0)
            os.ftruncate(self.handle, len(content))

    def close(self) -> None:
        if self.handle is not None:
            with suppress(OSError):
                os.unlink(self.path)
            os.close(self.handle)
            self.handle = None


@contextmanager
def door(root: Path, flags: Flags, env: Mapping[str, str]) -> Iterator[Door]:
    """Held while a command works on the target that these flags choose.

    Raises:
        StoreError: another run of the same target is starting, or holds its lock; it is named.
    """
    try:
        held = _open(os.path.join(_folder(env), _key(root, flags, env)))
    except (OSError, ValueError):  # nowhere to look, or no project: the run itself will say what is wrong
        held = Door()
    try:
        yield held
    finally:
        held.close()


def _open(path: str) -> Door:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = _holder(handle)
        os.close(handle)
        if holder is not None:
            raise StoreError.held_by(holder) from None
        return Door()
    taken = Door(path, handle)
    taken._write()
    return taken


def _holder(handle: int) -> dict[str, Any] | None:
    """Who keeps others out, if anybody does."""
    known = _content(handle)
    if known is None or known["pid"] == os.getpid():
        return None
    if "lock" in known:
        return _of_lock(known)
    return known if time.time() - known["since"] < STARTING else None


def _content(handle: int) -> dict[str, Any] | None:
    """What the holder wrote. One that has just got the door may not have written yet."""
    for _ in range(25):
        with suppress(ValueError, KeyError, TypeError, OSError):
            known: dict[str, Any] = json.loads(os.pread(handle, 1 << 16, 0))
            os.kill(known["pid"], 0)
            return known
        time.sleep(0.02)
    return None


def _of_lock(known: Mapping[str, Any]) -> dict[str, Any] | None:
    """The holder as its target's lock names it; none where the lock was taken away or the path leads elsewhere now."""
    with suppress(ValueError, KeyError, TypeError, OSError):
        holder: dict[str, Any] = json.loads(Path(known["lock"]).read_bytes())
        same = os.stat(known["lock"]).st_ino == known["inode"] and holder["pid"] == known["pid"]
        return holder if same and os.path.realpath(known["database"]) == known["real"] else None
    return None


def _folder(env: Mapping[str, str]) -> str:
    """A folder of this user's own for the temporary files of all its starts."""
    path = os.path.join(env.get("TMPDIR") or "/tmp", f"sqlinfer-{os.getuid()}")
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(path)
    return path


def _key(root: Path, flags: Flags, env: Mapping[str, str]) -> str:
    """Equal keys mean the same target: all that chooses it goes in, the texts of the files too."""
    import hashlib

    home = env.get("HOME") or os.path.expanduser("~")
    folders = (flags.profiles_dir, env.get("DBT_PROFILES_DIR"), root, os.path.join(home, ".dbt"))
    files = [root / "sqlinfer_project.yml", *(Path(folder) / "profiles.yml" for folder in folders if folder)]
    texts = [files[0].read_text(), *(file.read_text() if file.is_file() else "" for file in files[1:])]
    said = (str(flags.profiles_dir), flags.profile, flags.target, flags.variables)
    parts = [os.path.realpath(root), os.getcwd(), said, texts, home, _read_variables(texts, env)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _read_variables(texts: Sequence[str], env: Mapping[str, str]) -> list[tuple[str, str | None]]:
    """The variables that ``env_var`` reads; the whole environment where a name is not spelled out."""
    text = "\n".join(texts)
    names = {first or second for first, second in _ENV_VAR.findall(text)}
    spelled = len(_ENV_VAR.findall(text)) == text.count("env_var")
    return [(name, env.get(name)) for name in sorted(names if spelled else env)]
