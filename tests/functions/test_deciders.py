"""NaN in the scores never becomes a label: whatever takes a label from scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
from onnx import TensorProto, helper

from sqlinfer.errors import InferenceError
from sqlinfer.inference import open_session
from sqlinfer.inference.outputs import INVALID_NAN
from sqlinfer.project.values import ReturnField
from sqlinfer.spec.function import Argument
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.workshop import Workshop

NAN = float("nan")
ARGUMENTS = tuple(Argument(name, "DOUBLE", on_null="nan") for name in ("a", "b"))
ROWS = {"a": [2.0, NAN, 0.0, 1.0], "b": [0.0, 1.0, 3.0, NAN]}


def rows(shop: Workshop, graph: bytes, returns: Any, **options: Any) -> tuple[list[Any], list[str | None]]:
    made = shop.make(graph, ARGUMENTS, returns, **options)
    with open_session(made, threads=1) as session:
        table = session.score_table(pa.table(ROWS), keep=[], as_column="value")
    return table["value"].to_pylist(), table["error"].to_pylist()


def scores(*nodes: onnx.NodeProto, out: onnx.ValueInfoProto, constants: tuple = (), opset: int = 18) -> bytes:
    """``x`` [N,2] is both the input and the scores."""
    ports = [ob.value("x", "float", ["N", 2])]
    return ob.build(list(nodes), ports, [out], list(constants), opsets={"": opset})


INT, FLOAT = ob.value("y", "int64", ["N"]), ob.value("y", "float", ["N"])
GRAPHS = {
    "argmax": scores(helper.make_node("ArgMax", ["x"], ["y"], axis=1, keepdims=0), out=INT),
    "argmax of softmax": scores(
        helper.make_node("Softmax", ["x"], ["p"], axis=1),
        helper.make_node("ArgMax", ["p"], ["y"], axis=1, keepdims=0), out=INT,
    ),
    "a newer opset": scores(helper.make_node("ArgMax", ["x"], ["y"], axis=1, keepdims=0), out=INT, opset=20),
    "as a float": scores(
        helper.make_node("ArgMax", ["x"], ["i"], axis=1, keepdims=0),
        helper.make_node("Cast", ["i"], ["y"], to=TensorProto.FLOAT), out=FLOAT,
    ),
    "a threshold": scores(
        helper.make_node("Gather", ["x", "one"], ["s"], axis=1), helper.make_node("Greater", ["s", "half"], ["t"]),
        helper.make_node("Cast", ["t"], ["y"], to=TensorProto.INT64), out=INT,
        constants=(ob.constant("one", 1, "int64"), ob.constant("half", 0.5)),
    ),
    "a rounded score": scores(
        helper.make_node("ReduceSum", ["x", "axis"], ["s"], keepdims=0),
        helper.make_node("Cast", ["s"], ["y"], to=TensorProto.INT64), out=INT,
        constants=(ob.constant("axis", [1], "int64"),),
    ),
    "a look-up of the class": scores(
        helper.make_node("ArgMax", ["x"], ["i"], axis=1, keepdims=0),
        helper.make_node("Gather", ["classes", "i"], ["y"]), out=INT,
        constants=(ob.constant("classes", [7, 9], "int64"),),
    ),
    "top k": scores(
        helper.make_node("TopK", ["x", "k"], ["v", "i"], axis=1),
        helper.make_node("Squeeze", ["i", "axis"], ["y"]), out=INT,
        constants=(ob.constant("k", [1], "int64"), ob.constant("axis", [1], "int64")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_a_label_out_of_nan_is_null_and_recorded(shop: Workshop, name: str) -> None:
    values, errors = rows(shop, GRAPHS[name], ReturnField("value", None))
    nan = [False, name != "a threshold", False, True]  # the threshold reads b alone
    assert [value is None for value in values] == nan
    assert errors == [INVALID_NAN if bad else None for bad in nan]


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("labels", [("No", "Yes"), (3, 4)])
def test_the_label_of_a_classifier_is_null_where_its_probabilities_are_nan(shop, zipmap: bool, labels: tuple) -> None:
    graph = ob.classifier_zipmap(labels=labels, zipmap=zipmap)
    values, errors = rows(shop, graph, ReturnField("value", None, output="label"))
    assert [value in labels for value in values] == [True, False, True, False]
    assert values[1::2] == [None, None]
    assert errors == [None, INVALID_NAN, None, INVALID_NAN]


def test_fields_of_a_row_agree(shop: Workshop) -> None:
    fields = (ReturnField("label", "TEXT", output="label"), ReturnField("p", "DOUBLE", output="probabilities", index=1))
    values, errors = rows(shop, ob.classifier_zipmap(), fields, is_struct=True)
    assert values[1::2] == [None, None]
    assert values[0]["label"] in ("No", "Yes")
    assert errors == [None, INVALID_NAN, None, INVALID_NAN]


@pytest.mark.parametrize("labels", [None, ("low", "high")])
def test_a_declared_argmax_does_not_see_nan_as_a_class(shop: Workshop, labels: tuple[str, ...] | None) -> None:
    graph = scores(helper.make_node("Identity", ["x"], ["y"]), out=ob.value("y", "float", ["N", 2]))
    field = ReturnField("value", "TEXT" if labels else "BIGINT", argmax=True, labels=labels, activation="softmax")
    values, errors = rows(shop, graph, field)
    assert values == [(labels or (0, 1))[0], None, (labels or (0, 1))[1], None]
    assert errors == [None, INVALID_NAN, None, INVALID_NAN]


def test_where_nan_is_allowed_the_label_is_null_and_the_score_nan(shop: Workshop) -> None:
    fields = (ReturnField("label", "TEXT", output="label"), ReturnField("p", "DOUBLE", output="probabilities", index=1))
    values, errors = rows(shop, ob.classifier_zipmap(), fields, is_struct=True, on_invalid="allow")
    assert [value["label"] for value in values[1::2]] == [None, None]
    assert all(np.isnan(value["p"]) for value in values[1::2])
    assert errors == [None] * 4


def test_where_nan_is_an_error_the_night_ends(shop: Workshop) -> None:
    with pytest.raises(InferenceError, match="returned NaN or infinite values for 2 of 4 rows"):
        rows(shop, GRAPHS["argmax"], ReturnField("value", None), on_invalid="error")


def test_a_graph_that_asks_for_nan_may_answer_it(shop: Workshop) -> None:
    asks = scores(
        helper.make_node("Gather", ["x", "one"], ["s"], axis=1), helper.make_node("IsNaN", ["s"], ["t"]),
        helper.make_node("Cast", ["t"], ["y"], to=TensorProto.INT64), out=INT,
        constants=(ob.constant("one", 1, "int64"),),
    )  # fmt: skip
    assert rows(shop, asks, ReturnField("value", None)) == ([0, 0, 0, 1], [None] * 4)


def test_a_score_costs_no_extra_output(shop: Workshop) -> None:
    made = shop.make(ob.linear([1.0, 2.0]), ARGUMENTS)
    assert len(made.output_names) == 1
