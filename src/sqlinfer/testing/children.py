"""Processes that a test starts end with it: killed if they still run, their pipes closed, and none is a zombie."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_started: list[subprocess.Popen[Any]] = []


def start(command: Sequence[str | Path], **options: Any) -> subprocess.Popen[Any]:
    """``subprocess.Popen``, remembered for ``reap``."""
    process = subprocess.Popen(command, **options)
    _started.append(process)
    return process


def reap() -> None:
    """At the end of the test that called ``start``."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            process.kill()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None and not pipe.closed:
                pipe.close()
        process.wait()
