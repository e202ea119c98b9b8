"""connect(): parameters, what has no prediction, and going on after every kind of error."""

from __future__ import annotations

import _thread
import datetime
import threading
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import sqlinfer
from sqlinfer.errors import AdapterError, CompileError, ParameterError, SqlinferError
from sqlinfer.testing import onnx_builder as onnx

SMALL = "settings: {memory_limit: 60MB, max_temp_directory_size: 0MB, threads: 1}"
GOOD, ANSWER = "select f(x) as p from t order by x nulls last", [1.0, 3.0, None]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    (root / "functions").mkdir()
    onnx.linear([2.0], 1.0, element_type="double", path=root / "functions" / "f.onnx")
    (root / "functions" / "f.yml").write_text(
        "functions:\n  - name: f\n    model: {path: f.onnx}\n    arguments: [{name: x, data_type: double}]\n"
        "    returns: {data_type: double}\n"
    )
    (root / "sqlinfer_project.yml").write_text("name: shop\nprofile: shop\n")
    (root / "profiles.yml").write_text(
        f"shop: {{target: d, outputs: {{d: {{type: duckdb, path: w.duckdb, {SMALL}}}}}}}"
    )
    with duckdb.connect(root / "w.duckdb") as connection:
        rows = "(0, 'a', date '2026-01-01'), (1, 'b', '2026-01-02'), (null, 'c', '2026-01-03')"
        connection.execute(f"create table t as select * from (values {rows}) as t(x, s, d)")
    return root


@pytest.mark.parametrize(
    ("sql", "params", "expected"),
    [
        ("select f(?) as p", [1.5], [4.0]),
        ("select f(x + $more) as p from t where s = $s", {"more": 1, "s": "b"}, [5.0]),
        ("select predict(?, x) as p from t where d > ? and x is not null limit ?",
         ["f", datetime.date(2026, 1, 1), 1], [3.0]),
        ("select s from t where x = $1 or s = $2 order by s", [0, "c"], ["a", "c"]),
        ("select s from t where s in (select unnest(?)) order by s", [["c", "b"]], ["b", "c"]),
        ("select {{ 1 + 1 }} + ? as two from t limit 1", [1], [3]),
    ],
)  # fmt: skip
def test_parameters_stand_wherever_a_literal_may(shop: Path, sql: str, params: Any, expected: list[Any]) -> None:
    assert sqlinfer.connect(shop).sql(sql, params).column(0).to_pylist() == expected


def test_errors_of_parameters_are_at_their_place(shop: Path) -> None:
    with pytest.raises(ParameterError, match=r"no value for \$a(.|\n)*<inline>:1:26"):
        sqlinfer.connect(shop).sql("select f(x) from t where $a", {})
    with pytest.raises(CompileError, match=r"argument 'x' of f is double(.|\n)*<inline>:1:8"):
        sqlinfer.connect(shop).sql("select f(?) from t", [datetime.date(2026, 1, 1)])


def test_a_result_says_what_has_no_prediction(shop: Path, caplog: pytest.LogCaptureFixture) -> None:
    connection = sqlinfer.connect(shop)
    rows = connection.sql("select f(case when s = 'b' then 'word' else x::varchar end) as p from t")
    assert isinstance(rows, pa.Table)
    outcome = sqlinfer.outcome(rows)
    assert outcome == connection.outcome
    assert (outcome.inputs, outcome.scored, outcome.errors, outcome.null_inputs) == (3, 1, 1, 1)
    said = [(r.function, r.error_class, r.message, r.inputs) for r in outcome.reasons]
    assert said == [("f", "cast_error", "argument 'x' does not fit its declared type", 1)]
    assert str(outcome) == (
        "2 of 3 inputs have no prediction: 1 failed (f: 1 cast_error, argument 'x' does not fit its declared type), "
        "1 has a NULL argument"
    )
    assert str(outcome) in caplog.text


def test_a_whole_result_says_nothing(shop: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = sqlinfer.connect(shop).sql("select f(x) from t where x is not null")
    assert sqlinfer.outcome(rows).is_whole
    assert caplog.text == ""


BROKEN = {
    "a cast": "select cast(s as integer) from t",
    "a cast beside a call": "select f(x), cast(s as integer) from t",
    "an argument": "select f(cast(s as double)) from t",
    "memory": "select list(i) from range(30000000) as r(i)",
    "memory below a call": "select f(list(i)[1]) from range(30000000) as r(i)",
    "memory beside a call": "select f(x), l from t, (select list(i) as l from range(30000000) as r(i))",
    "an error late in the rows": "select i, case when i = 299999 then error('boom') end from range(300000) as r(i)",
    "a missing table": "select f(x) from nothing",
    "a missing column": "select f(y) from t",
    "a syntax error": "select f(x from t",
    "a value missing": "select f(?)",
}


@pytest.mark.parametrize("sql", BROKEN.values(), ids=BROKEN)
def test_the_connection_goes_on_after_an_error(shop: Path, sql: str) -> None:
    connection = sqlinfer.connect(shop)
    for _ in range(2):
        with pytest.raises(SqlinferError):
            connection.sql(sql)
        assert connection.sql(GOOD).column(0).to_pylist() == ANSWER


def test_memory_that_ends_while_rows_stream_is_the_warehouses_error(shop: Path) -> None:
    with pytest.raises(AdapterError, match="boom"):
        sqlinfer.connect(shop).sql(BROKEN["an error late in the rows"])


def test_the_connection_goes_on_after_an_interrupt(shop: Path) -> None:
    connection = sqlinfer.connect(shop)
    timer = threading.Timer(1.0, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        connection.sql("select f(count(*)) from range(100000000000) as r(i) where hash(i) = 1")  # long, and small
    timer.join()
    assert connection.sql(GOOD).column(0).to_pylist() == ANSWER


def test_a_registered_connection_goes_on_after_an_error(shop: Path) -> None:
    with duckdb.connect(config={"memory_limit": "60MB", "max_temp_directory_size": "0MB", "threads": 1}) as connection:
        sqlinfer.register(connection, shop)
        for sql in ("select f(cast('x' as double))", "select f(list(i)[1]) from range(30000000) as r(i)"):
            with pytest.raises(duckdb.Error):
                connection.execute(sql)
            assert connection.execute("select f(1)").fetchall() == [(3.0,)]


def test_a_registered_function_refuses_types_that_never_fit(shop: Path) -> None:
    with duckdb.connect() as connection:
        sqlinfer.register(connection, shop)
        for value, kind in (("date '2026-01-01'", "date"), ("[1.0]", "decimal"), ("{'a': 1}", "struct")):
            with pytest.raises(duckdb.Error, match=f"argument 'x' of f is double, it is given {kind}"):
                connection.execute(f"select f({value})").fetchall()


def test_an_argument_of_a_registered_function_is_evaluated_once(shop: Path) -> None:
    with duckdb.connect() as connection:
        sqlinfer.register(connection, shop)
        connection.execute("create sequence s")
        assert connection.execute("select f(nextval('s')) from range(3)").fetchall() == [(3.0,), (5.0,), (7.0,)]
        assert connection.execute("select f(f(f(f(f(1)))))").fetchall() == [(63.0,)]
