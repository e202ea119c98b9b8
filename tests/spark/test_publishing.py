"""What readers see while a table is published, and what kills leave behind."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.spark import lock, publication
from sqlinfer.adapters.spark.adapter import SparkAdapter
from sqlinfer.adapters.spark.lock import TargetLock
from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.errors import AdapterError, PublicationError, StoreError
from sqlinfer.relation import Relation
from sqlinfer.spec.constraint import Constraint
from sqlinfer.spec.records import RUNS, PastRun
from sqlinfer.testing.children import start
from sqlinfer.testing.patience import patience

BEGAN = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


class Killed(BaseException):
    """A kill, as far as what is on its way is concerned."""


def target(adapter: SparkAdapter) -> Relation:
    return replace(adapter.default, name="t")


def publish(adapter: SparkAdapter, sql: str, run_id: str = "r", **how: Any) -> None:
    record = {"run_id": run_id, "node": "n", "started_at": BEGAN, "rows": 1, "inputs": 1, "errors": 0}
    with adapter.workspace(run_id) as work, work.publishing(5):
        work.materialize(Materialization(target(adapter), **how), sql)
        work.record(RUNS, target(adapter), (record,))


def publish_with_a_bad_hook(adapter: SparkAdapter) -> None:
    with adapter.workspace("two") as work, work.publishing(5):
        work.materialize(Materialization(target(adapter)), "select 1 as x")
        work.run_statement("insert into nowhere values (1)")


def tables(adapter: SparkAdapter) -> list[str]:
    with SparkSqlSession(adapter.settings) as session:
        return sorted(row[1] for row in session.rows(f"SHOW TABLES IN {adapter.settings.schema} LIKE 't*'"))


def shown(adapter: SparkAdapter) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in adapter.query("select * from t order by 1").to_pylist()]


def test_two_versions_are_there_at_most(adapter: SparkAdapter) -> None:
    for night in ("one", "two", "three"):
        publish(adapter, f"select '{night}' as x", night)
    assert shown(adapter) == [("three",)]
    assert tables(adapter) == ["t", "t__v_three", "t__v_two"]
    with SparkSqlSession(adapter.settings) as session:
        assert session.properties(target(adapter))["sqlinfer.run_id"] == "three"


def test_a_table_of_others_makes_room_on_the_first_night(adapter: SparkAdapter) -> None:
    with SparkSqlSession(adapter.settings) as session:
        session.execute("create table t using parquet as select 0 as x")
    publish(adapter, "select 1 as x")
    assert shown(adapter) == [(1,)]
    assert tables(adapter) == ["t", "t__v_r"]


def test_a_table_that_made_room_comes_back_after_a_kill(adapter: SparkAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    with SparkSqlSession(adapter.settings) as session:
        session.execute("create table t using parquet as select 0 as x, 'mine' as s")
    killed_at(monkeypatch, "between_rename_and_view")
    monkeypatch.setattr(publication.Pending, "undo", lambda _: None)
    with pytest.raises(Killed):
        publish(adapter, "select 1 as x")
    monkeypatch.undo()
    publish(adapter, "select 1 as x", "later", kind="incremental", unique_key=("x",), on_missing="keep")
    assert shown(adapter) == [(0, "mine"), (1, None)]


def test_a_run_that_was_killed_before_its_record_is_recorded_later(
    adapter: SparkAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at(monkeypatch, "after_swap")
    with pytest.raises(Killed):
        publish(adapter, "select 1 as x", "first")
    monkeypatch.undo()
    with adapter.workspace("later") as work, work.publishing(5):
        assert work.last_run(target(adapter), "n", since=BEGAN) == PastRun("first", 1, 1, 0)
    assert adapter.query("select run_id from sqlinfer_runs").to_pylist() == [{"run_id": "first"}]


@pytest.mark.parametrize("before", ["nothing", "published", "table", "view"])
def test_a_hook_that_fails_behind_the_table_brings_the_rows_of_before_back(adapter: SparkAdapter, before: str) -> None:
    with SparkSqlSession(adapter.settings) as session:
        if before in ("table", "view"):
            session.execute(f"create {before} t {'using parquet' if before == 'table' else ''} as select 0 as x")
    if before == "published":
        publish(adapter, "select 0 as x", "one")
    with pytest.raises(AdapterError):
        publish_with_a_bad_hook(adapter)
    if before == "nothing":
        assert tables(adapter) == []
    else:
        assert shown(adapter) == [(0,)]


def test_a_version_that_was_never_shown_goes(adapter: SparkAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(adapter, "select 1 as x", "one")
    killed_at(monkeypatch, "before_swap")
    monkeypatch.setattr(publication.Pending, "undo", lambda _: None)
    with pytest.raises(Killed):
        publish(adapter, "select 2 as x", "two")
    monkeypatch.undo()
    assert shown(adapter) == [(1,)]
    publish(adapter, "select 3 as x", "three")
    assert tables(adapter) == ["t", "t__v_one", "t__v_three"]


@pytest.mark.parametrize(
    ("constraint", "broken"),
    [
        (Constraint("not_null", ("x",)), "select cast(null as int) as x"),
        (Constraint("unique", ("x",)), "select 1 as x union all select 1"),
        (Constraint("check", expression="x > 0"), "select -1 as x"),
    ],
)
def test_constraints_are_counted_before_the_table_is_shown(
    adapter: SparkAdapter, constraint: Constraint, broken: str
) -> None:
    publish(adapter, "select 1 as x", constraints=(constraint,))
    with pytest.raises(PublicationError, match="break a constraint"):
        publish(adapter, broken, "two", constraints=(constraint,))
    assert shown(adapter) == [(1,)]


def test_columns_that_the_query_does_not_have_keep_their_values(adapter: SparkAdapter) -> None:
    publish(adapter, "select 1 as k, 'a' as s, 'mine' as note")
    publish(adapter, "select 1 as k, 'b' as s", "two", kind="incremental", unique_key=("k",))
    assert shown(adapter) == [(1, "b", "mine")]


def test_a_value_that_does_not_fit_is_refused(adapter: SparkAdapter) -> None:
    publish(adapter, "select 1 as k, 2 as x")
    with pytest.raises(PublicationError, match="does not fit"):
        publish(adapter, "select 1 as k, 2.5D as x", "two", kind="incremental", unique_key=("k",))
    assert shown(adapter) == [(1, 2)]


def test_the_lock_of_a_dead_process_is_taken_over_by_one(
    adapter: SparkAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = TargetLock(adapter.settings, "dead")
    dead.acquire()
    monkeypatch.setattr(lock.side, "is_alive", lambda _: False)
    with adapter.workspace("two") as work:
        monkeypatch.undo()
        with pytest.raises(StoreError, match="lost its lock"):
            dead.check()
        with pytest.raises(StoreError, match="run two"), adapter.workspace("three"):
            pass
        dead.release()
        with work.publishing(5):
            work.materialize(Materialization(target(adapter)), "select 1 as x")
    assert shown(adapter) == [(1,)]


def test_a_process_that_nobody_has_waited_for_is_dead() -> None:
    process = start([sys.executable, "-c", "pass"])
    end = time.monotonic() + patience(10)
    while lock.side.is_alive(process.pid) and time.monotonic() < end:
        time.sleep(0.01)
    assert process.returncode is None
    assert not lock.side.is_alive(process.pid)
    assert lock.side.is_alive(os.getpid())


def test_the_lock_of_a_process_that_lives_and_is_silent_is_taken_over(
    adapter: SparkAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.01)
    monkeypatch.setattr(lock.TargetLock, "_beat", lambda _: None)
    silent = TargetLock(adapter.settings, "silent")
    silent.acquire()
    monkeypatch.setattr(lock, "STALE", 0.0)
    with TargetLock(adapter.settings, "two"), pytest.raises(StoreError, match="lost its lock"):
        silent.check()


def killed_at(patch: pytest.MonkeyPatch, point: str) -> None:
    def reached(name: str) -> None:
        if name == point:
            raise Killed

    for module in ("publication", "materialize"):
        patch.setattr(f"sqlinfer.adapters.spark.{module}.fail_point", reached)
