"""Forms that only the warehouse can resolve, through the whole job: macros, files, databases, PIVOT, plain queries."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import duckdb
import pytest

import sqlinfer
from sqlinfer import api
from sqlinfer.errors import SqlinferError
from sqlinfer.testing.onnx_builder import linear

MACROS = """
create schema mac; create macro mac.tw(a) as a * 2; create macro dbl(a) as a * 2, (a, b) as a * b;
create macro nest(a) as dbl(dbl(a)); create macro lots(a, n := 3) as a * n; create macro avg2(a) as sum(a) / count(*);
create macro above(a) as (select max(x) from t) + a; create macro first_rows(n) as table select * from t where id < n;
create macro mac.late(n) as table select * from main.t where id >= n; create sequence sq
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with f(x) = 2x + 1, a warehouse with macros, an attached database, and files."""
    root = tmp_path_factory.mktemp("shop")
    (root / "sqlinfer_project.yml").write_text("name: shop\nprofile: shop\n")
    (root / "profiles.yml").write_text(
        "shop: {target: dev, outputs: {dev: {type: duckdb, path: w.duckdb, "
        "attach: [{path: other.duckdb, alias: o}]}}}\n"
    )
    (root / "functions").mkdir()
    (root / "functions/f.yml").write_text(
        "functions:\n  - name: f\n    model: {path: f.onnx}\n    arguments: [{name: x, data_type: double}]\n"
        "    returns: {data_type: double}\n    config: {reuse: true}\n"
    )
    linear([2.0], 1.0, element_type="double", path=root / "functions/f.onnx")
    with duckdb.connect(str(root / "other.duckdb")) as other:
        other.execute("create table remote as select 7 id, 2.0::double x; create macro far(a) as a * 10")
    with duckdb.connect(str(root / "w.duckdb")) as made:
        made.execute("create table t as select i id, i::double x, i % 2 k, 's' || i s from range(4) r(i)")
        for statement in MACROS.split(";"):
            made.execute(statement)
    line = b'{"id": 1, "x": 2.5}\n'
    for name in ("d.jsonl", "d.ndjson"):
        (root / name).write_bytes(line)
        (root / f"{name}.gz").write_bytes(gzip.compress(line))
    (root / "d.json.gz").write_bytes(gzip.compress(line))
    (root / "d.csv.gz").write_bytes(gzip.compress(b"id,x\n1,2.5\n"))
    (root / "d.tsv").write_text("id\tx\n1\t2.5\n")
    return root


def _rows(root: Path, sql: str) -> list[tuple[Any, ...]]:
    table = sqlinfer.connect(root).sql(sql)
    return sorted(tuple(row.values()) for row in table.to_pylist())


@pytest.mark.parametrize(("sql", "expected"), [
    ("select id, f(dbl(x)) p from t where id < 2", [(0, 1.0), (1, 5.0)]),
    ("select id, dbl(f(x)) p from t where id < 2", [(0, 2.0), (1, 6.0)]),
    ("select id, dbl(f(x), 3) p from t where id < 2", [(0, 3.0), (1, 9.0)]),
    ("select id, nest(f(x)) p from t where id < 2", [(0, 4.0), (1, 12.0)]),
    ("select id, mac.tw(f(x)) p from t where id < 2", [(0, 2.0), (1, 6.0)]),
    ("select id, w.mac.tw(f(x)) p from t where id < 2", [(0, 2.0), (1, 6.0)]),
    ("select id, o.far(f(x)) p from t where id < 2", [(0, 10.0), (1, 30.0)]),
    ("select id, lots(f(x), n := 2) p from t where id < 2", [(0, 2.0), (1, 6.0)]),
    ("select k, avg2(f(x)) p from t group by k", [(0, 3.0), (1, 5.0)]),
    ("select k, f(avg2(x)) p from t group by k", [(0, 3.0), (1, 5.0)]),
    ("select above(f(x)) p from t where id < 2", [(4.0,), (6.0,)]),
    ("select id, f(x) p from first_rows(2)", [(0, 1.0), (1, 3.0)]),
    ("select q.id, f(q.x) p from mac.late(2) q where q.id > 2", [(3, 7.0)]),
    ("select id, lots(id) c from first_rows(2)", [(0, 0), (1, 3)]),
])  # fmt: skip
def test_macros_of_the_warehouse(shop: Path, sql: str, expected: list[tuple[Any, ...]]) -> None:
    assert _rows(shop, sql) == expected


@pytest.mark.parametrize("name", ["o.remote", "o.main.remote", '"o"."remote"'])
def test_a_database_may_stand_before_the_table(shop: Path, name: str) -> None:
    assert _rows(shop, f"select id, f(x) p from {name}") == [(7, 5.0)]
    assert len(_rows(shop, "select id, f(x) p from w.t")) == 4


@pytest.mark.parametrize("file", ["d.jsonl", "d.ndjson", "d.jsonl.gz", "d.ndjson.gz", "d.json.gz", "d.csv.gz", "d.tsv"])
def test_every_file_that_the_warehouse_scans(shop: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop)
    assert _rows(shop, f"select id, f(x) p from '{file}'") == [(1, 6.0)]


def test_the_columns_of_a_pivot_are_found_in_the_rows(shop: Path) -> None:
    sql = 'with c as (pivot t on k using sum(x) group by s) select s, f("1") p from c where "1" is not null'
    assert _rows(shop, sql) == [("s1", 3.0), ("s3", 7.0)]
    assert sqlinfer.connect(shop).sql("pivot t on k using sum(x)").column_names == ["id", "s", "0", "1"]


@pytest.mark.parametrize("sql", [
    "from t", "table t", "values (1, 2)", "summarize t", "describe t", "show tables", "select x'FF', 5!, #1 from t",
    "pivot t on k using sum(x) group by s", "select * like 'x%' from t", "select 1 a, 2 a", "from first_rows(2)",
])  # fmt: skip
def test_a_query_without_predict_is_the_warehouses_own(shop: Path, sql: str) -> None:
    got = sqlinfer.connect(shop).sql(sql)
    with duckdb.connect(str(shop / "w.duckdb"), read_only=True) as plain:
        expected = plain.execute(sql)
        assert got.column_names == [column[0] for column in expected.description]
        assert got.num_rows == len(expected.fetchall())


@pytest.mark.parametrize(("sql", "words"), [
    ("select lots(f(x)) from t", "called without n"),
    ("select f(x), nextval('sq') from t", "cannot stand"),
])  # fmt: skip
def test_what_the_warehouse_does_not_tell_is_refused(shop: Path, sql: str, words: str) -> None:
    with pytest.raises(SqlinferError, match=words) as caught:
        sqlinfer.connect(shop).sql(sql)
    assert caught.value.location is not None
    assert caught.value.location.column is not None


@pytest.mark.parametrize("end", ["; -- f(x) is done", ";;", " ; /* done */ ;", ";\n-- one\n-- two\n"])
def test_what_follows_the_last_semicolon_may_be_a_comment(shop: Path, end: str) -> None:
    assert _rows(shop, f"select f(x) as p from t where id = 1{end}") == [(3.0,)]


def test_a_column_is_named_after_its_parameter_not_after_the_value(shop: Path) -> None:
    shown = sqlinfer.connect(shop).sql("select f(?), ? + f(x), id from t", [1.5, 2])
    assert shown.schema.names == ["f($1)", "($2 + f(x))", "id"]
    shown = sqlinfer.connect(shop).sql("select f(x + $a) from t {% if true %}where f(x) > $a{% endif %}", {"a": 1.5})
    assert shown.schema.names == ["f((x + $a))"]


def test_a_table_of_a_pivot_is_published(shop: Path) -> None:
    """DuckDB makes two statements of it, and tells no number of rows."""
    (shop / "models").mkdir(exist_ok=True)
    (shop / "models" / "pivoted.sql").write_text("pivot t on k using sum(x) group by s")
    result = api.run(api.RunOptions(project_dir=shop, select=("pivoted",)))
    assert [(one.status, one.rows) for one in result.results] == [
        ("success", len(_rows(shop, "select distinct s from t")))
    ]
