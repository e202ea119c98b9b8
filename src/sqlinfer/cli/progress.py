"""The bar on stderr: share and rows done, rows a second, stages by their share of the time, time left. Terminals only.

In: what the runner tells. Out: a line for each function. However narrow the terminal is, the bar, the percentage and
the time left stand: the stages are left out first, then the rate, then the rows; a long name is cut in its middle.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.text import Text

from sqlinfer.shown import columns, middle, one_line

if TYPE_CHECKING:
    from sqlinfer.spec.events import Progress as Report

MOST_LINES = 8
"""Functions that are shown at once, the latest to start."""
SHORT_NAME, SHORT_BAR, LONG_BAR = 16, 10, 40
FULL, EMPTY = "━", "─"


@dataclass(frozen=True, slots=True)
class Shown:
    """What is known of one function's scoring."""

    name: str
    done: int
    total: int | None
    seconds: float
    """Since its first report."""
    stages: str = ""

    @property
    def share(self) -> float | None:
        return None if self.total is None else min(self.done / self.total, 1.0) if self.total else 1.0

    @property
    def rate(self) -> str:
        return f"{self.done / self.seconds:,.0f} rows/s" if self.seconds > 0.5 else ""

    @property
    def left(self) -> str:
        if self.total is None or not self.done or self.seconds <= 0.5:
            return "-:--:--"
        return clock((self.total - min(self.done, self.total)) * self.seconds / self.done)


class Bar:
    def __init__(self, *, colors: bool, now: Callable[[], float] = time.monotonic) -> None:
        self.tasks: dict[str, Shown] = {}
        self._now = now
        self._started: dict[str, float] = {}
        console = Console(file=getattr(sys.stderr, "terminal", sys.stderr), no_color=not colors)
        self._live = Live(self, console=console, transient=True, refresh_per_second=10)
        self._live.start()

    def update(self, report: Report) -> None:
        name = one_line(f"{report.unique_id.rpartition('.')[2]}: {report.function}")
        now = self._now()
        seconds = now - self._started.setdefault(name, now)
        self.tasks[name] = Shown(name, report.rows_done, report.rows_total, seconds, shares(report.seconds))

    def close(self) -> None:
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        plain = not options.encoding.startswith("utf")
        for task in list(self.tasks.values())[-MOST_LINES:]:
            name, full, empty, rest = line(task, options.max_width)
            if plain:
                name, full, empty = name.replace("…", "~"), full.replace(FULL, "#"), empty.replace(EMPTY, "-")
            parts = (name, (full, "green"), (empty, "bright_black"), rest)
            yield Text.assemble(*parts, no_wrap=True, overflow="crop")


def line(task: Shown, width: int) -> tuple[str, str, str, str]:
    """Name, full part of the bar, empty part, and what follows; together they take at most ``width`` columns."""
    share = task.share
    percent = " --%" if share is None else f"{int(share * 100):3d}%"
    rows = f"{task.done:,}".rjust(len(f"{task.total or 0:,}")) + " rows"
    always = f" {percent}  {task.left}"
    wanted = min(columns(task.name), SHORT_NAME) + 1 + SHORT_BAR
    for more in ((rows, task.rate, task.stages), (rows, task.rate), (rows,), ()):
        rest = always + "".join(f"  {text}" for text in more if text)
        if width - columns(rest) >= wanted:
            break
    room = width - columns(rest)
    name = middle(task.name, max(room - 1 - SHORT_BAR, 0))
    bar = min(max(room - columns(name) - bool(name), 0), LONG_BAR)
    full = int(bar * (share or 0.0))
    return name + (" " if name else ""), FULL * full, EMPTY * (bar - full), rest


def clock(seconds: float) -> str:
    """
    >>> clock(3725), clock(400_000)
    ('1:02:05', '111:06:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def shares(seconds: Mapping[str, float], most: int = 3) -> str:
    """The stages that take the most, over all threads.

    >>> shares({"kernel": 3.0, "read": 0.6, "write": 0.4, "find": 0.0})
    'kernel 75%, read 15%, write 10%'
    """
    whole = sum(seconds.values())
    largest = sorted(seconds.items(), key=lambda item: -item[1])[:most]
    return ", ".join(f"{name} {spent / whole:.0%}" for name, spent in largest if spent > 0.005 * whole) if whole else ""
