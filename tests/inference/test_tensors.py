"""Arrow columns of every kind as inputs, and outputs of every kind as Arrow columns."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from onnx import helper

from sqlinfer.errors import InferenceError
from sqlinfer.inference import open_session
from sqlinfer.inference.tensors import column_values, strings
from sqlinfer.spec.function import InputBinding, OutputBinding
from sqlinfer.testing import onnx_builder


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, 2], pa.int8()), [1, 2]),
        (pa.array([1, 2, 3, 4], pa.int64()).slice(1, 2), [2, 3]),
        (pa.array([2**63 + 1], pa.uint64()), [2**63 + 1]),
        (pa.array([True, False, True]).slice(1), [0, 1]),
        (pa.array([Decimal("1.25"), Decimal("-3.50")]), [1.25, -3.5]),
        (pa.array([Decimal(10) ** 30], pa.decimal128(38, 0)), [1e30]),
        (pa.array([datetime.date(1970, 1, 3)]), [2]),
        (pa.array([1.5, 2.5]).dictionary_encode(), [1.5, 2.5]),
        (pa.array([], pa.float64()), []),
    ],
)
def test_numeric_columns(column: pa.Array, expected: list[float]) -> None:
    assert column_values(column, "double").astype(float).tolist() == [float(value) for value in expected]


def test_numeric_columns_without_nulls_are_not_copied() -> None:
    column = pa.array(np.arange(10.0)).slice(2, 5)
    assert column_values(column, "double").base is not None


TEXTS = (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()))


@pytest.mark.parametrize("kind", TEXTS)
def test_strings_are_one_object_per_distinct_value(kind: pa.DataType) -> None:
    values = strings(pa.array(["x", "yé", "x", ""]).cast(kind))
    assert values.tolist() == ["x", "yé", "x", ""]
    assert values[0] is values[2]


def test_text_cannot_feed_numbers() -> None:
    with pytest.raises(InferenceError, match="string"):
        column_values(pa.array(["1"]), "float")


@pytest.mark.parametrize("element", ["float", "double", "int64", "int32", "bool", "uint8", "float16"])
@pytest.mark.parametrize("as_column", [False, True])
def test_one_input_per_argument_of_every_element_type(prepare, element: str, as_column: bool) -> None:
    graph = onnx_builder.identity(element, column=as_column)
    inputs = (InputBinding("x", "column" if as_column else "vector", element, ("x",)),)
    function = prepare(graph, {"x": "DOUBLE"}, inputs, bindings=(OutputBinding("value", "y"),))
    with open_session(function, device="cpu") as session:
        result = session.score_table(pa.table({"x": [1.0, 0.0, None, 1.0]}), keep=[])
    assert result["value"].to_pylist() == [1.0, 0.0, None, 1.0]


def test_strings_go_in_and_come_out(prepare) -> None:
    inputs = (InputBinding("x", "vector", "string", ("x",)),)
    function = prepare(
        onnx_builder.identity("string"), {"x": "TEXT"}, inputs, {"value": "TEXT"}, (OutputBinding("value", "y"),)
    )
    with open_session(function, device="cpu", batch_size=2) as session:
        result = session.score_table(pa.table({"x": ["a", None, "ü", "a", ""]}), keep=[])
    assert result["value"].to_pylist() == ["a", None, "ü", "a", ""]


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float64(), 2), pa.large_list(pa.float32())])
def test_list_arguments_become_a_matrix_and_vectors_come_back(prepare, kind: pa.DataType) -> None:
    graph = onnx_builder.build(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [onnx_builder.value("x", "float", ["N", 2])],
        [onnx_builder.value("y", "float", ["N", 2])],
    )
    inputs = (InputBinding("x", "array", "float", ("v",), 2),)
    function = prepare(graph, {"v": "REAL[2]"}, inputs, {"value": "REAL[2]"}, (OutputBinding("value", "y"),))
    table = pa.table({"v": pa.array([[1, 2], None, [3, 4], [5, 6]], kind)}).slice(1)
    with open_session(function, device="cpu", batch_size=1) as session:
        result = session.score_table(table, keep=[])
    assert result["value"].to_pylist() == [None, [6, 8], [10, 12]]
    assert result["value"].type == pa.list_(pa.float32(), 2)


def test_malformed_lists_are_error_rows(prepare) -> None:
    graph = onnx_builder.build(
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)],
        [onnx_builder.value("x", "float", ["N", 2])],
        [onnx_builder.value("y", "float", ["N"])],
        [onnx_builder.constant("axes", [1], "int64")],
    )
    inputs = (InputBinding("x", "array", "float", ("v",), 2),)
    function = prepare(graph, {"v": "REAL[]"}, inputs, bindings=(OutputBinding("value", "y"),))
    table = pa.table({"v": [[1.0, 2.0], [1.0], [None, 1.0], None, [], [3.0, 4.0]]})
    with open_session(function, device="cpu") as session, session.score(table.to_reader(), ["v"], []) as scored:
        result = pa.Table.from_batches(scored)
    assert result["value"].to_pylist() == [3.0, None, None, None, None, 7.0]
    expected = [None, "array_length", "null_in_array", None, "array_length", None]
    assert result["error"].to_pylist() == expected
    assert (scored.counts.scored, scored.counts.null_inputs, scored.counts.errors) == (2, 1, 3)


def test_labels_turn_codes_into_text(prepare) -> None:
    inputs = (InputBinding("x", "vector", "int64", ("x",)),)
    bindings = (OutputBinding("value", "y", labels=("no", "yes")),)
    function = prepare(onnx_builder.identity("int64"), {"x": "BIGINT"}, inputs, {"value": "TEXT"}, bindings)
    with open_session(function, device="cpu") as session:
        result = session.score_table(pa.table({"x": [1, 0, 7, None]}), keep=[])
    assert result["value"].to_pylist() == ["yes", "no", None, None]
    assert result["error"].to_pylist() == [None, None, "invalid_output:label", None]


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_class_probability_is_picked(prepare, zipmap: bool) -> None:
    graph = onnx_builder.classifier_zipmap(zipmap=zipmap)
    inputs = (InputBinding("features", "packed", "float", ("a", "b"), 2),)
    pick = {"key": "Yes"} if zipmap else {"index": 1}
    bindings = (OutputBinding("value", "probabilities", **pick),)
    function = prepare(graph, {"a": "REAL", "b": "REAL"}, inputs, bindings=bindings)
    with open_session(function, device="cpu") as session:
        result = session.score_table(pa.table({"a": [0.0, 1.0], "b": [0.0, -1.0]}), keep=[])
    assert result["value"].to_pylist() == pytest.approx([0.5, 0.14804719], abs=1e-6)


def test_a_matrix_where_a_scalar_is_declared_is_an_error(prepare) -> None:
    inputs = (InputBinding("features", "packed", "float", ("a", "b"), 2),)
    bindings = (OutputBinding("value", "probabilities"),)
    graph = onnx_builder.classifier_zipmap(zipmap=False)
    function = prepare(graph, {"a": "REAL", "b": "REAL"}, inputs, bindings=bindings)
    with open_session(function, device="cpu") as session, pytest.raises(InferenceError, match="2 values per row"):
        session.score_table(pa.table({"a": [0.0], "b": [0.0]}))


def test_mixed_packed_columns_keep_their_order(prepare) -> None:
    names = ("i", "b", "d", "f")
    inputs = (InputBinding("features", "packed", "float", names, 4),)
    graph = onnx_builder.linear([1.0, 10.0, 100.0, 1000.0])
    function = prepare(graph, {"i": "INT", "b": "BOOLEAN", "d": "DECIMAL(9,2)", "f": "REAL"}, inputs)
    table = pa.table(
        {
            "i": pa.array([1, 2, None], pa.int32()),
            "b": [True, False, True],
            "d": [Decimal("1.50"), Decimal("2.00"), Decimal("3.00")],
            "f": pa.array([0.25, 0.5, 1], pa.float32()),
        }
    )
    with open_session(function, device="cpu") as session:
        result = session.score_table(table, keep=["i"])
    assert result["value"].to_pylist() == [411.0, 702.0, None]
