"""Models whose database is an attached one: run, published, recorded and tested there, by name and by default."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from sqlinfer.cli.main import invoke
from sqlinfer.testing.onnx_builder import linear

FUNCTION = """functions:
  - name: f
    model: {path: f.onnx}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
    config: {reuse: true}
"""
QUERY = "select id, predict('f', x) as p from {{ source('raw', 't') }}"


class Shop:
    """f(x) = 2x + 1 over t of database w: id 0 to 3. Databases w, lake, and crm, which is read only."""

    def __init__(self, root: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.root, self.capfd = root, capfd
        self.put("sqlinfer_project.yml", "name: shop\nprofile: shop\n")
        self.profile()
        self.put("functions/f.yml", FUNCTION)
        (root / "functions" / "f.onnx").write_bytes(linear([[2.0]], [1.0]))
        self.put("models/s.yml", "sources: [{name: raw, database: w, schema: main, tables: [{name: t}]}]\n")
        self.sql("create table t as select range::bigint as id, range::double as x from range(4)")
        self.sql("create table c as select 1 as one", "crm")

    def put(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def profile(self, *more: str, attach: str = "{path: lake.duckdb, alias: lake}", path: str = "w.duckdb") -> None:
        lines = [f"path: {path}", f"attach: [{attach}, {{path: crm.duckdb, read_only: true}}]", *more]
        self.put("profiles.yml", "shop:\n  target: dev\n  outputs:\n    dev:\n      type: duckdb\n      "
                 + "\n      ".join(lines) + "\n")  # fmt: skip

    def model(self, name: str = "m", query: str = QUERY, **config: object) -> None:
        listed = ", ".join(f"{key}={value!r}" for key, value in config.items())
        self.put(f"models/{name}.sql", f"{{{{ config({listed}) }}}}\n{query}\n")

    def sql(self, sql: str, database: str = "w") -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.root / f"{database}.duckdb")) as connection:
            return connection.execute(sql).fetchall()

    def tried(self, *words: str) -> tuple[int, str]:
        code = invoke([*words, "--project-dir", str(self.root)])
        out = self.capfd.readouterr()
        assert "Traceback" not in out.out + out.err
        return code, out.out + out.err

    def run(self, *words: str) -> str:
        code, text = self.tried(*(words or ("run",)))
        assert code == 0, text
        return text


@pytest.fixture
def shop(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Shop:
    return Shop(tmp_path, capfd)


PREDICTED = [(0, 1.0), (1, 3.0), (2, 5.0), (3, 7.0)]


def test_a_model_of_an_attached_database_stands_there_with_its_records(shop: Shop) -> None:
    shop.model(database="lake")
    shop.run()
    assert shop.sql("from m order by id", "lake") == PREDICTED
    assert shop.sql("select node, rows, scored from sqlinfer_runs", "lake") == [("model.shop.m", 4, 4)]
    assert shop.sql("select table_name from duckdb_tables()") == [("t",)]
    shop.run()
    assert shop.sql("select scored from sqlinfer_runs order by started_at", "lake") == [(4,), (0,)]


def test_the_profile_names_the_attached_database_for_all_models(shop: Shop) -> None:
    shop.profile("database: lake", "schema: marts")
    shop.model()
    shop.run()
    assert shop.sql("from marts.m order by id", "lake") == PREDICTED
    assert shop.sql("select table_name from duckdb_tables()") == [("t",)]


def test_the_profile_may_give_its_own_database_a_name(shop: Shop) -> None:
    shop.profile("database: warehouse")
    shop.put("models/s.yml", "sources: [{name: raw, database: warehouse, schema: main, tables: [{name: t}]}]\n")
    shop.model()
    shop.run()
    assert shop.sql("from m order by id") == PREDICTED


def test_incremental_rows_are_merged_where_they_are(shop: Shop) -> None:
    slice_ = QUERY + "{% if is_incremental() %} where id >= 2 {% endif %}"
    shop.model(query=slice_, database="lake", schema="x", materialized="incremental", unique_key="id")
    shop.run()
    shop.sql("update t set x = 10 where id = 3")
    shop.sql("update t set x = 50 where id = 0")
    shop.run()
    assert shop.sql("from main_x.m order by id", "lake") == [*PREDICTED[:3], (3, 21.0)]
    assert shop.sql("select rows, scored from main_x.sqlinfer_runs order by started_at", "lake") == [(4, 4), (2, 1)]


def test_a_failed_test_keeps_what_is_published_and_its_rows_stand_in_the_target_s_database(shop: Shop) -> None:
    shop.model(database="lake")
    shop.run()
    shop.put("models/m.yml", "models: [{name: m, columns: [{name: p, data_tests: [{accepted_range: {max_value: 4, "
             "config: {store_failures: true}}}]}]}]\n")  # fmt: skip
    shop.sql("update t set x = x + 1")
    code, text = shop.tried("run")
    assert code == 1, text
    assert shop.sql("from m order by id", "lake") == PREDICTED
    assert shop.sql("select count(*) from duckdb_tables() where schema_name = 'main_dbt_test__audit'") == [(1,)]
    code, text = shop.tried("test")
    assert code == 1, text


def test_models_of_two_databases_read_each_other(shop: Shop) -> None:
    shop.model("a", database="lake", alias="same")
    shop.model("b", "select id, p + 1 as q, predict('f', p) as r from {{ ref('a') }}", alias="same")
    shop.model("c", "select count(*) as n from {{ ref('a') }} join {{ ref('b') }} using (id)", database="lake")
    shop.run()
    assert shop.sql("from same order by id", "lake") == PREDICTED
    assert shop.sql("select id, q, r from same order by id") == [(id, p + 1, 2 * p + 1) for id, p in PREDICTED]
    assert shop.sql("select n from c", "lake") == [(4,)]
    assert shop.sql("select node from sqlinfer_runs") == [("model.shop.b",)]


def test_one_relation_has_one_owner_however_its_database_is_named(shop: Shop) -> None:
    shop.model("a", alias="same", database="w")
    shop.model("b", alias="same")
    code, text = shop.tried("run")
    assert code != 0
    assert "both write" in text


def test_a_seed_a_view_and_hooks_of_an_attached_database(shop: Shop) -> None:
    shop.put("seeds/s.csv", "id,name\n1,a\n")
    shop.put("sqlinfer_project.yml", "name: shop\nprofile: shop\nseeds: {+database: lake}\n")
    shop.model("v", "select * from {{ ref('s') }}", materialized="view", database="lake")
    shop.model(database="lake", post_hook="create table {{ this.database }}.main.after as select 1 as one")
    shop.run("seed")
    shop.run()
    assert shop.sql("select v.name, a.one from v, after as a", "lake") == [("a", 1)]


def test_a_hook_outside_of_the_transaction_writes_the_node_s_database(shop: Shop) -> None:
    hooks = "[{'sql': 'create table lake.main.before as select 1 as one', 'transaction': False}]"
    shop.put("models/m.sql", f"{{{{ config(database='lake', pre_hook={hooks}) }}}}\n{QUERY}\n")
    shop.run()
    assert shop.sql("select one from before", "lake") == [(1,)]


def test_preview_and_compile_read_an_attached_target(shop: Shop) -> None:
    shop.model(database="lake")
    assert "|  3 |  7 |" in shop.run("preview", "--select", "m")
    assert "predict" in shop.run("compile", "--select", "m")
    assert not (shop.root / "lake.duckdb").exists()  # nothing is made by looking
    shop.run()
    assert "4" in shop.run("preview", "--inline", "select count(*) as n from {{ ref('m') }}")


@pytest.mark.parametrize(
    ("attach", "database", "said"),
    [
        ("{path: lake.duckdb, alias: lake, read_only: true}", "lake", "attached for reading (read_only: true)"),
        ("{path: lake.db, alias: lake, type: sqlite}", "lake", "of type sqlite"),
        ("{path: lake.duckdb}", "nowhere", "there is no database nowhere"),
    ],
)
def test_a_database_that_is_not_written_is_named_before_scoring(shop: Shop, attach, database, said) -> None:
    shop.sql("create table there as select 1 as one", "lake")
    shop.profile(attach=attach)
    shop.model(database=database)
    code, text = shop.tried("run")
    assert code == 1
    assert said in text or "extension sqlite" in text


@pytest.mark.parametrize(
    ("attach", "said"),
    [
        ("{alias: lake}", "needs a path"),
        ("{path: lake.duckdb, readonly: true}", "unknown key 'readonly'"),
        ("{path: other/w.duckdb}", "two databases are called w"),
        ("{path: lake.duckdb, alias: sqlinfer_side}", "may not be called sqlinfer_side"),
        ("main.duckdb", "may not be called main"),
        ("{path: lake.duckdb, alias: Memory}", "may not be called Memory"),
        ("{path: w.duckdb, alias: again}", "twice"),
        ("{path: lake.duckdb, options: [1]}", "options: under attach:"),
        ("{path: w.sqlinfer.duckdb, alias: store}", "is to be the store of this target"),
    ],
)
def test_what_cannot_be_attached_is_said_at_once(shop: Shop, attach: str, said: str) -> None:
    shop.profile(attach=attach)
    shop.model()
    code, text = shop.tried("run")
    assert code != 0
    assert said in text


def test_a_database_that_is_only_read_and_is_not_there_is_named(shop: Shop) -> None:
    shop.profile(attach="{path: gone.duckdb, read_only: true}")
    shop.model()
    code, text = shop.tried("run")
    assert code != 0
    assert "database gone of attach: is not there" in text


@pytest.mark.parametrize(("path", "extension"), [("md:shop", "motherduck"), ("'ducklake:meta.ducklake'", "ducklake")])
def test_a_missing_extension_is_named(shop: Shop, path: str, extension: str) -> None:
    shop.profile("state: state", "settings: {custom_extension_repository: 'http://127.0.0.1:9'}", path=path)
    shop.put("models/s.yml", "")
    shop.model(query="select predict('f', 1.0) as p")
    code, text = shop.tried("run")
    assert code == 1 or code == 2
    assert f"extension {extension} is needed" in text
    code, text = shop.tried("debug")
    assert code == 1
    assert f"INSTALL {extension}" in text
