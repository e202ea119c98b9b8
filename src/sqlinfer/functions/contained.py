"""Work on files that are not trusted, asked of a process with limits. Its death is an error here, and nothing more.

One process serves all preparations of this one, one after another (``preparer``).
"""

from __future__ import annotations

import atexit
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, Final

from sqlinfer.errors import ArtifactError, FunctionError, InferenceError, Location, SqlinferError
from sqlinfer.functions.limits import MEMORY_VARIABLE, SECONDS_VARIABLE, Limits
from sqlinfer.project.secret import public

_REFUSALS: Final[dict[str, type[SqlinferError]]] = {
    kind.__name__: kind for kind in (ArtifactError, FunctionError, InferenceError)
}
_START: Final = """
import sys
from importlib.util import find_spec, module_from_spec
for name in ("sqlinfer.project", "sqlinfer.functions"):
    sys.modules[name] = module_from_spec(find_spec(name))
from sqlinfer.functions.preparer import main
main(int(sys.argv[1]))
"""
"""Of the project only the values are needed. Its package is there without the loader of projects, whose imports (YAML,
Jinja) take longer than all others together: 0.3 of 0.7 s of processor time. So is that of functions, without what asks
this process."""
_LATE: Final = frozenset({signal.SIGXCPU, signal.SIGALRM})


def ask(task: str, what: str, limits: Limits, *arguments: object) -> Any:
    """What a task of the preparer answers. ``what`` begins a message.

    Raises:
        FunctionError: it refused the file, or died of it.
    """
    said: dict[str, Any] = {}
    for line in _exchange(pickle.dumps((task, limits, arguments))).splitlines():
        said |= json.loads(line)
    if "value" in said:
        return said["value"]
    if "refused" in said:
        kind = _REFUSALS.get(said["refused"], FunctionError)
        raise kind(said["message"], hint=said["hint"], location=_place(said["place"]))
    raise _death(said, what, limits)


def _place(said: dict[str, Any] | None) -> Location | None:
    return None if said is None else Location(**said | {"path": Path(said["path"]) if said["path"] else None})


def _death(said: dict[str, Any], what: str, limits: Limits) -> FunctionError:
    doing, code = said.get("doing", "it began"), int(said["ended"])
    if "broken" in said:
        error = ArtifactError(
            f"{what}: its graph is not what the ONNX standard says ({said['broken']})",
            hint="export it again; if the graph is right, tell us what --debug shows",
        )
        error.__cause__ = RuntimeError(said["trace"])
        return error
    if "memory" in said or code == -signal.SIGABRT:  # native code gives up where it gets no memory
        how = f"takes more than {limits.memory / (1 << 30):.1f} GB of memory"
        hint = f"its graph makes a tensor that is too large; {MEMORY_VARIABLE}=<bytes> allows more"
    elif -code in _LATE:
        how = f"takes longer than {limits.seconds:.0f} s"
        hint = f"its graph loops, or is very large; {SECONDS_VARIABLE}=<seconds> allows more"
    else:
        how = f"ended its process by {signal.Signals(-code).name}" if code < 0 else f"ended its process with {code}"
        hint = "the file is damaged, or made to do harm; it is not loaded"
    return ArtifactError(f"{what}: preparing it {how}, while {doing}", hint=hint)


class _Preparer:
    """The process and the socket to it."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._channel, theirs = Pipe()
        command = [sys.executable, "-P", "-c", _START, str(theirs.fileno())]
        self._process = subprocess.Popen(
            command, pass_fds=(theirs.fileno(),), env={**public(os.environ), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()

    def exchange(self, request: bytes) -> bytes:
        """Raises OSError or EOFError where the process is gone."""
        self._channel.send_bytes(request)
        return self._channel.recv_bytes()

    def stop(self) -> None:
        self._channel.close()
        if self.owner == os.getpid():
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
            self._process.kill()
            self._process.wait()


_lock = threading.Lock()
_running: _Preparer | None = None


def _exchange(request: bytes) -> bytes:
    """One request at a time; a process that had been idle too long is started anew."""
    global _running
    with _lock:
        for _ in range(2):
            if _running is None or _running.owner != os.getpid():  # this one was forked
                _running = _Preparer()
            try:
                return _running.exchange(request)
            except (OSError, EOFError):
                _close()
            except BaseException:  # interrupted: the answer would come to the next request
                _close()
                raise
    raise FunctionError("the process that prepares functions does not start", hint="is onnx installed and whole?")


def _close() -> None:
    global _running
    stopped, _running = _running, None
    if stopped is not None:
        stopped.stop()


atexit.register(_close)
