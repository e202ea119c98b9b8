"""Publications that follow each other keep the warehouse open for a moment; nobody else waits for longer than that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.duckdb import visits
from sqlinfer.adapters.duckdb.adapter import DuckDBAdapter
from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace
from sqlinfer.errors import AdapterError
from sqlinfer.relation import Relation


@pytest.fixture
def adapter(tmp_path: Path) -> DuckDBAdapter:
    return DuckDBAdapter.from_settings({"path": "wh.duckdb"}, tmp_path)


def publish(work: DuckDBWorkspace, name: str, sql: str = "select 1 as n") -> None:
    with work.publishing(5.0):
        work.materialize(Materialization(Relation(name, "main", "wh")), sql)


def is_open(work: DuckDBWorkspace) -> bool:
    return ("wh",) in work.rows("select database_name from duckdb_databases()")


def readable(tmp_path: Path) -> list[str]:
    """The tables, to a reader that opens the file."""
    with duckdb.connect(str(tmp_path / "wh.duckdb"), read_only=True) as other:
        return sorted(name for (name,) in other.execute("select table_name from duckdb_tables()").fetchall())


def test_without_leave_the_warehouse_is_let_go_of_at_once(adapter: DuckDBAdapter) -> None:
    with adapter.workspace("r") as work:
        publish(work, "a")
        assert not is_open(work)


def test_with_leave_it_stays_open_for_the_next_one(adapter: DuckDBAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "LINGER", 60.0)
    with adapter.workspace("r") as work:
        work.linger(True)
        publish(work, "a")
        assert is_open(work)
        publish(work, "b", "select n + 1 as n from wh.main.a")
        work.linger(False)
        assert not is_open(work)
    assert readable(Path(adapter.settings.databases[0].path).parent) == ["a", "b"]


def test_it_is_let_go_of_after_a_moment(adapter: DuckDBAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "LINGER", 0.0)
    monkeypatch.setattr(visits, "MOST", 0.0)
    with adapter.workspace("r") as work:
        work.linger(True)
        publish(work, "a")
        assert not is_open(work)


def test_where_opening_and_closing_take_long_it_stays_open_for_longer(
    adapter: DuckDBAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "LINGER", 0.0)
    monkeypatch.setattr(visits, "MOST", 60.0)
    monkeypatch.setattr(visits, "SHARE", 1_000_000)
    with adapter.workspace("r") as work:
        work.linger(True)
        publish(work, "a")
        assert is_open(work)
        work.linger(False)
        work.linger(True)
        monkeypatch.setattr(work, "_opening", 0.0)
        assert work._stay() == 60.0  # by what closing took alone


def test_reading_and_leaving_let_go_of_it(adapter: DuckDBAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "LINGER", 60.0)
    with adapter.workspace("r") as work:
        work.linger(True)
        publish(work, "a")
        with work.warehouse():
            assert work.rows("select n from a") == [(1,)]
            with pytest.raises(AdapterError):
                work.execute("create table wh.main.c as select 1")
        publish(work, "b")
    assert readable(Path(adapter.settings.databases[0].path).parent) == ["a", "b"]
    assert not Path(adapter.settings.databases[0].path).with_name("wh.duckdb.wal").exists()


def test_a_publication_that_fails_takes_nothing_of_the_others_with_it(
    adapter: DuckDBAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "LINGER", 60.0)
    with adapter.workspace("r") as work:
        work.linger(True)
        publish(work, "a")
        with pytest.raises(AdapterError):
            publish(work, "b", "select no_such_column from wh.main.a")
        assert not is_open(work)
        publish(work, "c")
    assert readable(Path(adapter.settings.databases[0].path).parent) == ["a", "c"]


def test_a_lost_target_is_noticed_at_each_publication(adapter: DuckDBAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "LINGER", 60.0)
    asked: list[int] = []
    with adapter.workspace("r") as work:
        monkeypatch.setattr(work, "_check_lock", lambda: asked.append(1))
        work.linger(True)
        publish(work, "a")
        publish(work, "b")
    assert len(asked) == 2


def test_a_brief_look_uses_what_is_open(adapter: DuckDBAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "LINGER", 60.0)
    with adapter.workspace("r") as work:
        work.linger(True)
        publish(work, "a")
        with work.warehouse(brief=True):
            assert work.rows("select n from a") == [(1,)]
            assert work.settle(["select n from a"])
            work.execute("create table wh.main.only_where_it_is_open_for_writing as select 1")
        assert is_open(work)
        publish(work, "b")
    assert readable(Path(adapter.settings.databases[0].path).parent) == ["a", "b", "only_where_it_is_open_for_writing"]


@pytest.mark.parametrize("sql", ["from range(1000000)", "from big where n < 5", "from read_csv('x.csv')", "no sql"])
def test_what_may_take_long_is_read_beside_other_readers(
    adapter: DuckDBAdapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    monkeypatch.setattr(visits, "LINGER", 60.0)
    (tmp_path / "x.csv").write_text("n\n1\n")
    with adapter.workspace("r") as work:
        publish(work, "big", "select range as n from range(200000)")
        work.linger(True)
        publish(work, "a")
        with work.warehouse(brief=True):
            assert not work.settle([sql])
            assert work.rows("select n from a") == [(1,)]
            with pytest.raises(AdapterError):
                work.execute("create table wh.main.c as select 1")
        assert not is_open(work)
        publish(work, "b")


def test_it_is_let_go_of_in_time_whatever_is_done_meanwhile(
    adapter: DuckDBAdapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "LINGER", 0.2)
    with adapter.workspace("r") as work:
        work.linger(True)
        publish(work, "a")
        assert is_open(work)
        with work.transaction():
            work.execute("create table sqlinfer_side.stage.t as select 1")
            closer = work._closer
            assert closer is not None
            closer.join(30.0)
        assert not is_open(work)
        other = "import duckdb; print(duckdb.connect('wh.duckdb').execute('select n from a').fetchall())"
        done = subprocess.run([sys.executable, "-c", other], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[(1,)]"
        publish(work, "b")
    assert readable(tmp_path) == ["a", "b"]


def test_a_visit_that_is_open_at_that_time_goes_on(adapter: DuckDBAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "LINGER", 0.2)
    with adapter.workspace("r") as work:
        work.linger(True)
        publish(work, "a")
        with work.warehouse(brief=True):
            if work._closer is not None:
                work._closer.join(30.0)
            assert work.rows("select n from a") == [(1,)]
        assert not is_open(work)
