"""What a job prints. In: events of ``api``. Out: dbt-like lines, or JSON lines, and a bar on a terminal's stderr."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import click

from sqlinfer.cli.doorman import Door
from sqlinfer.shown import one_line

if TYPE_CHECKING:
    from sqlinfer.cli.lines import Lines
    from sqlinfer.cli.options import Flags
    from sqlinfer.cli.progress import Bar
    from sqlinfer.jobs.events import Event
    from sqlinfer.runner.results import RunResult
    from sqlinfer.spec.events import Progress

GRACE_SECONDS = 9.0
"""After a signal the run has this long to leave; what was committed stays, so leaving hard is safe."""
LEVELS = {"debug": 0, "info": 1, "warn": 2, "error": 3, "fail": 3, "none": 4}
COLORS = {"OK": "green", "PASS": "green", "ERROR": "red", "FAIL": "red", "SKIP": "yellow", "WARN": "yellow"}


@contextmanager
def job(flags: Flags, command: str, *, results_on_stdout: bool = False) -> Iterator[Console]:
    """A console for one command, with Ctrl-C and SIGTERM turned into ``console.cancel``."""
    from sqlinfer.errors import Cancelled, SqlinferError

    console = Console(flags, command, sys.stderr if results_on_stdout else sys.stdout)
    with signals(console), console:
        try:
            yield console
        except SqlinferError as error:
            if isinstance(error, Cancelled):
                console.note(f"{error.message.capitalize()}.")
                raise click.exceptions.Exit(1) from error
            if console.cancel.is_set():
                console.interrupted()
            raise


@contextmanager
def signals(console: Console) -> Iterator[None]:
    """The first signal asks the job to stop, a second one stops it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> None:
        if console.cancel.is_set():
            os._exit(1)
        console.cancel.set()
        console.note(f"{signal.Signals(number).name} received: finishing the current chunk")
        deadline = threading.Timer(GRACE_SECONDS, leave, [console])
        deadline.daemon = True
        deadline.start()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave(console: Console) -> None:
    console.interrupted()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(1)


class Console:
    """Writes lines to ``stream``; a bar goes to stderr, on a terminal only."""

    def __init__(self, flags: Flags, command: str, stream: TextIO) -> None:
        self.flags = flags
        self.command = command
        self.stream = stream
        self.cancel = threading.Event()
        self.started = time.monotonic()
        self.bar: Bar | None = None
        self.lines: Lines | None = None
        self.way_on = "sqlinfer retry"
        """What continues after an interruption."""
        context = click.get_current_context(silent=True)
        self.door: Door = (context.obj if context else None) or Door()
        self._lock = threading.Lock()

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_bar()

    @property
    def colors(self) -> bool:
        asked = self.flags.use_colors
        return asked if asked is not None else self.stream.isatty() and not os.environ.get("NO_COLOR")

    def on_event(self, event: Event) -> None:
        """Called by ``api`` from the thread that runs the job, for progress from the scoring thread too."""
        from sqlinfer.cli.lines import Lines
        from sqlinfer.jobs.events import TargetClaimed
        from sqlinfer.spec.events import Progress, Publishing

        if isinstance(event, TargetClaimed):
            if event.lock is not None:
                self.door.claimed(event.database, event.lock)
            return
        self.lines = self.lines or Lines()
        if isinstance(event, Progress):
            self._progress(event)
            return
        self._close_bar()
        if isinstance(event, Publishing):
            return
        for line in self.lines.describe(event):
            self.line(line.text, level=line.level, event=type(event).__name__, data=line.data)

    def line(self, text: str, *, level: str = "info", event: str = "note", data: dict[str, Any] | None = None) -> None:
        least = max(LEVELS[self.flags.log_level or "info"], LEVELS["warn"] if self.flags.quiet else 0)
        if LEVELS[level] < least:
            return
        text = one_line(text)
        with self._lock:
            if self.flags.log_format == "json":
                self.stream.write(json_line(text, level, event, data) + "\n")
            else:
                stamp = datetime.now().strftime("%H:%M:%S")
                self.stream.write(f"{stamp}  {paint(text) if self.colors else text}\n" if text else f"{stamp}\n")
            self.stream.flush()

    def paragraph(self, text: str, *, level: str = "info") -> None:
        """A message of several lines: its place and its hint stand on lines of their own."""
        for line in text.splitlines() or [""]:
            self.line(line, level=level)

    def note(self, text: str) -> None:
        """A message on stderr, whatever the results do."""
        click.echo(text, err=True)

    def finish(self, result: RunResult) -> int:
        """The closing lines; the exit code."""
        self.close_run(result)
        if self.cancel.is_set():
            self.interrupted()
            return 1
        return result.exit_code

    def close_run(self, result: RunResult) -> None:
        """The lines that close one run of perhaps several."""
        from sqlinfer.cli.lines import closing
        from sqlinfer.cli.receipts import receipts

        self._close_bar()
        for line in closing(result, interrupted=self.cancel.is_set()):
            self.line(line.text, level=line.level, event="Finished", data=line.data)
        for line in receipts(result):
            self.line(line.text, level=line.level, event="Receipt", data=line.data)

    def interrupted(self) -> None:
        folder = f" --project-dir {self.flags.project_dir}" if self.flags.project_dir else ""
        self.note(f"Interrupted. What was scored is kept; continue with: {self.way_on}{folder}")

    def _progress(self, event: Progress) -> None:
        if self.flags.quiet or self.flags.log_format == "json" or not sys.stderr.isatty():
            return
        if self.bar is None:
            from sqlinfer.cli.progress import Bar

            self.bar = Bar(colors=self.colors)
        self.bar.update(event)

    def _close_bar(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def paint(text: str) -> str:
    """Colour the status in the last brackets of a line, as dbt does."""
    start = text.rfind("[")
    if start < 0 or not text.endswith("]"):
        return text
    inside = text[start + 1 : -1]
    word = next((word for word in COLORS if f" {word} " in f" {text} "), None)
    return f"{text[:start]}[{click.style(inside, fg=COLORS[word])}]" if word else text


def json_line(text: str, level: str, event: str, data: dict[str, Any] | None) -> str:
    info = {"name": event, "level": level, "msg": text, "ts": datetime.now(UTC).isoformat()}
    return json.dumps({"info": info, "data": data or {}}, default=str, ensure_ascii=False)
