"""dbt, imported and parsed once: every call is a fork of this process, with the parsed project in memory.

Run by the Python that dbt lives in, which need not have sqlinfer: only the standard library and dbt are imported.
In: a JSON line a request on stdin. Out: a JSON line an answer on the descriptor that argv names.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import sys
import time
import traceback
from contextlib import suppress
from typing import Any, NoReturn

GRACE_SECONDS = 6.0
"""dbt cancels its queries on SIGINT; a call that does not leave in time is killed."""
_TASKS = ("dbt.task.list", "dbt.task.compile", "dbt.task.build")


class Requests:
    """Lines of stdin, without a buffer that ``select`` cannot see."""

    def __init__(self) -> None:
        self._rest = b""
        self.ended = False

    def next(self, timeout: float | None) -> dict[str, Any] | None:
        """The next request; None after the timeout, or where the caller is gone."""
        while b"\n" not in self._rest:
            ready, _, _ = select.select([0], [], [], timeout)
            if not ready:
                return None
            more = os.read(0, 1 << 16)
            if not more:
                self.ended = True
                return None
            self._rest += more
        line, self._rest = self._rest.split(b"\n", 1)
        found: dict[str, Any] = json.loads(line)
        return found


def main() -> NoReturn:
    answers = int(sys.argv[1])
    os.set_inheritable(answers, False)
    signal.signal(signal.SIGINT, lambda *_: None)  # the caller says when a call is to stop
    requests = Requests()
    manifest: Any = None
    while True:
        request = requests.next(None)
        if request is None:
            os._exit(0)  # the server itself holds nothing that has to be closed
        if request.get("parse"):
            code, manifest = _parse(request["words"], request["output"])
        elif "words" in request:
            child = os.fork()
            if child == 0:
                _call(request["words"], request["output"], manifest)
            code = _wait(child, requests)
        else:  # a request to stop that came too late
            continue
        try:
            os.write(answers, (json.dumps({"code": code}) + "\n").encode())
        except BrokenPipeError:
            os._exit(0)


def _parse(words: list[str], output: str) -> tuple[int, Any]:
    kept = os.dup(1), os.dup(2)
    _write_to(output)
    gc.disable()
    try:
        for name in _TASKS:  # what every fork would have to import by itself
            __import__(name)
        _compile_samples()
        return _invoke(words, None)
    except BaseException:
        traceback.print_exc()
        return 2, None
    finally:
        gc.enable()
        gc.freeze()
        _flush()
        for number, descriptor in enumerate(kept, 1):
            os.dup2(descriptor, number)
            os.close(descriptor)


def _compile_samples() -> None:
    """``dbt compile`` gets ``--sample`` too: what it compiles of a prediction node is what is scored."""
    from dbt.cli.main import cli

    known = {param.name for param in cli.commands["compile"].params}
    for param in cli.commands["build"].params:
        if param.name == "sample" and "sample" not in known:
            cli.commands["compile"].params.append(param)


def _call(words: list[str], output: str | None, manifest: Any) -> NoReturn:
    """In the fork. dbt's exit functions close its connections; to take the heap apart would take longer."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if output:
        _write_to(output)
    try:
        code, _ = _invoke(words, manifest)
    except BaseException:
        traceback.print_exc()
        code = 2
    atexit._run_exitfuncs()
    _flush()
    os._exit(code)


def _invoke(words: list[str], manifest: Any) -> tuple[int, Any]:
    from dbt.cli.main import dbtRunner

    done = dbtRunner(manifest=manifest).invoke(words)
    if done.success:
        return 0, done.result
    if type(done.exception).__name__ == "DbtUsageException":  # the only kind that dbt has not told yet
        print(f"Error: {done.exception}", file=sys.stderr)  # noqa: T201
    return (1 if done.exception is None else 2), None


def _wait(child: int, requests: Requests) -> int:
    """The exit code of a fork. A request to stop, or a caller that is gone, interrupts it."""
    deadline = None
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if deadline is not None and time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        if requests.ended:
            time.sleep(0.02)
        elif requests.next(0.02) is None and not requests.ended:
            continue
        if deadline is None:
            deadline = time.monotonic() + GRACE_SECONDS
            os.kill(child, signal.SIGINT)


def _write_to(path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]  # our modules are not dbt's
    main()
