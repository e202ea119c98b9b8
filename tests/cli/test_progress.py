"""What the bar says of a run under way."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from sqlinfer.cli.progress import Bar, Shown, line, shares
from sqlinfer.shown import columns
from sqlinfer.spec.events import Progress
from sqlinfer.spec.seconds import Seconds


def test_stages_are_shown_by_their_share_largest_first() -> None:
    assert shares({"read": 0.6, "kernel": 3.0, "write": 0.4, "find": 0.001}) == "kernel 75%, read 15%, write 10%"


def test_nothing_is_shown_before_anything_was_spent() -> None:
    assert shares({}) == ""
    assert shares({"read": 0.0}) == ""


def test_a_pass_under_way_counts_without_ending() -> None:
    spent = Seconds({"write": 1.0})
    under_way = SimpleNamespace(seconds=SimpleNamespace(read=0.5, assemble=0.25, kernel=4.0, finish=0.25, workers=2))
    assert spent.so_far(under_way) == {"write": 1.0, "read": 0.5, "assemble": 0.25, "kernel": 4.0, "finish": 0.25}
    assert spent.spent == {"write": 1.0}


def test_what_bounds_a_run_is_the_longest_stage_with_its_threads_side_by_side() -> None:
    spent = Seconds({"publish": 3.0})
    spent.add_session(
        SimpleNamespace(seconds=SimpleNamespace(read=1.0, assemble=0.5, kernel=4.0, finish=0.1, workers=2))
    )
    assert spent.bound_by == "publish"
    spent.add("kernel", 3.0)
    assert spent.bound_by == "kernel"
    assert Seconds().bound_by is None


def test_the_bar_takes_what_the_runner_tells() -> None:
    bar = Bar(colors=False, now=iter((0.0, 4.0)).__next__)
    try:
        bar.update(Progress("model.shop.scores", "churn", 0, 1000))
        bar.update(Progress("model.shop.scores", "churn", 500, 1000, {"kernel": 3.0, "read": 1.0}))
        assert list(bar.tasks.values()) == [Shown("scores: churn", 500, 1000, 4.0, "kernel 75%, read 25%")]
    finally:
        bar.close()


STAGES = "kernel 75%, read 15%, write 10%"
TASKS = (
    Shown("churn_scores: churn_score", 0, 1_000_000, 0.0),
    Shown("churn_scores: churn_score", 518_490, 1_000_000, 4.3, STAGES),
    Shown("churn_scores: churn_score", 12_345_678, 1_234_567_890, 432.1, STAGES),
    Shown("a_rather_long_name_of_a_model: a_function_with_a_long_name_too", 51_828, 60_000, 4.3, STAGES),
    Shown("客户流失预测客户流失预测: 客户流失预测客户流失预测", 7, 8, 1.0, STAGES),
    Shown("scores: f", 51_828, None, 4.3, STAGES),
    Shown("scores: f", 0, 0, 0.0),
)
FIXTURE = Path(__file__).parent / "fixtures" / "bars.txt"


def drawn(width: int, encoding: str = "utf-8") -> list[str]:
    """As rich draws it; what tmux shows at the same width is the same (looked at with capture-pane)."""
    bar = Bar.__new__(Bar)
    bar.tasks = {str(number): task for number, task in enumerate(TASKS)}
    console = Console(file=io.TextIOWrapper(io.BytesIO(), encoding=encoding), width=width, color_system=None)
    return ["".join(part.text for part in row).rstrip() for row in console.render_lines(bar, pad=False)]


def test_bars_look_as_they_did_when_they_were_looked_at() -> None:
    shown = "".join(f"== {width} columns\n" + "".join(f"{row}\n" for row in drawn(width)) for width in (40, 80, 200))
    assert shown == FIXTURE.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
@pytest.mark.parametrize("task", TASKS)
def test_bar_percentage_and_time_left_always_stand(task: Shown, width: int) -> None:
    name, full, empty, rest = line(task, width)
    assert columns(name + full + empty + rest) <= width
    assert len(full + empty) >= 10
    assert re.search(r"^ ( --|[ \d]{3})%  (-:--:--|\d+:\d\d:\d\d)", rest)


def test_stages_are_dropped_first_then_the_rate_then_the_rows() -> None:
    said = [
        tuple(part in line(TASKS[1], width)[3] for part in ("kernel", "rows/s", "518,490 rows"))
        for width in range(30, 200)
    ]
    assert list(dict.fromkeys(said)) == [
        (False, False, False), (False, False, True), (False, True, True), (True, True, True),
    ]  # fmt: skip


def test_a_long_name_is_cut_in_its_middle() -> None:
    assert line(TASKS[3], 60)[0].startswith("a_rather")
    assert line(TASKS[3], 60)[0].endswith("name_too ")


@pytest.mark.parametrize("width", range(1, 40))
def test_no_width_breaks_a_bar(width: int) -> None:
    rows = [row for row, task in zip(drawn(width, "ascii"), TASKS, strict=True) if task.name.isascii()]
    assert all(row.isascii() and len(row) <= width for row in rows)
