"""Calling the user's own dbt. Its settings and flags stay its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from sqlinfer.dbt import said
from sqlinfer.dbt.forks import Forks, Unusable, python_of
from sqlinfer.dbt.said import Said
from sqlinfer.errors import Cancelled, RunError, UsageError
from sqlinfer.jobs.options import RunOptions

EXECUTABLE = "SQLINFER_DBT"
"""Names the dbt to use where it is neither beside our Python nor in PATH."""
_TAIL = 30
_POLL_SECONDS, _GRACE_SECONDS = 0.1, 6.0
_TOLD = ("--log-format", "json", "--log-level", "info", "--no-quiet", "--no-send-anonymous-usage-stats")
"""Flags of the calls whose output we read."""


class Runner(Protocol):
    """A way to run dbt with these words; ``output`` gets what it says, else the terminal does."""

    def run(self, words: Sequence[str], output: Path | None, cancel: threading.Event | None) -> int: ...


@dataclass(frozen=True, slots=True)
class Processes:
    """dbt as a program that is started for each call."""

    program: str
    root: Path

    def run(self, words: Sequence[str], output: Path | None, cancel: threading.Event | None) -> int:
        with open(output or os.devnull, "wb") as file:
            to = file if output else None
            with subprocess.Popen([self.program, *words], cwd=self.root, stdout=to, stderr=to) as child:
                while True:
                    try:
                        return child.wait(timeout=_POLL_SECONDS)
                    except subprocess.TimeoutExpired:
                        if cancel is not None and cancel.is_set():
                            return _stop(child)


def _stop(child: subprocess.Popen[bytes]) -> int:
    """dbt cancels its queries on SIGINT; one that does not leave in time is killed."""
    child.send_signal(signal.SIGINT)
    try:
        return child.wait(timeout=_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


@dataclass(frozen=True, slots=True)
class Dbt:
    """A dbt that was found, and the folder that it works in."""

    program: str
    root: Path
    flags: tuple[str, ...] = ()
    """Flags of every call: the connection, and how to parse."""
    cancel: threading.Event = field(default_factory=threading.Event)
    """Interrupts a call, as Ctrl-C does."""
    runner: Runner | None = None
    """None: a start of the program for each call."""

    @contextmanager
    def opened(self, target_path: Path) -> Iterator[Dbt]:
        """The same dbt for several calls: where possible it starts and parses once, from now on."""
        python = python_of(self.program)
        if python is None:
            yield self
            return
        _warm(target_path)
        forks = Forks(python, self.root, ["parse", *self.flags, *_TOLD, "--target-path", str(target_path)])
        try:
            yield replace(self, runner=forks)
        finally:
            forks.close()

    @property
    def parsed_apart(self) -> bool:
        """Whether what dbt says of the project's files is not repeated by its calls."""
        return isinstance(self.runner, Forks)

    def sampling(self, window: str | None) -> tuple[str, ...]:
        """``--sample`` for ``dbt compile``, which has no such flag of its own.

        Raises:
            UsageError: the queries of prediction nodes would not be the sampled ones.
        """
        if window and not self.parsed_apart:
            hint = "it can on Linux, with a dbt Core that pip installed: name it in SQLINFER_DBT"
            raise UsageError("this dbt cannot compile prediction nodes with --sample", hint=hint)
        return ("--sample", window) if window else ()

    def call(self, command: str, *arguments: str, target_path: Path) -> int:
        """Run with dbt's own output on our terminal; its exit code."""
        return self._run((command, *self.flags, *arguments, "--target-path", str(target_path)), None)

    def ask(self, command: str, *arguments: str, target_path: Path) -> Said:
        """Run silently; what it said.

        Raises:
            RunError: it failed; the hint has its last lines. Cancelled: it was interrupted.
        """
        _warm(target_path)
        words = (command, *self.flags, *arguments, *_TOLD, "--target-path", str(target_path))
        with tempfile.TemporaryDirectory(prefix="sqlinfer-dbt-") as folder:
            output = Path(folder) / command
            code = self._run(words, output)
            text = output.read_text(encoding="utf-8", errors="replace") if output.exists() else ""
        if self.cancel.is_set():
            raise Cancelled("interrupted; nothing was changed")
        if code != 0:
            lines = "\n".join(said.loud(text).strip().splitlines()[-_TAIL:])
            raise RunError(f"`dbt {command}` failed (exit code {code}); nothing was changed\n{lines}",
                           hint=f"see `dbt {command}` by itself")  # fmt: skip
        return said.read(self._parse_log() + text)

    def _parse_log(self) -> str:
        if not isinstance(self.runner, Forks):
            return ""
        return self.runner.parse_said().decode(errors="replace")

    def _run(self, words: Sequence[str], output: Path | None) -> int:
        plain = Processes(self.program, self.root)
        try:
            return (self.runner or plain).run(words, output, self.cancel)
        except Unusable:
            return plain.run(words, output, self.cancel)


def _warm(target_path: Path) -> None:
    """Begin from what dbt's own last call has parsed; dbt checks by itself whether it still fits."""
    own, theirs = (folder / "partial_parse.msgpack" for folder in (target_path, target_path.parents[1]))
    if theirs.is_file() and not own.exists():
        target_path.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(theirs, own)


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


def dbt_for(options: RunOptions, env: Mapping[str, str], cancel: threading.Event | None = None) -> Dbt:
    """The dbt of these options."""
    root = options.project_dir.absolute()
    return Dbt(find_dbt(env), root, tuple(_flags(options)), cancel or threading.Event())


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
    """``--select``, ``--exclude`` and what they may be compared with, as dbt takes them."""
    flags: list[str] = []
    for name, words in (("--select", options.select), ("--exclude", options.exclude)):
        values = [word for text in words for word in text.split()]
        flags += [name, *values] if values else []
    flags += ["--selector", options.selector] if options.selector else []
    for name, folder in (("--state", options.state), ("--defer-state", options.defer_state)):
        flags += [name, str(folder.absolute())] if folder else []
    return flags


def compiling_flags(options: RunOptions) -> list[str]:
    """What changes the SQL that dbt compiles."""
    switches = (
        ("--defer", options.defer), ("--favor-state", options.favor_state), ("--full-refresh", options.full_refresh),
        ("--empty", options.empty),
    )  # fmt: skip
    return [name for name, on in switches if on]
