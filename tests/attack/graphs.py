"""Graphs that ask for what no machine has, and graphs of which one thing was changed at random."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress

import onnx
from onnx import TensorProto, helper, numpy_helper

from sqlinfer.testing import onnx_builder as ob

X, Y = ob.value("x", "float", ["N"]), ob.value("y", "float", ["N"])
OUT = ob.value("out", "float", ["N"])
FEATURES, SCORE = ob.value("f", "float", ["N", 2]), ob.value("out", "float", ["N", 1])


def grows(*nodes: onnx.NodeProto, **constants: list[int] | int) -> bytes:
    """x + y + the sum of the tensor ``large``, which the nodes make of nothing but constants."""
    tensors = [
        ob.constant(name, value, "int64", shape=[] if isinstance(value, int) else None)
        for name, value in constants.items()
    ]
    ends = [
        helper.make_node("Cast", ["large"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["floats"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "y"], ["xy"]),
        helper.make_node("Add", ["xy", "sum"], ["out"]),
    ]
    return made([*nodes, *ends], tensors)


def made(
    nodes: list[onnx.NodeProto],
    tensors: list[TensorProto],
    inputs: tuple[onnx.ValueInfoProto, ...] = (X, Y),
    output: onnx.ValueInfoProto = OUT,
) -> bytes:
    """Not checked: the checker may be what hangs."""
    graph = helper.make_graph(nodes, "g", list(inputs), [output], tensors)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return data


def loop(turns: int, start: str) -> bytes:
    """``start``: ``xy`` for a value of the rows, ``c`` for a constant, which is computed when a session loads."""
    shape = ["N"] if start == "xy" else []
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["going"]), helper.make_node("Add", ["v", "v"], ["w"])],
        "body",
        [ob.value("i", "int64", []), ob.value("go", "bool", []), ob.value("v", "float", shape)],
        [ob.value("going", "bool", []), ob.value("w", "float", shape)],
    )
    nodes = [
        helper.make_node("Add", ["x", "y"], ["xy"]),
        helper.make_node("Loop", ["turns", "first", start], ["looped"], body=body),
        helper.make_node("Add", ["xy", "looped"], ["out"]),
    ]
    return made(nodes, [helper.make_tensor("turns", TensorProto.INT64, (), [turns]),
                        helper.make_tensor("first", TensorProto.BOOL, (), [True]),
                        helper.make_tensor("c", TensorProto.FLOAT, (), [1.0])])  # fmt: skip


def tree(**changed: object) -> bytes:
    attributes: dict[str, object] = {
        "nodes_treeids": [0, 0, 0], "nodes_nodeids": [0, 1, 2], "nodes_featureids": [0, 0, 0],
        "nodes_values": [0.5, 0.0, 0.0], "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"], "nodes_hitrates": [1.0] * 3,
        "nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [2, 0, 0], "nodes_missing_value_tracks_true": [0, 0, 0],
        "target_treeids": [0, 0], "target_nodeids": [1, 2], "target_ids": [0, 0], "target_weights": [1.0, 2.0],
        "n_targets": 1,
    } | changed  # fmt: skip
    node = helper.make_node("TreeEnsembleRegressor", ["f"], ["out"], domain="ai.onnx.ml", **attributes)
    return made([node], [], (FEATURES,), SCORE)


def nodes(op: str, *inputs: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, list(inputs), ["large"], **attributes)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "range": lambda: grows(nodes("Range", "a", "b", "c"), a=0, b=2**40, c=1),
    "a range that fits the machine": lambda: grows(nodes("Range", "a", "b", "c"), a=0, b=3 * 10**8, c=1),
    "constant of shape": lambda: grows(nodes("ConstantOfShape", "n"), n=[2**40]),
    "constant of shapes": lambda: grows(nodes("ConstantOfShape", "n"), n=[2**20, 2**20]),
    "expand": lambda: grows(nodes("Expand", "one", "n"), one=[1], n=[2**40]),
    "one hot": lambda: grows(nodes("OneHot", "at", "depth", "values"), at=[1], depth=2**40, values=[0, 1]),
    "loop at load": lambda: loop(2**62, "c"),
    "loop at a row": lambda: loop(2**62, "xy"),
    "tree of 2^40 targets": lambda: tree(n_targets=2**40),
    "tree of 2^31 targets": lambda: tree(n_targets=2**31 - 1),
}  # fmt: skip
"""None of these can be prepared."""

EXTREME = (0, 1, -1, 2, 7, 255, 2**16, 2**31 - 1, -(2**31), 2**31, 2**40, -(2**40), 2**62, 2**63 - 1, -(2**63))
OPERATORS = (
    "Range", "ConstantOfShape", "Expand", "Tile", "Pad", "Resize", "OneHot", "Reshape", "Gather", "Concat", "Split",
    "Loop", "If", "Scan", "Identity", "Cast", "TopK", "NonZero", "Unique", "CumSum", "Conv", "MatMul", "Softmax",
    "StringNormalizer", "TfIdfVectorizer", "Size", "Shape", "Upsample", "MaxPool", "LSTM", "Einsum", "RandomNormal",
)  # fmt: skip

SEEDS: tuple[tuple[bytes, tuple[tuple[str, str], ...]], ...] = (
    (ob.linear([1.0, 2.0]), (("a", "DOUBLE"), ("b", "DOUBLE"))),
    (ob.mlp((2, 4, 1)), (("a", "DOUBLE"), ("b", "DOUBLE"))),
    (ob.tree_ensemble(n_trees=3, depth=2, n_features=2), (("a", "DOUBLE"), ("b", "DOUBLE"))),
    (ob.classifier_zipmap(((1.0, -1.0), (0.5, 0.25))), (("a", "DOUBLE"), ("b", "DOUBLE"))),
    (ob.string_lookup({"a": 1.0, "b": 2.0}), (("a", "TEXT"),)),
    (ob.array_sum(4), (("v", "REAL[4]"),)),
    (grows(nodes("Range", "a", "b", "c"), a=0, b=10, c=1), (("x", "REAL"), ("y", "REAL"))),
    (grows(nodes("Expand", "one", "n"), one=[1], n=[3]), (("x", "REAL"), ("y", "REAL"))),
    (loop(3, "c"), (("x", "REAL"), ("y", "REAL"))),
    (loop(3, "xy"), (("x", "REAL"), ("y", "REAL"))),
    (tree(), (("a", "DOUBLE"), ("b", "DOUBLE"))),
)


def mutated(seed: int) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """A graph that was right, one to three things of it changed; and what it is declared with."""
    dice = random.Random(seed)
    data, arguments = dice.choice(SEEDS)
    for _ in range(dice.randrange(1, 4)):
        data = _changed(data, dice)
    return data, arguments


def _changed(data: bytes, dice: random.Random) -> bytes:
    if dice.random() < 0.15:
        at, raw = dice.randrange(len(data)), bytearray(data)
        raw[at] = dice.randrange(256)
        return bytes(raw)
    try:
        model = onnx.load_model_from_string(data)
    except Exception:  # bytes were changed before
        return data
    places = list(_places(model, dice))
    with suppress(ValueError):  # a name or a tensor that was changed before
        if places:
            dice.choice(places)()
    return bytes(model.SerializeToString())


def _places(model: onnx.ModelProto, dice: random.Random) -> Iterator[Callable[[], None]]:
    """Whatever can be changed, as a call that changes it."""
    graph = model.graph
    names = [name for node in graph.node for name in (*node.input, *node.output)] or ["x"]
    for node in graph.node:
        yield lambda node=node: setattr(node, "op_type", dice.choice(OPERATORS))
        yield lambda node=node: node.input.append(dice.choice(names))
        if node.input:
            yield lambda node=node: node.input.__setitem__(dice.randrange(len(node.input)), dice.choice(names))
        for item in node.attribute:
            for field in ("ints", "floats"):
                values = getattr(item, field)
                if values:
                    yield lambda values=values: values.__setitem__(dice.randrange(len(values)), dice.choice(EXTREME))
                    yield lambda values=values: values.append(dice.choice(EXTREME))
                    yield lambda values=values: values.__delitem__(dice.randrange(len(values)))
            if item.type == onnx.AttributeProto.INT:
                yield lambda item=item: setattr(item, "i", dice.choice(EXTREME))
    for tensor in graph.initializer:
        yield lambda tensor=tensor: _set_value(tensor, dice)
        if tensor.dims:
            yield lambda tensor=tensor: tensor.dims.__setitem__(0, dice.choice(EXTREME))
        yield lambda tensor=tensor: setattr(tensor, "data_type", dice.randrange(24))
    for info in (*graph.input, *graph.output):
        kind = info.type.tensor_type
        yield lambda kind=kind: setattr(kind, "elem_type", dice.randrange(24))
        yield lambda kind=kind: setattr(kind.shape.dim.add(), "dim_value", dice.choice(EXTREME))
        for dim in kind.shape.dim:
            yield lambda dim=dim: setattr(dim, "dim_value", dice.choice(EXTREME))
    for entry in model.opset_import:
        yield lambda entry=entry: setattr(entry, "version", dice.choice((1, 7, 9, 11, 13, 18, 21)))


def _set_value(tensor: TensorProto, dice: random.Random) -> None:
    if tensor.data_type != TensorProto.INT64:
        return
    values = numpy_helper.to_array(tensor).copy()
    values.flat[dice.randrange(max(1, values.size)) if values.size else slice(0)] = dice.choice(EXTREME)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
