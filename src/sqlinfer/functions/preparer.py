"""The process that prepares functions, started by ``contained``.

It imports what preparing needs, and forks for each request, so that the imports are paid for once. Each fork lives
within limits; whatever becomes of it, the answer is one line of JSON. It ends with the socket, or when it is idle.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import EncodeError  # type: ignore[import-untyped]

from sqlinfer.errors import SqlinferError
from sqlinfer.functions.build import build
from sqlinfer.functions.check import artifact
from sqlinfer.functions.check.tolerance import tolerance_of
from sqlinfer.functions.limits import Limits
from sqlinfer.functions.sources.base import Artifact
from sqlinfer.project.values import FunctionConfig
from sqlinfer.spec.function import PreparedFunction

IDLE_SECONDS: Final = 20.0
_TRIAL: Final = "sqlinfer.inference.trying"
"""By name: sessions are not this layer's."""
Say = Callable[[Mapping[str, Any]], None]


def _locations(say: Say, path: Path, sha256: str) -> list[str]:
    say({"doing": "its graph was read"})
    return list(artifact.external_files(path, sha256))


def _prepare(
    say: Say,
    config: FunctionConfig,
    made: Artifact,
    family: str,
    cache_dir: Path,
    fingerprint: Mapping[str, str],
    scratch: Path,
) -> dict[str, Any]:
    say({"doing": "its graph was checked and rewritten"})
    record = build(config, made, family, cache_dir, fingerprint, scratch)
    say({"doing": "its session was tried"})
    prepared = record.prepared(config, cache_dir, "cpu", config.folder)
    import_module(_TRIAL).try_out(prepared, family, cache_dir)
    plain = prepared
    if config.precision == "int8":
        plain = _plain(config, made, family, fingerprint, scratch)
        say({"doing": "it was compared with fp32"})
        from sqlinfer.functions.check.quality import measured
        from sqlinfer.functions.fuse.quantising import sample

        record = replace(record, quality=measured(plain, prepared, *sample(config, prepared, made.compared)))
    if made.compared is not None:
        say({"doing": "it was compared with its original"})
        from sqlinfer.functions.check.verifying import verified  # imports pyarrow, which others do without

        record = replace(record, verified=verified(plain, made.compared, tolerance_of(config)))
    return record.to_json()


def _plain(
    config: FunctionConfig, made: Artifact, family: str, fingerprint: Mapping[str, str], scratch: Path
) -> PreparedFunction:
    """The same function in fp32, for the time of a comparison."""
    folder = scratch / "fp32"
    folder.mkdir()
    config = replace(config, precision="fp32")
    return build(config, made, family, folder, fingerprint, scratch).prepared(config, folder, "cpu", config.folder)


TASKS: Final[Mapping[str, Callable[..., Any]]] = {"locations": _locations, "prepare": _prepare}


def main(handle: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    channel = Connection(handle)
    while channel.poll(IDLE_SECONDS):
        try:
            request = channel.recv_bytes()
        except EOFError:
            return
        channel.send_bytes(_forked(channel, request))
        import_module(_TRIAL)  # once, for the requests to come; the first answer did not wait for it


def _forked(channel: Connection, request: bytes) -> bytes:
    """What the fork said, line by line, and then how it ended."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        channel.close()
        _work(writable, request)
    os.close(writable)
    said = bytearray()
    while True:
        ready = select.select([readable, channel.fileno()], [], [])[0]
        if channel.fileno() in ready:  # nothing is asked while an answer is due: the parent is gone
            os.kill(child, signal.SIGKILL)
            os._exit(0)
        part = os.read(readable, 1 << 16)
        if not part:
            break
        said += part
    os.close(readable)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return bytes(said) + json.dumps({"ended": code}).encode()


def _work(writable: int, request: bytes) -> None:
    """In the fork. Never returns."""

    def say(what: Mapping[str, Any]) -> None:
        line = json.dumps(what).encode() + b"\n"
        while line:
            line = line[os.write(writable, line) :]

    code = 1
    try:
        task, limits, arguments = pickle.loads(request)
        limits.apply()
        say(_answer(say, task, arguments))
        code = 0
    finally:
        os._exit(code)


def _answer(say: Say, task: str, arguments: tuple[Any, ...]) -> dict[str, Any]:
    try:
        return {"value": TASKS[task](say, *arguments)}
    except SqlinferError as error:
        place = None if error.location is None else asdict(error.location) | {"path": str(error.location.path or "")}
        return {"refused": type(error).__name__, "message": error.message, "hint": error.hint, "place": place}
    except (MemoryError, EncodeError):  # protobuf says no more than that it failed to serialise
        pass  # the frames that hold the memory go with the exception
    except Exception as error:  # a graph that is not what the standard says, in a way that nothing foresaw
        return {"broken": f"{type(error).__name__}: {error}"[:500], "trace": traceback.format_exc()[-5_000:]}
    Limits.lift_memory()
    return {"memory": True}
