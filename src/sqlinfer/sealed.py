"""JSON files of ours that are believed without a second look: a seal tells whether this user wrote them.

The folder that they lie in is not trusted. The key of the seal lies in the user's own cache folder, which nobody else
reads; where there is none, or it lies open, nothing is sealed and nothing is believed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlinfer.files import open_own, write_below

MAX_BYTES, MAX_FILES = 64 << 20, 12
_HEAD, _MIDDLE, _TAIL = b'{"seal": "', b'", "content": ', b"}\n"
_SEAL = 64


def read(path: Path, key: bytes) -> Any:
    """The content; None where the file is missing, damaged, too large, or not sealed with the key."""
    try:
        with open(open_own(path, os.O_RDONLY), "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError:
        return None
    start = len(_HEAD) + _SEAL + len(_MIDDLE)
    whole = data.startswith(_HEAD) and data.endswith(_TAIL) and data[len(_HEAD) + _SEAL : start] == _MIDDLE
    if not whole or len(data) > MAX_BYTES:
        return None
    body = memoryview(data)[start : -len(_TAIL)]
    if not hmac.compare_digest(_seal(body, key), data[len(_HEAD) : len(_HEAD) + _SEAL]):
        return None
    return json.loads(bytes(body))


def write(base: Path, path: Path, content: object, key: bytes) -> None:
    """Replace the file, if the disk takes it; of its kind the newest few are kept."""
    body = json.dumps(content, separators=(",", ":")).encode()
    if len(body) + 100 > MAX_BYTES:
        return
    with suppress(OSError):
        write_below(base, path, _HEAD + _seal(body, key) + _MIDDLE + body + _TAIL)
        _prune(path)


def _seal(body: bytes | memoryview, key: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).hexdigest().encode()


def _prune(path: Path) -> None:
    kind = path.name.partition("-")[0]
    files = sorted(path.parent.glob(f"{kind}-*.json"), key=lambda one: one.lstat().st_mtime_ns, reverse=True)
    for old in files[MAX_FILES:]:
        old.unlink(missing_ok=True)


def key_of(env: Mapping[str, str]) -> bytes | None:
    """The user's own key, made when it is first asked for."""
    cache = env.get("XDG_CACHE_HOME") or (env.get("HOME") and str(Path(env["HOME"]) / ".cache"))
    if not cache or not Path(cache).is_absolute():
        return None
    folder = Path(cache) / "sqlinfer"
    with suppress(OSError):
        return _key_in(folder / "seal.key")
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = folder / f".seal-{os.getpid()}"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(handle, "wb") as file:
            file.write(os.urandom(32))
        try:
            os.link(temporary, folder / "seal.key")  # whole at once, and never over another's
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
        return _key_in(folder / "seal.key")
    return None


def _key_in(path: Path) -> bytes | None:
    """None where others might know it."""
    with open(open_own(path, os.O_RDONLY), "rb") as file:
        info = os.fstat(file.fileno())
        if info.st_uid != os.getuid() or stat.S_IMODE(info.st_mode) & 0o077:
            return None
        found = file.read(64)
    return found if len(found) == 32 else None
