"""The bar on stderr: rows done, rows a second, stages by their share of the time, time left. Terminals only."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from sqlinfer.shown import one_line

if TYPE_CHECKING:
    from sqlinfer.runner.events import Progress as Report


class Bar:
    def __init__(self, *, colors: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} rows"),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[stages]}"),
            TimeRemainingColumn(),
            console=Console(file=getattr(sys.stderr, "terminal", sys.stderr), no_color=not colors),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}
        self._progress.start()

    def update(self, report: Report) -> None:
        label = escape(one_line(f"{report.unique_id.rpartition('.')[2]}: {report.function}"))
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(label, total=report.rows_total, rate="", stages="")
            self._started[label] = time.monotonic()
        seconds = time.monotonic() - self._started[label]
        rate = f"{report.rows_done / seconds:,.0f} rows/s" if seconds > 0.5 else ""
        self._progress.update(
            self._tasks[label],
            completed=report.rows_done,
            total=report.rows_total,
            rate=rate,
            stages=shares(report.seconds),
        )

    def close(self) -> None:
        self._progress.stop()


def shares(seconds: Mapping[str, float], most: int = 3) -> str:
    """The stages that take the most, over all threads.

    >>> shares({"kernel": 3.0, "read": 0.6, "write": 0.4, "find": 0.0})
    'kernel 75%, read 15%, write 10%'
    """
    whole = sum(seconds.values())
    largest = sorted(seconds.items(), key=lambda item: -item[1])[:most]
    return ", ".join(f"{name} {spent / whole:.0%}" for name, spent in largest if spent > 0.005 * whole) if whole else ""
