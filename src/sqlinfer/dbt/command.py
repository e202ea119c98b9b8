"""Calling the user's own dbt as a child process. Its settings and flags stay its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlinfer.errors import RunError, UsageError
from sqlinfer.jobs.options import RunOptions

EXECUTABLE = "SQLINFER_DBT"
"""Names the dbt to use where it is neither beside our Python nor in PATH."""
_TAIL = 30
_POLL_SECONDS, _GRACE_SECONDS = 0.2, 6.0


@dataclass(frozen=True, slots=True)
class Dbt:
    """A dbt that was found, and the folder that it works in."""

    program: str
    root: Path
    flags: tuple[str, ...] = ()
    """Connection flags of every call."""

    def call(self, command: str, *arguments: str, target_path: Path, cancel: threading.Event | None = None) -> int:
        """Run with dbt's own output on our terminal; its exit code. ``cancel`` interrupts it as Ctrl-C does."""
        with subprocess.Popen(self._line(command, arguments, target_path), cwd=self.root) as child:
            while True:
                try:
                    return child.wait(timeout=_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    if cancel is not None and cancel.is_set():
                        return _stop(child)

    def ask(self, command: str, *arguments: str, target_path: Path) -> str:
        """Run silently; what it wrote to stdout.

        Raises:
            RunError: it failed; the hint has its last lines.
        """
        line = self._line(command, (*arguments, "--quiet", "--no-use-colors"), target_path)
        done = subprocess.run(line, cwd=self.root, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_TAIL:])
            raise RunError(f"`dbt {command}` failed (exit code {done.returncode}); nothing was changed\n{said}",
                           hint=f"see `dbt {command}` by itself")  # fmt: skip
        return done.stdout

    def _line(self, command: str, arguments: Sequence[str], target_path: Path) -> list[str]:
        _warm(target_path)
        return [self.program, command, *self.flags, *arguments, "--target-path", str(target_path)]


def _warm(target_path: Path) -> None:
    """Begin from what dbt's own last call has parsed; dbt checks by itself whether it still fits."""
    own, theirs = (folder / "partial_parse.msgpack" for folder in (target_path, target_path.parents[1]))
    if theirs.is_file() and not own.exists():
        target_path.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(theirs, own)


def _stop(child: subprocess.Popen[bytes]) -> int:
    """dbt cancels its queries on SIGINT; one that does not leave in time is killed."""
    child.send_signal(signal.SIGINT)
    try:
        return child.wait(timeout=_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def find_dbt(env: Mapping[str, str]) -> str:
    """Raises UsageError where there is no dbt."""
    named = env.get(EXECUTABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise UsageError(f"{EXECUTABLE} names '{named}', which cannot be run")
        return found
    beside = Path(sys.executable).parent / ("dbt.exe" if os.name == "nt" else "dbt")
    found = str(beside) if beside.is_file() else shutil.which("dbt", path=env.get("PATH"))
    if found is None:
        hint = f"pip install dbt-core and your adapter (dbt-duckdb), or name the program in {EXECUTABLE}"
        raise UsageError("dbt is not installed: no `dbt` beside this Python or in PATH", hint=hint)
    return found


def dbt_for(options: RunOptions, env: Mapping[str, str]) -> Dbt:
    """The dbt of these options."""
    return Dbt(find_dbt(env), options.project_dir.absolute(), tuple(_flags(options)))


def _flags(options: RunOptions) -> list[str]:
    flags = ["--project-dir", str(options.project_dir.absolute())]
    if options.profiles_dir is not None:
        flags += ["--profiles-dir", str(options.profiles_dir.absolute())]
    for name, value in (("--profile", options.profile), ("--target", options.target)):
        flags += [name, value] if value else []
    if options.vars:
        flags += ["--vars", options.vars if isinstance(options.vars, str) else json.dumps(dict(options.vars))]
    return flags


def selection_flags(options: RunOptions) -> list[str]:
    """``--select`` and ``--exclude`` as dbt takes them."""
    flags: list[str] = []
    for name, words in (("--select", options.select), ("--exclude", options.exclude)):
        values = [word for text in words for word in text.split()]
        flags += [name, *values] if values else []
    return flags
