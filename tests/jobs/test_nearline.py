"""The loop of ``run --every``: intervals, failures, stops, and one loop a target."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from sqlinfer import api, inference
from sqlinfer.api import RunOptions
from sqlinfer.errors import ProjectError, RunError, StoreError, UsageError
from sqlinfer.jobs.nearline import LONGEST_PAUSE, Loop, Waiting, alone, interval
from sqlinfer.jobs.warm import WarmSessions
from sqlinfer.runner.results import RunResult
from sqlinfer.spec.results import NodeResult
from sqlinfer.testing.onnx_builder import linear

GOOD = RunResult("r", datetime(2026, 1, 1, tzinfo=UTC))
BAD = replace(GOOD, results=(NodeResult("model.a", "error"),))


@dataclass
class Clock:
    """Each run takes ``took`` seconds, a pause takes what was asked for."""

    steps: list[Any]
    took: float = 1.0
    now: float = 0.0
    starts: list[float] = field(default_factory=list)
    said: list[Waiting] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def once(self) -> RunResult:
        self.starts.append(self.now)
        self.now += self.took
        step = self.steps.pop(0)
        if not self.steps:
            self.stop.set()
        if isinstance(step, Exception):
            raise step
        return step  # type: ignore[no-any-return]

    def run(self, seconds: float) -> RunResult | None:
        loop = Loop(self.once, seconds, self.stop, self.said.append, clock=lambda: self.now)
        loop.wait = self.pause
        return loop.run()

    def pause(self, seconds: float) -> bool:
        self.now += seconds
        return False


@pytest.mark.parametrize(("text", "seconds"), [("1s", 1), ("5m", 300), ("2h", 7200), ("1d", 86400)])
def test_an_interval_has_a_unit(text: str, seconds: float) -> None:
    assert interval(text) == seconds


@pytest.mark.parametrize("text", ["0s", "5", "", "-5m", "1.5m", "5 min", "５m", "99999d", "m"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--every"):
        interval(text)


def test_runs_start_at_multiples_and_missed_ones_are_not_made_up_for() -> None:
    assert (clock := Clock([GOOD] * 3, took=4)).run(10) == GOOD
    assert clock.starts == [0, 10, 20]
    (clock := Clock([GOOD] * 3, took=25)).run(10)
    assert clock.starts == [0, 30, 60]


def test_failures_double_the_pause_until_a_run_succeeds() -> None:
    (clock := Clock([BAD, StoreError("held"), RunError("gone"), GOOD, GOOD])).run(10)
    assert clock.starts == [0, 20, 60, 140, 150]
    assert [one.failures for one in clock.said] == [1, 2, 3, 0]
    assert [str(one.error) for one in clock.said if one.error] == ["held", "gone"]
    (clock := Clock([BAD] * 40)).run(10)
    assert clock.starts[-1] - clock.starts[-2] == LONGEST_PAUSE
    (clock := Clock([BAD] * 3)).run(7200)
    assert clock.starts == [0, 7200, 14400]


def test_a_project_that_does_not_load_ends_the_loop_at_once() -> None:
    with pytest.raises(ProjectError):
        Clock([ProjectError("no project"), GOOD]).run(10)


def test_one_loop_a_target(tmp_path: Path) -> None:
    with (
        alone(tmp_path, "dev"),
        alone(tmp_path, "prod"),
        pytest.raises(StoreError, match="another `run --every`"),
        alone(tmp_path, "dev"),
    ):
        pass
    with alone(tmp_path, "dev"):
        pass


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "sqlinfer_project.yml").write_text("name: shop\nprofile: shop\n")
    (tmp_path / "profiles.yml").write_text("shop: {target: dev, outputs: {dev: {type: duckdb, path: w.duckdb}}}\n")
    for folder in ("functions", "models"):
        (tmp_path / folder).mkdir()
    (tmp_path / "functions" / "f.yml").write_text(
        "functions: [{name: f, model: {path: f.onnx}, arguments: [{name: x, data_type: double}], "
        "returns: {data_type: double}, config: {reuse: true}}]\n"
    )
    linear([2.0], 1.0, element_type="double", path=tmp_path / "functions" / "f.onnx")
    (tmp_path / "models" / "m.sql").write_text("{{ config(materialized='table') }} select id, f(x) as p from t")
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute("create table t as select i as id, i::double as x from range(10) r(i)")
    return tmp_path


def test_only_what_changed_is_scored_and_the_session_stays_open(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = inference.open_session

    def counting(prepared: Any, **given: Any) -> Any:
        opened.append(prepared.contract.digest)
        return real(prepared, **given)

    monkeypatch.setattr(inference, "open_session", counting)
    stop, scored = threading.Event(), []

    def waits(_: Waiting) -> None:
        if len(scored) == 1:
            with duckdb.connect(str(project / "w.duckdb")) as connection:
                connection.execute("insert into t values (100, 100.0)")
        elif len(scored) == 2:  # another function under the same name
            linear([3.0], 1.0, element_type="double", path=project / "functions" / "f.onnx")
        else:
            stop.set()

    last = api.run_every(
        RunOptions(project_dir=project), 0.05, on_wait=waits, cancel=stop,
        on_result=lambda result: scored.append(result.results[0].counts.scored),
    )  # fmt: skip
    assert last is not None
    assert (last.ok, scored) == (True, [10, 1, 11])
    assert len(opened) == len(set(opened)) == 2
    with duckdb.connect(str(project / "w.duckdb")) as connection:
        assert connection.execute("select sum(p) from m").fetchone() == (3.0 * 145 + 11,)


class Opened:
    """A session and its own context manager, which counts."""

    def __init__(self) -> None:
        self.entered = self.left = self.quarantined = 0

    @contextmanager
    def __call__(self) -> Iterator[Any]:
        self.entered += 1
        yield self
        self.left += 1


def test_a_session_that_failed_or_lost_rows_is_not_kept() -> None:
    prepared: Any = SimpleNamespace(contract=SimpleNamespace(digest="d"))
    warm, opened = WarmSessions(), Opened()
    with warm.lend(prepared, opened), warm.lend(prepared, opened):
        pass
    assert (opened.entered, opened.left) == (1, 0)
    with pytest.raises(ZeroDivisionError), warm.lend(prepared, opened):
        raise ZeroDivisionError
    assert (opened.entered, opened.left) == (1, 1)
    with warm.lend(prepared, opened):
        opened.quarantined = 1
    assert (opened.entered, opened.left) == (2, 2)


def test_sessions_that_a_run_has_not_used_are_closed() -> None:
    first: Any = SimpleNamespace(contract=SimpleNamespace(digest="a"))
    second: Any = SimpleNamespace(contract=SimpleNamespace(digest="b"))
    warm, opened = WarmSessions(), {"a": Opened(), "b": Opened()}
    for one in (first, second):
        with warm.lend(one, opened[one.contract.digest]):
            pass
    warm.settle()
    with warm.lend(first, opened["a"]):
        pass
    warm.settle()
    assert [one.left for one in opened.values()] == [0, 1]
    warm.close()
    assert [one.left for one in opened.values()] == [1, 1]
