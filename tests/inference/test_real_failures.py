"""Rows that fail inside ONNX Runtime itself."""

from __future__ import annotations

import pyarrow as pa
from onnx import helper

from sqlinfer.inference import open_session
from sqlinfer.spec.function import InputBinding
from sqlinfer.testing import onnx_builder


def test_an_index_out_of_range_costs_only_its_row(prepare) -> None:
    graph = onnx_builder.build(
        [helper.make_node("Gather", ["table", "i"], ["score"])],
        [onnx_builder.value("i", "int64", ["N"])],
        [onnx_builder.value("score", "float", ["N"])],
        [onnx_builder.constant("table", [10.0, 20.0, 30.0])],
    )
    function = prepare(graph, {"i": "BIGINT"}, (InputBinding("i", "vector", "int64", ("i",)),))
    table = pa.table({"i": [0, 1, 99, 2, None, 1] * 400})
    with open_session(function, device="cpu") as session:
        result = session.score_table(table, keep=["i"])
    assert result["value"].to_pylist() == [10.0, 20.0, None, 30.0, None, 20.0] * 400
    errors = result["error"].to_pylist()
    assert [error is not None for error in errors] == [False, False, True, False, False, False] * 400
    assert "99" not in errors[2]
    assert errors[2].startswith("runtime: INVALID_ARGUMENT")


def test_nothing_is_written_to_stderr_by_native_code(prepare, capfd) -> None:
    graph = onnx_builder.build(
        [helper.make_node("Gather", ["table", "i"], ["score"])],
        [onnx_builder.value("i", "int64", ["N"])],
        [onnx_builder.value("score", "float", ["N"])],
        [onnx_builder.constant("table", [10.0])],
    )
    function = prepare(graph, {"i": "BIGINT"}, (InputBinding("i", "vector", "int64", ("i",)),))
    with open_session(function, device="cpu") as session:
        session.score_table(pa.table({"i": [5, 0, 7]}))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
