"""Exports run in a process of their own: a framework's imports, crashes and memory stay out of ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final

from sqlinfer.errors import FunctionError
from sqlinfer.files import parse_json, read_plain
from sqlinfer.functions.limits import MEMORY_VARIABLE, SECONDS_VARIABLE
from sqlinfer.functions.sources.base import ignore
from sqlinfer.project.secret import public
from sqlinfer.project.values import FunctionConfig

TIMEOUT: Final = 1800.0
"""Seconds after which an export is given up."""
_TELL_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.5
_MOST_SAID: Final = 64 << 20
"""Bytes of stderr that are kept on the disk."""
_SHOWN_BYTES: Final = 1 << 16
_LAST_LINES: Final = 12


def export(
    config: FunctionConfig,
    module: str,
    request: Mapping[str, Any],
    scratch: Path,
    *,
    timeout: float = TIMEOUT,
    tell: Callable[[str], None] = ignore,
    doing: str = "Preparing",
    secrets: bool = False,
) -> dict[str, Any]:
    """Run ``python -m module request.json answer.json`` and read the answer.

    ``secrets``: the child runs the project's own code, which may read the whole environment.

    Raises:
        FunctionError: the child failed, with its last lines.
    """
    asked, answered = scratch / "request.json", scratch / "answer.json"
    asked.write_text(json.dumps(dict(request)))
    command = [module, str(asked), str(answered)]
    env = {
        **(os.environ if secrets else public(os.environ)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    try:
        code, said = _patiently(config, command, env, scratch, timeout, tell, doing)
    except subprocess.TimeoutExpired as error:
        raise FunctionError(
            f"function '{config.name}': exporting it took longer than {timeout:.0f} s",
            hint="export it to ONNX yourself",
        ) from error
    if code != 0:
        raise _failed(config, code, said)
    try:
        answer = parse_json(read_plain(answered))
    except (OSError, ValueError):
        answer = None
    if not isinstance(answer, dict):  # its code left the process, with os._exit() for example
        raise _failed(config, 1, f"{said}\nits process ended before it had answered")
    return answer


def _patiently(
    config: FunctionConfig,
    command: list[str],
    env: Mapping[str, str],
    folder: Path,
    timeout: float,
    tell: Callable[[str], None],
    doing: str,
) -> tuple[int, str]:
    """How the child ended, and what it wrote to stderr. Whoever waits is told so now and then."""
    began = monotonic()
    tell(f"{doing} function {config.name} from its {config.source} model")
    written = folder / "stderr"
    written.unlink(missing_ok=True)
    alive, ours = os.pipe()
    line = [sys.executable, "-P", "-m", "sqlinfer.lifeline", str(alive), *command]
    with (
        os.fdopen(ours, "wb"),
        written.open("ab") as stderr,
        os.fdopen(alive, "rb"),
        subprocess.Popen(line, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=stderr, pass_fds=(alive,), start_new_session=True) as child,
    ):  # fmt: skip
        told = began
        try:
            while (code := _ended(child)) is None:
                now = monotonic()
                if now - began > timeout:
                    raise subprocess.TimeoutExpired(command, timeout)
                if written.stat().st_size > _MOST_SAID:  # only its last lines are shown
                    os.truncate(written, 0)
                if now - told > _TELL_SECONDS:
                    tell(f"{doing} function {config.name} … {now - began:.0f} s")
                    told = now
        finally:
            with suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)  # with the processes that it started
        return code, _last(written)


def _ended(child: subprocess.Popen[bytes]) -> int | None:
    try:
        return child.wait(_LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _last(written: Path) -> str:
    with written.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _SHOWN_BYTES))
        return file.read().replace(b"\0", b"").decode(errors="replace")


_LATE: Final = (-signal.SIGXCPU, -signal.SIGALRM)
"""How ``Limits`` end a process that takes too long."""


def _failed(config: FunctionConfig, code: int, said: str) -> FunctionError:
    if code in _LATE:
        return FunctionError(
            f"function '{config.name}': preparing its {config.source} model takes too long",
            hint=f"the file is damaged, or very large; {SECONDS_VARIABLE}=<seconds> allows more",
        )
    if code == -signal.SIGABRT and ("bad_alloc" in said or not said.strip()):  # native code that gets no memory
        return FunctionError(
            f"function '{config.name}': its {config.source} model takes more memory than is allowed",
            hint=f"the file is damaged, or very large; {MEMORY_VARIABLE}=<bytes> allows more",
        )
    lines = [line for line in said.splitlines() if line.strip()][-_LAST_LINES:]
    ended = f"was killed by signal {-code}" if code < 0 else "failed"
    text = "\n".join(f"    {line}" for line in lines)
    return FunctionError(
        f"function '{config.name}': the export of its {config.source} model {ended}\n{text}",
        hint="the lines above are the export's own",
    )
