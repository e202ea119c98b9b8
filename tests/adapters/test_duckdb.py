from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from sqlinfer.adapters.duckdb.adapter import DuckDBAdapter
from sqlinfer.adapters.registry import open_adapter
from sqlinfer.errors import AdapterError, ProfileError, StoreError
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.duckdb_path import database_name
from sqlinfer.testing.adapter_conformance import AdapterConformance
from sqlinfer.testing.scoring_conformance import ScoringConformance


@pytest.fixture
def adapter(tmp_path: Path) -> DuckDBAdapter:
    return DuckDBAdapter.from_settings({"type": "duckdb", "path": "ware house.duckdb"}, tmp_path)


@pytest.fixture
def load(adapter: DuckDBAdapter) -> Callable[[str], None]:
    def run(sql: str) -> None:
        with duckdb.connect(str(Path(adapter.settings.databases[0].path))) as connection:
            connection.execute(sql)

    return run


class TestDuckDB(AdapterConformance):
    pass


class TestScoring(ScoringConformance):
    pass


def test_shadow_knows_the_macros_of_the_warehouse(adapter: DuckDBAdapter, load: Callable) -> None:
    load("create macro plus_one(v) as v + 1")
    with adapter.shadow() as shadow:
        shadow.add_table(Relation("raw", "main", adapter.default.catalog), (Column("x", "DOUBLE"),))
        assert shadow.describe("select plus_one(x) as y from raw") == (Column("y", "DOUBLE"),)


def test_unknown_warehouse_and_unknown_key_get_a_hint(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="did you mean 'duckdb'"):
        open_adapter("duckbd", {}, tmp_path)
    with pytest.raises(ProfileError, match="did you mean 'extensions'"):
        open_adapter("duckdb", {"path": "x.duckdb", "extension": []}, tmp_path)
    with pytest.raises(ProfileError, match="needs a path"):
        open_adapter("duckdb", {}, tmp_path)


def test_catalog_name_is_the_one_that_duckdb_gives() -> None:
    assert database_name("/a/b/my-db.v2.duckdb") == "my-db"
    assert database_name("memory.duckdb") == "memory_db"


def test_attached_databases_are_foreign(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "crm.duckdb")) as other:
        other.execute("create table people as select 7 as id")
    adapter = DuckDBAdapter.from_settings({"path": "x.duckdb", "attach": [{"path": "crm.duckdb"}]}, tmp_path)
    assert [(str(table.relation), table.kind) for table in adapter.list_relations()] == [("crm.main.people", "foreign")]
    assert adapter.query("select id from crm.people").to_pylist() == [{"id": 7}]


def test_schema_of_the_profile_is_made_by_the_first_publication(tmp_path: Path) -> None:
    adapter = DuckDBAdapter.from_settings({"path": "x.duckdb", "schema": "ml"}, tmp_path)
    assert adapter.list_relations() == ()
    with adapter.workspace("r") as work, work.publishing(1):
        work.execute("create table t as select 1 as x")
    assert [str(table.relation) for table in adapter.list_relations()] == ["x.ml.t"]
    assert adapter.columns([Relation("t")])[Relation("t")][0].name == "x"


def test_unknown_setting_is_an_error_of_ours(tmp_path: Path) -> None:
    adapter = DuckDBAdapter.from_settings({"path": "x.duckdb", "settings": {"no_such_setting": 1}}, tmp_path)
    with pytest.raises(AdapterError, match="no_such_setting"):
        adapter.list_relations()


def test_a_reader_left_half_way_does_not_block_the_next_attach(adapter: DuckDBAdapter, load: Callable) -> None:
    load("create table big as select * from range(500000) r(i)")
    with adapter.workspace("r") as work:
        with work.warehouse(), work.reader("from big", 1000) as reader:
            reader.read_next_batch()
        done = threading.Event()
        with work.publishing(1):
            work.execute("create table t as select 1 as x")
        done.set()
        assert done.is_set()


def test_comments_of_a_node_are_written(adapter: DuckDBAdapter) -> None:
    from sqlinfer.adapters.base import Materialization

    target = Relation("t", "main", adapter.default.catalog)
    how = Materialization(target, description="it's scores", column_descriptions=(("X", "a column"), ("gone", "-")))
    with adapter.workspace("r") as work, work.publishing(1):
        work.materialize(how, "select 1 as x")
    assert adapter.query("select comment from duckdb_tables() where table_name = 't'").to_pylist() == [
        {"comment": "it's scores"}
    ]
    assert adapter.query("select comment from duckdb_columns() where table_name = 't'").to_pylist() == [
        {"comment": "a column"}
    ]


def test_keys_of_128_bits_come_back_as_they_went(adapter: DuckDBAdapter) -> None:
    with adapter.workspace("r") as work:
        work.execute(
            "create table sqlinfer_side.stage.k as select 340282366920938463463374607431768211455::uhugeint as k"
        )
        with work.reader("from sqlinfer_side.stage.k") as reader:
            chunk = reader.read_all()
        work.insert("insert into sqlinfer_side.stage.k from chunk", chunk)
        assert work.rows("select count(distinct k), count(*) from sqlinfer_side.stage.k") == [(1, 2)]


def test_queries_for_people_come_in_ordinary_arrow_types(adapter: DuckDBAdapter) -> None:
    table = adapter.query("select true as b, 5::hugeint as h, uuid() as u")
    assert [str(field.type) for field in table.schema] == ["bool", "decimal128(38, 0)", "string"]


def test_a_claim_keeps_others_out_and_its_own_workspace_in(adapter: DuckDBAdapter) -> None:
    with adapter.claim("one") as claim:
        with pytest.raises(StoreError, match="run one"), adapter.claim("two"):
            pass
        for _ in range(2):
            with adapter.workspace("one", claim) as work:
                work.execute("select 1")
        with pytest.raises(StoreError), adapter.workspace("two"):
            pass
    with adapter.workspace("two"):
        pass


def test_a_side_file_with_an_unreadable_block_is_moved_aside_when_the_run_ends(adapter: DuckDBAdapter) -> None:
    with adapter.workspace("one") as work:
        work.execute(
            "create table sqlinfer_side.store.t as select hash(i) as x, hash(i + 1) as y from range(2000000) r(i)"
        )
    side = adapter.settings.side
    with side.open("r+b") as file:
        file.seek(side.stat().st_size // 2)
        file.write(b"\x5a" * 300_000)
    with adapter.workspace("two") as work, pytest.raises(AdapterError) as caught:
        work.rows("select sum(x % 7 + y % 7) from sqlinfer_side.store.t")
    assert "run again" in (caught.value.hint or "")
    with adapter.workspace("three") as work:
        assert not work.has(Relation("t", "store", "sqlinfer_side"))
    assert list(side.parent.glob("*.damaged-*"))
