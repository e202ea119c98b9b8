"""What warehouses share of scoring: counts of a chunk, rows for a store, what error records say."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest

from sqlinfer.adapters.shared import error_rows
from sqlinfer.adapters.shared.lookups import inputs_of, latest, status_of
from sqlinfer.adapters.shared.store_columns import output_columns, store_rows
from sqlinfer.adapters.shared.tallies import Counting
from sqlinfer.relation import Relation
from sqlinfer.spec.function import Argument, FunctionContract, Output
from sqlinfer.spec.plan import Call, Stage
from sqlinfer.spec.scorer import Tally

ERROR = "__sqlinfer_error_0"


def call(status: str | None = "st", key: str | None = None) -> Call:
    return Call("f", "d" * 64, "store" if key else "stream", ("x",), "y", key, status, "f(x)")


def chunk(status: list[str | None], error: list[str | None]) -> pa.Table:
    text = pa.string()
    return pa.table({"n": range(len(status)), "st": pa.array(status, text), ERROR: pa.array(error, text)})


def test_every_row_of_a_chunk_counts_as_one_thing() -> None:
    counting = Counting(call())
    bad = counting.add(
        chunk(["skipped", "null_input", "cast_error:x", None, None], [None, None, None, "runtime: no", None])
    )
    assert bad is not None
    assert bad.column("n").to_pylist() == [2, 3]
    assert counting.add(chunk([None, None], [None, None])) is None
    tally = counting.tally(null_inputs=99)
    assert tally == Tally(rows=7, skipped=1, nulls=1, errors=2)
    assert (tally.counts.inputs, tally.counts.scored) == (6, 3)


def test_a_call_without_a_status_has_the_nulls_that_its_session_counted() -> None:
    counting = Counting(call(status=None))
    counting.add(chunk([None] * 3, [None] * 3))
    assert counting.tally(null_inputs=2) == Tally(rows=3, nulls=2)


def test_a_struct_becomes_columns_that_no_name_of_ours_hides() -> None:
    outputs = tuple(Output(name, "DOUBLE") for name in ("error", "Error", "p"))
    contract = FunctionContract("f", "d" * 64, (Argument("x", "DOUBLE"),), outputs, is_struct=True)
    assert output_columns(contract) == ("error_", "Error__", "p")
    result = pa.array([{"a": 1.0, "b": 2.0, "c": 3.0}, None])
    scored = pa.table({"k": [7, 8], "r": result, ERROR: pa.array([None, "bad"], pa.string())})
    assert store_rows(scored, "r", contract).to_pylist() == [
        {"input_key": 7, "error_": 1.0, "Error__": 2.0, "p": 3.0, "error": None},
        {"input_key": 8, "error_": None, "Error__": None, "p": None, "error": "bad"},
    ]


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        ("cast_error:a:b", None, ("cast_error", "argument 'a:b' does not fit its declared type")),
        ("null_error:x", None, ("null_error", "argument 'x' is NULL")),
        (None, "runtime: it broke: here", ("runtime", "runtime: it broke: here")),
        (None, "array_length", ("array_length", "array_length")),
    ],
)
def test_an_error_record_says_what_failed(status: str | None, error: str | None, said: tuple[str, str]) -> None:
    error_class, message = error_rows.from_either("st", "e.er", "e")
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT {error_class}, {message} FROM (SELECT ? AS st, ? AS er) AS e", [status, error]
        )
        assert found.fetchall() == [said]


def test_inputs_of_several_calls_are_one_list() -> None:
    calls = (call(key="k"), Call("f", "d" * 64, "store", ("z",), "y2", "k2", None, "f(z)"))
    stage = Stage("s1", Relation("stage"), None, "", ("id",), calls)
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE stage AS SELECT 1 AS k, 10 AS x, 2 AS k2, 20 AS z UNION ALL SELECT NULL, 5, 3, 30"
        )
        found = connection.execute(f"FROM ({inputs_of(stage, calls, ['a0'])}) ORDER BY 1").fetchall()
        assert found == [(1, 10), (2, 20), (3, 30)]
        keyed = f"SELECT {status_of(call(None, 'k'))} FROM stage AS s ORDER BY 1 NULLS FIRST"
        assert connection.execute(keyed).fetchall() == [(None,), ("null_input",)]


def test_the_run_that_scored_last_is_named_with_its_moment() -> None:
    with duckdb.connect() as connection:
        source = "(SELECT 1 AS scored_at, 'early' AS run_id) AS a, (SELECT 2 AS scored_at, 'late' AS run_id) AS b"
        found = connection.execute(f"SELECT {', '.join(latest(['a', 'b']))} FROM {source}").fetchall()
    assert found == [("late", 2)]
    assert latest([]) == []
