"""Exports run in a process of their own: a framework's imports, crashes and memory stay out of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlinfer.errors import FunctionError
from sqlinfer.project.values import FunctionConfig

TIMEOUT: Final = 1800.0
"""Seconds after which an export is given up."""
_LAST_LINES: Final = 12


def export(
    config: FunctionConfig, module: str, request: Mapping[str, Any], scratch: Path, *, timeout: float = TIMEOUT
) -> dict[str, Any]:
    """Run ``python -m module request.json answer.json`` and read the answer.

    Raises:
        FunctionError: the child failed, with its last lines.
    """
    asked, answered = scratch / "request.json", scratch / "answer.json"
    asked.write_text(json.dumps(dict(request)))
    command = [sys.executable, "-m", module, str(asked), str(answered)]
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"}
    try:
        done = subprocess.run(
            command,
            cwd=scratch,
            env=env,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FunctionError(
            f"function '{config.name}': exporting it took longer than {timeout:.0f} s",
            hint="export it to ONNX yourself",
        ) from error
    if done.returncode != 0:
        raise _failed(config, done)
    answer: dict[str, Any] = json.loads(answered.read_text())
    return answer


def _failed(config: FunctionConfig, done: subprocess.CompletedProcess[str]) -> FunctionError:
    lines = [line for line in done.stderr.splitlines() if line.strip()][-_LAST_LINES:]
    ended = f"was killed by signal {-done.returncode}" if done.returncode < 0 else "failed"
    text = "\n".join(f"    {line}" for line in lines)
    return FunctionError(
        f"function '{config.name}': the export of its {config.source} model {ended}\n{text}",
        hint="the lines above are the export's own",
    )
