"""What the bar says of a run under way."""

from __future__ import annotations

from types import SimpleNamespace

from sqlinfer.cli.progress import Bar, shares
from sqlinfer.runner.events import Progress
from sqlinfer.runner.scoring_store import Seconds


def test_stages_are_shown_by_their_share_largest_first() -> None:
    assert shares({"read": 0.6, "kernel": 3.0, "write": 0.4, "find": 0.001}) == "kernel 75%, read 15%, write 10%"


def test_nothing_is_shown_before_anything_was_spent() -> None:
    assert shares({}) == ""
    assert shares({"read": 0.0}) == ""


def test_a_pass_under_way_counts_without_ending() -> None:
    spent = Seconds({"write": 1.0})
    under_way = SimpleNamespace(seconds=SimpleNamespace(read=0.5, assemble=0.25, kernel=4.0, finish=0.25))
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
    bar = Bar(colors=False)
    try:
        bar.update(Progress("model.shop.scores", "churn", 500, 1000, {"kernel": 3.0, "read": 1.0}))
        (task,) = bar._progress.tasks
        assert (task.description, task.completed, task.total) == ("scores: churn", 500, 1000)
        assert task.fields["stages"] == "kernel 75%, read 25%"
    finally:
        bar.close()
