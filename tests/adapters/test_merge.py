"""What publishing does to a table that is there already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sqlinfer.adapters.base import Materialization, Written
from sqlinfer.adapters.duckdb import standing
from sqlinfer.adapters.duckdb.adapter import DuckDBAdapter
from sqlinfer.errors import PublicationError
from sqlinfer.relation import Relation

Publish = Callable[..., Written]
Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def sql(tmp_path: Path) -> Sql:
    def run(*statements: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows

    return run


@pytest.fixture
def publish(tmp_path: Path) -> Publish:
    """Merge by ``k`` into ``t``, unless told otherwise."""
    adapter = DuckDBAdapter.from_settings({"type": "duckdb", "path": "w.duckdb"}, tmp_path)

    def run(query: str, **how: Any) -> Written:
        settings: dict[str, Any] = {"kind": "incremental", "unique_key": ("k",), "on_missing": "keep"}
        with adapter.workspace("r") as work, work.publishing(5):
            return work.materialize(Materialization(Relation("t", "main", "w"), **(settings | how)), query)

    return run


@pytest.mark.parametrize("strategy", ["merge", "delete+insert", None])
@pytest.mark.parametrize("more", [{"on_missing": "keep"}, {"on_missing": "delete"}, {"is_slice": True}])
def test_columns_that_the_query_lacks_keep_their_values(publish: Publish, sql: Sql, strategy: str, more: dict) -> None:
    sql("create table t as select * from (values (1, 1.5, 'a'), (2, 2.5, 'b')) v(k, p, note)")
    publish("select * from (values (1, 9.5), (2, 2.5), (3, 3.5)) v(k, p)", strategy=strategy, **more)
    assert [(k, float(p), note) for k, p, note in sql("from t order by k")] == [
        (1, 9.5, "a"), (2, 2.5, "b"), (3, 3.5, None),
    ]  # fmt: skip


@pytest.mark.parametrize("change", ["append_new_columns", "sync_all_columns"])
def test_a_new_column_takes_nothing_from_the_others(publish: Publish, sql: Sql, change: str) -> None:
    sql("create table t (k int primary key, p int check (p > 0))", "insert into t values (1, 1), (2, 2), (7, 7)")
    sql("comment on column t.p is 'points'")
    publish("select * from (values (1, 1, 'x'), (2, 5, 'y'), (3, 3, 'z')) v(k, p, new)", on_schema_change=change)
    assert sql("from t order by k") == [(1, 1, "x"), (2, 5, "y"), (3, 3, "z"), (7, 7, None)]
    assert sql("select comment from duckdb_columns() where column_name = 'p'") == [("points",)]
    with pytest.raises(duckdb.ConstraintException):
        sql("insert into t (k, p) values (1, 1)")


def test_synchronised_columns_are_those_of_the_query(publish: Publish, sql: Sql) -> None:
    sql("create table t as select * from (values (1, 1, 'a'), (2, 2, 'b')) v(k, p, gone)")
    publish("select * from (values (2, 2.5, 'n')) v(k, p, new)", on_schema_change="sync_all_columns")
    assert sql("select k, p::double, new from t order by k") == [(1, 1.0, None), (2, 2.5, "n")]
    assert [row[0] for row in sql("describe t")] == ["k", "p", "new"]


def test_a_published_value_that_a_new_type_would_change_is_refused(publish: Publish, sql: Sql) -> None:
    sql("create table t as select * from (values (1, 1.5), (2, 2.5)) v(k, p)")
    with pytest.raises(PublicationError, match=r"column 'p' .*1 value published"):
        publish("select 2 as k, 3 as p", on_schema_change="sync_all_columns")
    assert sql("select k, p::double from t order by k") == [(1, 1.5), (2, 2.5)]
    publish("select * from (values (1, 7), (2, 8)) v(k, p)", on_schema_change="sync_all_columns")
    assert sql("select k, p, typeof(p) from t order by k") == [(1, 7, "INTEGER"), (2, 8, "INTEGER")]


UNFIT = [
    ("INTEGER", "1.5"),
    ("INTEGER", "3000000000"),
    ("INTEGER", "'nan'::double"),
    ("INTEGER", "'seven'"),
    ("BOOLEAN", "2"),
    ("DECIMAL(6,2)", "1.005"),
    ("DECIMAL(3,1)", "100.0"),
    ("FLOAT", "0.1::double"),
    ("FLOAT", "16777217"),
    ("DOUBLE", "9007199254740993"),
    ("DATE", "timestamp '2026-01-02 03:04:05'"),
    ("TIMESTAMP_S", "timestamp '2026-01-02 03:04:05.5'"),
    ("TIMESTAMP", "'2026-01-02 03:04:05.123456789'::timestamp_ns"),
    ("TIMESTAMP", "timestamptz '2026-01-02 03:04:05+00'"),
    ("TIMESTAMPTZ", "timestamp '2026-01-02 03:04:05'"),
    ("TIMESTAMPTZ", "date '2026-01-02'"),
    ("INTEGER[]", "[1.5]"),
    ("FLOAT[2]", "[1, 2, 3]::float[3]"),
    ("STRUCT(a INTEGER)", "{'a': 1, 'b': 2}"),
    ("ENUM('a', 'b')", "'c'"),
    ("DATE", "interval 1 day"),
]


@pytest.mark.parametrize(("kind", "value"), UNFIT)
@pytest.mark.parametrize("how", [{}, {"strategy": "append"}, {"on_schema_change": "append_new_columns"}])
def test_a_value_that_the_column_would_change_is_refused(
    publish: Publish, sql: Sql, kind: str, value: str, how: dict
) -> None:
    sql(f"create table t (k int, p {kind})", "insert into t values (1, null)")
    with pytest.raises(PublicationError, match=r"column 'p' of .*1 value of the query"):
        publish(f"select 1 as k, {value} as p union all select 2, null", **how)
    assert sql("from t") == [(1, None)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("INTEGER", "2.0"), ("BIGINT", "7::tinyint"), ("DOUBLE", "0.5::float"), ("FLOAT", "'nan'::double"),
        ("DECIMAL(6,2)", "1.25::double"), ("VARCHAR", "12"), ("DATE", "timestamp '2026-01-02'"), ("DOUBLE", "1"),
        ("TIMESTAMP_NS", "timestamp '2026-01-02 03:04:05'"), ("INTEGER", "'7'"), ("HUGEINT", "1e18::double"),
        ("DOUBLE[]", "[1, 2]"), ("ENUM('a', 'b')", "'b'"),
    ],
)  # fmt: skip
def test_a_value_that_fits_goes_into_a_column_of_another_type(
    publish: Publish, sql: Sql, kind: str, value: str
) -> None:
    sql(f"create table t (k int, p {kind})")
    publish(f"select 1 as k, {value} as p")
    assert sql(f"select p is not distinct from cast({value} as {kind}) from t") == [(True,)]


def test_keys_that_a_cast_would_make_equal_are_refused(publish: Publish, sql: Sql) -> None:
    sql("create table t as select * from (values (1, 1.0), (2, 2.0)) v(k, p)")
    with pytest.raises(PublicationError, match="column 'k'"):
        publish("select * from (values (1.0, 5.0), (1.4, 7.0)) v(k, p)")
    assert sql("select k from t order by k") == [(1,), (2,)]


@pytest.mark.parametrize("more", [{}, {"on_missing": "delete"}, {"is_slice": True}, {"strategy": "append"}])
@pytest.mark.parametrize("rows", ["(1, 5), (1, 6)", "(9, 5), (9, 5)", "(null, 1), (null, 2)", "(1, 1), (1, 1)"])
def test_duplicate_keys_are_refused_wherever_they_are_new_or_known(
    publish: Publish, sql: Sql, more: dict, rows: str
) -> None:
    sql("create table t as select 1 as k, 1 as n")
    with pytest.raises(PublicationError, match="1 keys occur in 2 rows"):
        publish(f"select * from (values {rows}) v(k, n)", **more)
    assert sql("from t") == [(1, 1)]


NAMES = (
    "rowid",
    "ROWID",
    "__sqlinfer_old",
    "__sqlinfer_here",
    "old",
    "new",
    "Old_",
    "t",
    "n",
    "q",
    "d",
    "source",
    "target",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["int", "struct(k int, p int)"])
def test_columns_of_any_name_are_the_users(publish: Publish, sql: Sql, name: str, kind: str) -> None:
    value = "7" if kind == "int" else "{'k': 7, 'p': 7}"
    sql(f'create table t (k int, p int, "{name}" {kind})', f"insert into t values (1, 1, {value}), (2, 2, {value})")
    query = f'select k, p, {value}::{kind} as "{name}" from (values (2, 9), (3, 3)) v(k, p)'
    written = publish(query)
    assert sql("select k, p from t order by k") == [(1, 1), (2, 9), (3, 3)]
    assert sql(f'select count(*) from t where "{name}" is not distinct from {value}::{kind}') == [(3,)]
    assert written == Written(2, 1)
    publish(query, on_missing="delete")
    assert sql("select k, p from t order by k") == [(2, 9), (3, 3)]


def test_rows_that_the_query_did_not_return_are_counted(publish: Publish, sql: Sql) -> None:
    sql("create table t as select i as k, i as p from range(10) r(i)")
    query = "select i as k, i as p from range(7) r(i)"
    assert publish(query) == Written(7, 3)
    assert publish(query, is_slice=True) == Written(7)
    assert publish(query, on_missing="delete") == Written(7)
    assert sql("select count(*) from t") == [(7,)]


def test_a_key_that_the_published_table_holds_twice_comes_once_where_the_query_is_the_whole_table(
    publish: Publish, sql: Sql
) -> None:
    sql("create table t as select * from (values (1, 1, 'mine'), (1, 1, 'mine'), (2, 2, 'x')) v(k, p, note)")
    publish("select * from (values (1, 5), (3, 3)) v(k, p)", on_missing="delete")
    assert sql("from t order by k") == [(1, 5, "mine"), (3, 3, None)]


def test_without_a_key_rows_are_added_unless_the_query_is_the_whole_table(publish: Publish, sql: Sql) -> None:
    sql("create table t as select 1 as k")
    publish("select 2 as k", unique_key=())
    assert sql("from t order by k") == [(1,), (2,)]
    publish("select 3 as k", unique_key=(), on_missing="delete")
    assert sql("from t") == [(3,)]


@pytest.mark.parametrize("change", ["ignore", "fail"])
def test_a_prediction_without_a_published_column_is_refused(publish: Publish, sql: Sql, change: str) -> None:
    sql("create table t as select 1 as k, 0.5::double as churn")
    with pytest.raises(PublicationError) as caught:
        publish("select 1 as k, 0.7::double as prob", predictions=("prob",), on_schema_change=change)
    assert "--full-refresh" in str(caught.value.hint)
    assert sql("from t") == [(1, 0.5)]
    publish("select 1 as k, 0.7::double as prob", predictions=("prob",), on_schema_change="append_new_columns")
    assert sql("from t") == [(1, 0.5, 0.7)]


def test_names_that_differ_in_the_case_of_ascii_letters_are_the_same_column(publish: Publish, sql: Sql) -> None:
    sql('create table t as select 1 as "K", 1 as "Ä", 2 as "ä"')
    publish('select 1 as k, 5 as "ä"', unique_key=("k",))
    assert sql("from t") == [(1, 1, 5)]


def test_a_query_is_read_once(publish: Publish, sql: Sql) -> None:
    sql("create sequence s", "create table t (k int, p bigint)")
    publish("select i as k, nextval('main.s') as p from range(3) r(i)")
    assert sql("select p from t order by p") == [(1,), (2,), (3,)]


def test_only_columns_that_are_named_are_left_out_of_the_comparison(publish: Publish, sql: Sql) -> None:
    sql("create table t as select 1 as k, 1 as p, 'run1' as _sqlinfer_run_id")
    publish("select 1 as k, 1 as p, 'run2' as _sqlinfer_run_id", uncompared=("_sqlinfer_run_id",))
    assert sql("from t") == [(1, 1, "run1")]
    publish("select 1 as k, 1 as p, 'run2' as _sqlinfer_run_id")
    assert sql("from t") == [(1, 1, "run2")]


@pytest.mark.parametrize("fewest", [1, 10_000], ids=["in place", "joined"])
def test_a_text_that_its_collation_takes_for_equal_is_written(
    publish: Publish, sql: Sql, monkeypatch: pytest.MonkeyPatch, fewest: int
) -> None:
    monkeypatch.setattr(standing, "FEWEST", fewest)
    sql("create table t as select i as k, 'berlin' collate nocase as name from range(40) r(i)")
    publish("select i as k, case i when 7 then 'Berlin' else 'berlin' end as name from range(40) r(i)")
    assert sql("select k, name from t where name::blob <> 'berlin'::blob") == [(7, "Berlin")]
