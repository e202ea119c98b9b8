"""Nights of incremental models through the command line: slices, rows that left, renamed predictions, odd names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sqlinfer.cli.main import invoke
from sqlinfer.testing.onnx_builder import linear

FUNCTION = """functions:
  - name: f
    model: {{path: f.onnx}}
    arguments: [{{name: x, data_type: double}}]
    returns: {{data_type: double}}
    config: {{reuse: {reuse}}}
"""


@dataclass
class Shop:
    """f(x) = 2x + 1 over table t: id 0 to 3, x = id."""

    root: Path
    capfd: pytest.CaptureFixture[str]

    def put(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def model(self, sql: str, name: str = "m", **config: object) -> None:
        settings = {"materialized": "incremental", "unique_key": "id"} | config
        listed = ", ".join(f"{key}={value!r}" for key, value in settings.items() if value is not None)
        self.put(f"models/{name}.sql", f"{{{{ config({listed}) }}}}\n{sql}\n")

    def run(self, *more: str) -> str:
        code, text = self.tried(*more)
        assert code == 0, text
        return text

    def tried(self, *more: str) -> tuple[int, str]:
        code = invoke(["run", "--project-dir", str(self.root), *more])
        out = self.capfd.readouterr()
        return code, out.out + out.err

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.root / "w.duckdb")) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows

    def ids(self) -> list[int]:
        return [row[0] for row in self.sql("select id from m order by id")]


Make = Callable[[], Shop]


@pytest.fixture
def shop(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Shop:
    made = Shop(tmp_path, capfd)
    made.put("sqlinfer_project.yml", "name: shop\nprofile: shop\n")
    made.put("profiles.yml", "shop: {target: dev, outputs: {dev: {type: duckdb, path: w.duckdb}}}\n")
    made.put("functions/f.yml", FUNCTION.format(reuse="true"))
    linear([2.0], 1.0, element_type="double", path=tmp_path / "functions/f.onnx")
    made.sql("create table t as select i as id, i::double as x from range(4) r(i)")
    return made


NOTHING_NEW = "where id > (select max(id) from {{ this }})"


@pytest.mark.parametrize(
    "asks",
    [
        "{% if is_incremental() %}" + NOTHING_NEW + "{% endif %}",
        "{% set later = is_incremental() %}{% if later %}" + NOTHING_NEW + "{% endif %}",
        "{% set ask = is_incremental %}{{ '" + "where id > 3' if ask() }}",
        "{{ only_new() }}",
        "{{ shop.only_new() }}",
        "{{ only_new_by_another() }}",
    ],
)
def test_a_night_that_asked_and_was_told_yes_is_a_slice(shop: Shop, asks: str) -> None:
    shop.put(
        "macros/m.sql",
        "{% macro only_new() %}{% if is_incremental() %}" + NOTHING_NEW + "{% endif %}{% endmacro %}"
        "{% macro asked() %}{{ return(is_incremental()) }}{% endmacro %}"
        "{% macro only_new_by_another() %}{% if asked() %}" + NOTHING_NEW + "{% endif %}{% endmacro %}",
    )
    shop.model(f"select id, f(x) as p from t {asks}", on_missing="delete")
    shop.run()
    shop.run()
    assert shop.ids() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "word",
    [
        "-- is_incremental()",
        "{# is_incremental() #}",
        "where 'is_incremental()' <> ''",
        "{% if var('late', false) and is_incremental() %}where false{% endif %}",
    ],
)
def test_a_word_in_a_text_is_no_slice(shop: Shop, word: str) -> None:
    shop.model(f"select id, f(x) as p from t {word}", on_missing="delete")
    shop.run()
    shop.sql("delete from t where id = 1")
    shop.run()
    assert shop.ids() == [0, 2, 3]


def test_a_refreshed_night_is_no_slice(shop: Shop) -> None:
    shop.model("select id, f(x) as p from t {% if is_incremental() %}where id > 2{% endif %}")
    shop.run()
    shop.sql("delete from t where id = 1")
    shop.run("--full-refresh")
    assert shop.ids() == [0, 2, 3]


def test_a_model_that_is_never_refreshed_is_still_asked(shop: Shop) -> None:
    shop.model(
        "select id, f(x) as p from t {% if is_incremental() %}where id > 2{% endif %}",
        full_refresh=False, on_missing="delete",
    )  # fmt: skip
    shop.run()
    shop.run("--full-refresh")
    assert shop.ids() == [0, 1, 2, 3]


def test_rows_that_left_the_query_stay_and_are_counted(shop: Shop) -> None:
    shop.model("select id, f(x) as p from t")
    assert "kept" not in shop.run()
    shop.sql("delete from t where id < 2", "update t set x = 9 where id = 3")
    assert "2 rows, 1 scored, 2 kept that the query did not return" in shop.run()
    assert shop.sql("from m order by id") == [(0, 1.0), (1, 3.0), (2, 5.0), (3, 19.0)]
    shop.model("select id, f(x) as p from t", on_missing="delete")
    assert "kept" not in shop.run()
    assert shop.ids() == [2, 3]


def test_rows_without_a_key_are_added_with_a_warning(shop: Shop) -> None:
    shop.model("select id, f(x) as p from t", unique_key=None)
    assert "WARNING" not in shop.run()
    assert "has no unique_key: every run adds all rows" in shop.run()
    assert shop.ids() == [0, 0, 1, 1, 2, 2, 3, 3]
    shop.model("select id, f(x) as p from t", unique_key=None, incremental_strategy="append")
    assert "WARNING" not in shop.run()


@pytest.mark.parametrize(
    "query",
    [
        "select id, f(x) as prob from t",
        "select id, round(f(x)) + 1 as prob from t",
        "select id, prob from (select id, f(x) as prob from t) where prob > 0",
        "with s as (select id, f(x) as prob from t) select * from s",
        "select id, p as prob from (select *, f(x) as p from t)",
        "select id, f(f(x)) as prob from t",
        "select id, null as prob from t where false union all select id, f(x) from t",
        "select id, sum(f(x)) over (order by id) as prob from t",
        "select id, (select max(f(u.x)) from t u where u.id = t.id) as prob from t",
    ],
)
def test_a_renamed_prediction_is_an_error_before_anything_is_scored(shop: Shop, query: str) -> None:
    shop.model("select id, f(x) as p from t")
    shop.run()
    shop.sql("update t set x = 9")
    shop.model(query)
    code, text = shop.tried()
    assert (code, "'prob'" in text, "append_new_columns" in text) == (1, True, True), text
    assert shop.sql("from m order by id") == [(0, 1.0), (1, 3.0), (2, 5.0), (3, 7.0)]
    assert shop.sql("select count(*) from sqlinfer_runs") == [(1,)]
    shop.model(query, on_schema_change="append_new_columns")
    shop.run()
    assert [row[0] for row in shop.sql("describe m")] == ["id", "p", "prob"]


def test_another_new_column_is_left_out_as_dbt_leaves_it_out(shop: Shop) -> None:
    shop.model("select id, f(x) as p from t")
    shop.run()
    shop.model("select id, f(x) as p, x * 2 as twice from t where f(x) >= 0")
    shop.run()
    assert [row[0] for row in shop.sql("describe m")] == ["id", "p"]


@pytest.mark.parametrize("key", ["ID", '"id"', '"ID"', "`id`", ["Id"], ["id", "ID"], ' "id" '])
def test_a_key_is_found_however_it_is_written(shop: Shop, key: object) -> None:
    shop.model("select id, f(x) as p from t", unique_key=key)
    shop.run()
    shop.sql("update t set x = 9 where id = 2")
    shop.run()
    assert shop.sql("from m order by id") == [(0, 1.0), (1, 3.0), (2, 19.0), (3, 7.0)]


def test_two_columns_are_a_key(shop: Shop) -> None:
    shop.model('select id % 2 as a, id // 2 as "B b", f(x) as p from t', unique_key=["a", '"b B"', "B B"][::2])
    shop.run()
    shop.sql("update t set x = 9 where id = 2")
    shop.run()
    assert shop.sql("select p from m order by 1") == [(1.0,), (3.0,), (7.0,), (19.0,)]


@pytest.mark.parametrize("key", ["nope", "id, x", "id || '-' || x", ["id", "nope"], '"nope"'])
@pytest.mark.parametrize("materialized", ["incremental", "table"])
def test_a_key_that_is_no_column_is_found_before_anything_runs(shop: Shop, key: object, materialized: str) -> None:
    shop.model("select id, f(x) as p from t", unique_key=key, materialized=materialized)
    code, text = shop.tried()
    assert code == 1
    assert "is no column of the query" in text
    assert "models/m.sql:1:" in text
    assert "sqlinfer_side" not in text


def test_a_key_of_the_properties_yml_is_underlined_there(shop: Shop) -> None:
    shop.model("select id, f(x) as p from t", unique_key=None)
    shop.put("models/m.yml", "models:\n  - name: m\n    config:\n      unique_key: nope\n")
    code, text = shop.tried()
    assert code == 1
    assert "models/m.yml:4:" in text


OURS = (
    "rowid", "_p1", "_P0_x", "_s2", "_row", "_raw", "_guard", "__sqlinfer_row", "__sqlinfer_Error_0", "input_key",
    "__sqlinfer_run_id", "__sqlinfer_scored_at", "__sqlinfer_state_0", "error", "scored_at", "run_id", "row_id",
    "chunk", "s", "l0",
)  # fmt: skip


@pytest.mark.parametrize("reuse", ["true", "false"])
@pytest.mark.parametrize("large", [False, True])
def test_columns_called_like_ours_keep_their_values(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, reuse: str, large: bool
) -> None:
    if large:
        monkeypatch.setenv("SQLINFER_LARGE_ROWS", "1")
    shop.put("functions/f.yml", FUNCTION.format(reuse=reuse))
    same = ", ".join(f'7 as "{name}"' for name in OURS)
    shop.sql(f"create table odd as select id, x, {same} from t")
    shop.model('select *, f(x) as p, f("rowid") as q from odd _s1 where f(x) >= 0 and "_p1" = 7', lineage=True)
    shop.model("select *, f(x) as p from odd", name="plain", materialized="table")
    shop.run()
    shop.sql("update odd set x = 9 where id = 2")
    shop.run()
    every = " and ".join(f'"{name}" = 7' for name in OURS)
    assert shop.sql(f"select id, p, q from m where {every} order by id") == [
        (0, 1.0, 15.0), (1, 3.0, 15.0), (2, 19.0, 15.0), (3, 7.0, 15.0),
    ]  # fmt: skip
    assert shop.sql(f"select p from plain where {every} order by p") == [(1.0,), (3.0,), (7.0,), (19.0,)]


def test_lineage_does_not_hide_a_column_of_the_query(shop: Shop) -> None:
    shop.model("select id, f(x) as p, 1 as _sqlinfer_run_id from t", lineage=True)
    code, text = shop.tried()
    assert code == 1
    assert "lineage: true adds a column '_sqlinfer_run_id'" in text


@pytest.mark.parametrize("change", ["ignore", "append_new_columns"])
def test_rows_that_change_without_lineage_do_not_name_the_run_before(shop: Shop, change: str) -> None:
    shop.model("select id, f(x) as p from t", lineage=True, on_schema_change=change)
    shop.run()
    shop.sql("update t set x = 9 where id = 2", "insert into t values (7, 7)")
    shop.model("select id, f(x) as p from t", on_schema_change=change)
    shop.run()
    assert shop.sql("select id, p from m where _sqlinfer_run_id is null order by id") == [(2, 19.0), (7, 15.0)]
    assert shop.sql("select count(*), count(_sqlinfer_functions) from m where _sqlinfer_run_id is not null") == [(3, 3)]


def test_lineage_that_is_asked_for_later_is_written(shop: Shop) -> None:
    shop.model("select id, f(x) as p from t")
    shop.run()
    shop.sql("update t set x = 9 where id = 2")
    shop.model("select id, f(x) as p from t", lineage=True)
    shop.run()
    assert shop.sql("select id, p from m where _sqlinfer_run_id is not null") == [(2, 19.0)]


@pytest.mark.parametrize("query", ["select id, f(x) as p from t", "select id, f(x) as p, n::bigint as n from t"])
def test_an_index_that_keeps_a_column_as_it_is_is_named(shop: Shop, query: str) -> None:
    shop.sql("alter table t add column n integer")
    shop.model("select id, f(x) as p, n from t", on_schema_change="sync_all_columns")
    shop.run()
    shop.sql("create index by_id on m (id)")
    shop.model(query, on_schema_change="sync_all_columns")
    code, text = shop.tried()
    assert code == 1
    assert "drop index by_id and create it again after the run, or run once with --full-refresh" in text, text
    assert shop.ids() == [0, 1, 2, 3]
    shop.sql("drop index by_id")
    shop.run()
    shop.sql("create index by_id on m (id)")
    shop.run("--full-refresh")


FAILS = "select id, f(case when id = 2 then 'no number' else x::text end) as p from t"
LATER = " {% if is_incremental() %} where id >= 2 {% endif %}"


def records(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.sql("select key_columns from sqlinfer_errors order by all")


@pytest.mark.parametrize(
    ("config", "night", "left"),
    [
        ({"unique_key": None, "incremental_strategy": "append"}, "insert into t values (4, 4)", 2),
        ({}, "delete from t where id = 2", 1),  # its row stays in the table
        ({}, "insert into t values (4, 4)", 1),
        ({"on_missing": "delete"}, "delete from t where id = 2", 0),
        ({"unique_key": ["id", "x"]}, "insert into t values (4, 4)", 1),
        ({"materialized": "table", "unique_key": None}, "delete from t where id = 2", 0),
    ],
)
@pytest.mark.parametrize("query", [FAILS, FAILS + LATER])
def test_a_record_stays_as_long_as_its_row(shop: Shop, config: dict[str, Any], night: str, left: int, query: str
                                           ) -> None:  # fmt: skip
    if config.get("unique_key"):
        query = query.replace("id, f(", "id, x, f(")
    shop.model(query, max_error_rate=1, **config)
    shop.run()
    assert len(records(shop)) == 1
    shop.sql(night)
    shop.run()
    if LATER in query and config.get("on_missing") == "delete":
        left = 1  # a slice removes no row
    assert len(records(shop)) == left
    assert len(shop.sql("select id from m where p is null")) == left


@pytest.mark.parametrize("query", ["select id, f(x) as p from t", "select id, f(x) as p from t" + LATER])
def test_a_row_that_was_put_right_has_no_record(shop: Shop, query: str) -> None:
    shop.model(FAILS, max_error_rate=1)
    shop.run()
    shop.model(query, max_error_rate=1)
    shop.run()
    assert records(shop) == []
    assert shop.sql("select p from m where id = 2") == [(5.0,)]
