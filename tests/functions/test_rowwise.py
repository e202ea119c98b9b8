"""Graphs whose rows see each other are found, and graphs whose rows do not are left alone."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from sqlinfer.functions.check.rowwise import find_mixing
from sqlinfer.project.values import ReturnField
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.workshop import Workshop

Nodes = list[onnx.NodeProto]


def found(nodes: Nodes, rank_or_shape: list[int | str], *constants: TensorProto, opset: int = 17) -> str | None:
    """The first finding over a graph with the input ``x`` and the last node's output."""
    data = ob.build(
        nodes, [ob.value("x", "float", rank_or_shape)], [ob.value(nodes[-1].output[0], "float", None)], constants,
        opsets={"": opset},
    )  # fmt: skip
    mixing = find_mixing(onnx.load_model_from_string(data))
    return str(mixing[0]) if mixing else None


def n(op: str, inputs: str, output: str = "y", **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], **attributes)


def ints(name: str, *values: int) -> TensorProto:
    return ob.constant(name, list(values), "int64")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("batch_mean", "ReduceMean 'centre' reduces over the batch axis"),
        ("softmax", "Softmax 'over_rows' normalises over the batch axis"),
        ("quantize", "DynamicQuantizeLinear 'quantize' takes its scale from the whole batch"),
        ("random", "RandomNormalLike 'noise' draws random numbers"),
        ("cumsum", "CumSum 'running' accumulates over the batch axis"),
    ],
)
def test_a_function_that_is_not_row_wise_is_refused_by_node(shop: Workshop, kind: str, why: str) -> None:
    error = shop.refused(ob.not_row_wise(kind), [("x", "REAL")])
    assert f"is not row-wise: node {why}" in error.message
    assert "row_wise: force" in (error.hint or "")


def test_force_scores_one_row_at_a_time_with_a_warning(shop: Workshop) -> None:
    prepared = shop.make(ob.not_row_wise("quantize"), [("x", "REAL")], row_wise="force")
    assert not prepared.contract.row_wise
    assert prepared.contract.batch_size == 1
    assert "scored one row at a time" in prepared.warnings[0]


def test_what_no_output_needs_does_not_count(shop: Workshop) -> None:
    nodes = [n("Relu", "x", "kept"), n("Softmax", "x", "dropped", axis=0)]
    outputs = [ob.value("kept", "float", ["N"]), ob.value("dropped", "float", ["N"])]
    data = ob.build(nodes, [ob.value("x", "float", ["N"])], outputs)
    assert shop.make(data, [("x", "REAL")], ReturnField("value", "REAL", output="kept")).contract.row_wise


@pytest.mark.parametrize(
    ("nodes", "shape", "constants", "why"),
    [
        ([n("ReduceSum", "x a")], ["N", 3], [ints("a", 0)], "reduces over the batch axis"),
        ([n("ReduceSum", "x a")], ["N", 3], [ints("a", -2)], "reduces over the batch axis"),
        ([n("ReduceSum", "x")], ["N", 3], [], "reduces over all axes"),
        ([n("ReduceMax", "x", axes=[0, 1])], ["N", 3], [], "reduces over the batch axis"),
        ([n("ArgMax", "x", axis=0)], ["N", 3], [], "picks an index over the batch"),
        ([n("TopK", "x k", "v", axis=0)], ["N", 3], [ints("k", 1)], "sorts over the batch"),
        ([n("NonZero", "x")], ["N", 3], [], "lists positions over the whole batch"),
        ([n("Unique", "x")], ["N"], [], "compares the rows"),
        ([n("Concat", "x x", axis=0)], ["N", 3], [], "joins values along the batch axis"),
        ([n("Flatten", "x", axis=0)], ["N", 3], [], "flattens all rows into one"),
        ([n("Transpose", "x", "t", perm=[1, 0]), n("Softmax", "t", axis=1)], ["N", 3], [], "normalises over the batch"),
        ([n("Transpose", "x", "t"), n("MatMul", "t x")], ["N", 3], [], "sums over the batch"),
        ([n("Transpose", "x", "t"), n("MatMul", "x t")], ["N", 3], [], "multiplies every row with every other"),
        ([n("Gemm", "x x", transB=1)], ["N", 3], [], "multiplies every row with every other"),
        ([n("Gemm", "x x", transA=1)], ["N", 3], [], "sums over the batch"),
        ([n("Unsqueeze", "x a", "c"), n("Sub", "x c")], ["N"], [ints("a", 1)], "every row with every other"),
        ([n("Gather", "x i", axis=0)], ["N", 3], [ints("i", 0)], "picks single rows"),
        ([n("Slice", "x s e")], ["N", 3], [ints("s", 1), ints("e", 2)], "cuts the batch axis"),
        ([n("LpNormalization", "x", axis=0)], ["N", 3], [], "normalises over the batch"),
        ([n("MeanVarianceNormalization", "x")], ["N", 3, 4, 4], [], "normalises over the batch"),
    ],
)  # fmt: skip
def test_operators_over_the_batch_axis_are_found(
    nodes: Nodes, shape: list[int | str], constants: list[TensorProto], why: str
) -> None:
    assert why in (found(nodes, shape, *constants) or "nothing found")


@pytest.mark.parametrize(
    ("nodes", "shape", "constants"),
    [
        ([n("ReduceSum", "x a")], ["N", 3], [ints("a", 1)]),
        ([n("ReduceSum", "x a", "s", keepdims=0), n("Softmax", "s", axis=-1)], ["N", 3, 4], [ints("a", 1)]),
        ([n("Softmax", "x", axis=1)], ["N", 3], []),
        ([n("Concat", "x x", axis=1)], ["N", 3], []),
        ([n("Flatten", "x")], ["N", 3, 4], []),
        ([n("Reshape", "x s")], ["N", 12], [ints("s", -1, 3, 4)]),
        ([n("Reshape", "x s", "r"), n("Softmax", "r", axis=1)], ["N", 12], [ints("s", 0, 12)]),
        ([n("Transpose", "x", "t", perm=[1, 0]), n("Softmax", "t", axis=0)], ["N", 3], []),
        ([n("Unsqueeze", "x a", "u"), n("ReduceMean", "u", axes=[0])], ["N", 3], [ints("a", 0)]),
        ([n("Gather", "x i", axis=1)], ["N", 3], [ints("i", 0)]),
        ([n("Slice", "x s e a")], ["N", 3], [ints("s", 1), ints("e", 2), ints("a", 1)]),
        ([n("Add", "x x", "d"), n("LpNormalization", "d")], ["N", 3], []),
        ([n("CumSum", "x a")], ["N", 3], [ints("a", 1)]),
    ],
)  # fmt: skip
def test_row_wise_graphs_are_left_alone(nodes: Nodes, shape: list[int | str], constants: list[TensorProto]) -> None:
    assert found(nodes, shape, *constants) is None


def test_old_softmax_covers_all_axes_from_its_own() -> None:
    assert found([n("Softmax", "x", axis=0)], ["N", 3], opset=11) is not None
    assert found([n("Softmax", "x", axis=1)], ["N", 3], opset=11) is None


def test_batch_norm_and_dropout_count_in_training_mode_only() -> None:
    vectors = [ob.constant(name, [1.0, 1.0, 1.0]) for name in ("s", "b", "m", "v")]
    training = helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y", "rm", "rv"], training_mode=1)
    assert "training mode" in (found([training], ["N", 3], *vectors) or "")
    assert found([n("BatchNormalization", "x s b m v")], ["N", 3], *vectors) is None
    on = helper.make_tensor("t", TensorProto.BOOL, [], [True])
    assert "training mode" in (found([n("Dropout", "x r t")], ["N", 3], ob.constant("r", 0.5), on) or "")
    assert found([n("Dropout", "x")], ["N", 3]) is None


def test_time_first_recurrent_layers_over_the_batch_are_found() -> None:
    weights = [ob.constant("w", [0.0] * 12, shape=(1, 4, 3)), ob.constant("r", [0.0] * 4, shape=(1, 4, 1))]
    lstm = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=1)
    assert "takes the batch axis for time steps" in (found([lstm], ["N", 5, 3], *weights) or "")


def test_every_builder_is_row_wise() -> None:
    for data in (
        ob.mlp([3, 4, 1]), ob.classifier_zipmap(), ob.tree_ensemble(2, 2), ob.vector(), ob.array_sum(), ob.encoder(),
        ob.string_lookup(), ob.linear([1.0], packed=False),
    ):  # fmt: skip
        assert find_mixing(onnx.load_model_from_string(data)) == ()
