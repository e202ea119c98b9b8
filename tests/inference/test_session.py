"""Tables through real sessions on the CPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sqlinfer.errors import InferenceError
from sqlinfer.inference import open_session, read_layout
from sqlinfer.spec.function import InputBinding, OutputBinding
from sqlinfer.testing import onnx_builder


def numbers_table(rows: int) -> pa.Table:
    values = np.arange(rows, dtype=np.float64) % 97
    return pa.table({"id": np.arange(rows), "a": values, "b": (values / 2).astype(np.float32)})


def test_a_table_is_scored_in_order(linear) -> None:
    table = numbers_table(300_000)
    with open_session(linear(), device="cpu") as session:
        result = session.score_table(table, keep=["id"])
    assert result.schema == pa.schema({"id": pa.int64(), "value": pa.float64(), "error": pa.string()})
    assert result["id"].equals(table["id"])
    np.testing.assert_allclose(result["value"].to_numpy(), np.asarray(table["a"]) * 3.5, rtol=1e-6)
    assert result["error"].null_count == len(result)


def test_rows_with_a_null_argument_are_not_scored(linear) -> None:
    table = pa.table({"a": [1.0, None, 3.0, None], "b": pa.array([1, 1, None, None], pa.float32())})
    with open_session(linear(), device="cpu") as session, session.score(table.to_reader(), ["a", "b"], []) as scored:
        result = pa.Table.from_batches(scored)
    assert result.to_pydict() == {"value": [5.0, None, None, None], "error": [None] * 4}
    assert (scored.counts.rows, scored.counts.scored, scored.counts.null_inputs, scored.counts.errors) == (4, 1, 3, 0)


def test_a_nan_argument_is_passed_on_and_its_result_is_an_invalid_output(linear) -> None:
    table = pa.table({"a": [1.0, float("nan"), float("inf")], "b": pa.array([1, 1, 1], pa.float32())})
    with open_session(linear(), device="cpu") as session:
        result = session.score_table(table, keep=[])
    assert result["value"].to_pylist() == [5.0, None, None]
    assert result["error"].to_pylist() == [None, "invalid_output:nan", "invalid_output:inf"]


def test_a_number_too_large_for_the_input_is_infinite_and_quiet(linear) -> None:
    table = pa.table({"a": [1e300, 1.0] * 2000, "b": pa.array([1, 1] * 2000, pa.float32())})
    with open_session(linear(), device="cpu") as session:
        result = session.score_table(table, keep=[])
    assert result["value"].to_pylist() == [None, 5.0] * 2000
    assert result["error"].to_pylist() == ["invalid_output:inf", None] * 2000


def test_on_invalid_error_raises_with_the_count(linear) -> None:
    table = pa.table({"a": [1.0, float("nan")], "b": pa.array([1, 1], pa.float32())})
    with (
        open_session(linear(on_invalid="error"), device="cpu") as session,
        pytest.raises(InferenceError, match="1 of 2 rows"),
    ):
        session.score_table(table)


def test_on_invalid_allow_keeps_the_value(linear) -> None:
    table = pa.table({"a": [float("nan")], "b": pa.array([1], pa.float32())})
    with open_session(linear(on_invalid="allow"), device="cpu") as session:
        result = session.score_table(table, keep=[])
    assert np.isnan(result["value"][0].as_py())
    assert result["error"].to_pylist() == [None]


def test_an_empty_stream_gives_the_schema(linear) -> None:
    with open_session(linear(), device="cpu") as session:
        result = session.score_table(numbers_table(0), keep=["id"])
    assert result.column_names == ["id", "value", "error"]
    assert result.num_rows == 0


@pytest.mark.parametrize("rows", [1, 2047, 2049, 122_881])
def test_many_small_batches_are_put_together(linear, rows: int) -> None:
    table = numbers_table(rows)
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=100))
    with open_session(linear(), device="cpu") as session, session.score(reader, ["a", "b"], ["id"]) as scored:
        result = pa.Table.from_batches(scored, schema=scored.schema)
    assert result["id"].to_pylist() == list(range(rows))


def test_passes_can_be_chained(linear) -> None:
    table = numbers_table(50_000)
    with open_session(linear(), device="cpu") as session:
        first = session.score(table.to_reader(), ["a", "b"], ["id", "b"], as_column="__p1", error_column="e1")
        second = session.score(first.to_reader(), ["__p1", "b"], ["id", "__p1", "e1"], as_column="__p2")
        result = pa.Table.from_batches(second)
    assert result.column_names == ["id", "__p1", "e1", "__p2", "error"]
    np.testing.assert_allclose(result["__p2"].to_numpy(), np.asarray(table["a"]) * 8.5, rtol=1e-5)


def test_a_struct_function_gives_one_struct_column(prepare) -> None:
    graph = onnx_builder.classifier_zipmap(zipmap=True)
    inputs = (InputBinding("features", "packed", "float", ("a", "b"), 2),)
    outputs = (OutputBinding("label", "label"), OutputBinding("p", "probabilities", key="Yes"))
    function = prepare(
        graph, {"a": "REAL", "b": "REAL"}, inputs, {"label": "TEXT", "p": "DOUBLE"}, outputs, is_struct=True
    )
    table = pa.table({"a": pa.array([1.0, None, 0.0]), "b": pa.array([-1.0, 0.0, 9.0])})
    with open_session(function, device="cpu") as session:
        result = session.score_table(table, keep=[], as_column="__p1")
    first, second, third = result["__p1"].to_pylist()
    assert first["label"] == "No"
    assert second is None
    assert third["label"] == "Yes"
    assert first["p"] < 0.5 < third["p"]


def test_a_wrong_number_of_result_rows_is_an_error(prepare) -> None:
    from onnx import helper

    node = helper.make_node("ReduceSum", ["x"], ["score"], keepdims=1)
    graph = onnx_builder.build(
        [node], [onnx_builder.value("x", "float", ["N"])], [onnx_builder.value("score", "float", None)]
    )
    function = prepare(graph, {"a": "REAL"}, (InputBinding("x", "vector", "float", ("a",)),))
    table = pa.table({"a": pa.array([1.0, 2.0, 3.0])})
    with open_session(function, device="cpu") as session, pytest.raises(InferenceError, match="1 rows for 3 rows in"):
        session.score_table(table)


def test_a_function_that_mixes_rows_is_scored_one_row_at_a_time(prepare) -> None:
    from onnx import helper

    node = helper.make_node("ReduceSum", ["x"], ["score"], keepdims=1)
    graph = onnx_builder.build(
        [node], [onnx_builder.value("x", "float", ["N"])], [onnx_builder.value("score", "float", None)]
    )
    function = prepare(graph, {"a": "REAL"}, (InputBinding("x", "vector", "float", ("a",)),), row_wise=False)
    with open_session(function, device="cpu") as session:
        result = session.score_table(pa.table({"a": pa.array([1.0, 2.0, 3.0])}), keep=[])
    assert result["value"].to_pylist() == [1.0, 2.0, 3.0]


def test_the_layout_is_measured_once_and_remembered(linear, tmp_path: Path) -> None:
    function, cache = linear(), tmp_path / "cache"
    with open_session(function, device="cpu", cache_dir=cache) as session:
        assert session.layout.source == "default"
        session.score_table(numbers_table(60_000))
        measured = session.layout
    assert measured.source == "measured"
    assert measured.rows_per_second
    remembered = read_layout(cache, function.contract.digest, "cpu")
    assert remembered is not None
    assert remembered.batch_size == measured.batch_size
    with open_session(function, device="cpu", cache_dir=cache) as session:
        assert session.layout.source == "cached"


def test_a_declared_batch_size_wins(linear, tmp_path: Path) -> None:
    with open_session(linear(batch_size=7), device="cpu", cache_dir=tmp_path) as session:
        session.score_table(numbers_table(3000))
        assert (session.layout.batch_size, session.layout.source) == (7, "declared")
    with open_session(linear(batch_size=7), device="cpu", batch_size=9) as session:
        assert session.layout.batch_size == 9


def test_results_do_not_depend_on_the_batch_size(prepare) -> None:
    graph = onnx_builder.mlp([4, 64, 1])
    names = ("a", "b", "c", "d")
    function = prepare(graph, dict.fromkeys(names, "REAL"), (InputBinding("features", "packed", "float", names, 4),))
    random = np.random.default_rng(0)
    table = pa.table({name: random.normal(size=5000).astype(np.float32) for name in names})
    results = []
    for size in (1, 32, 1000, 5000):
        with open_session(function, device="cpu", batch_size=size) as session:
            results.append(session.score_table(table, keep=[])["value"].to_numpy())
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-6, atol=1e-7)


def test_reading_a_layout_imports_no_runtime() -> None:
    code = (
        "import sys; from pathlib import Path; from sqlinfer.inference import read_layout;"
        "read_layout(Path('/nowhere'), '0' * 64, 'cpu');"
        "sys.exit(any(name in sys.modules for name in ('onnxruntime', 'pyarrow', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
