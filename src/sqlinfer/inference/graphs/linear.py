"""A linear model over one-hot columns → a sum of looked-up weights, with the bits of the matrix product.

Orders of summation are tried until a trial has the bits; where a single row is summed in another way than several, the
graph keeps both forms and asks how many rows there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from sqlinfer.inference.graphs.alike import Trial, either
from sqlinfer.inference.graphs.lookups import Lookups
from sqlinfer.inference.graphs.opsets import opset_of, raised
from sqlinfer.inference.graphs.rewriting import Kept, Rewritten
from sqlinfer.inference.graphs.sums import Linear, Sums

Array = np.ndarray[Any, Any]
SUMS = "weights of categories looked up"
KEPT = "one-hot columns as they are"
_LINEAR = {"LinearClassifier", "LinearRegressor", "Gemm", "MatMul"}
_OPSET = 11
"""The first that looks up places counted from the end."""
STRIDES = (1024, 512, 256, 128)
"""Columns after which MLAS starts a new sum; which of them holds depends on type, width and packing."""


def linear_of(node: NodeProto, lookups: Lookups) -> Linear | None:
    """None where the node is no such product of a matrix and constants."""
    if node.op_type not in _LINEAR:
        return None
    given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    if node.op_type in ("Gemm", "MatMul"):
        return _product(node, given, lookups)
    weights = np.asarray(given.get("coefficients", ()), dtype=np.float32)
    labels = given.get("classlabels_strings") or given.get("classlabels_ints") or ()
    targets = int(given.get("targets", 1)) if node.op_type == "LinearRegressor" else len(given.get("intercepts", ()))
    if not targets or len(weights) % targets or (node.op_type == "LinearClassifier" and targets != len(labels)):
        return None
    intercept = given.get("intercepts")
    return Linear(
        node, node.input[0], weights.reshape(targets, -1).T.copy(),
        None if not intercept else np.asarray(intercept, dtype=np.float32),
        given.get("post_transform", b"NONE").decode(),
        np.asarray(labels if isinstance(labels[0], int) else [one.decode() for one in labels],
                   dtype=np.int64 if isinstance(labels[0], int) else object) if labels else None,
    )  # fmt: skip


def _product(node: NodeProto, given: Mapping[str, Any], lookups: Lookups) -> Linear | None:
    weights = lookups.constant(node.input[1])
    if weights is None or weights.ndim != 2 or weights.dtype not in (np.float32, np.float64):
        return None
    if given.get("transA", 0) or given.get("alpha", 1.0) != 1.0:
        return None
    weights = weights.T if given.get("transB", 0) else weights
    if len(node.input) < 3 or not node.input[2]:
        return Linear(node, node.input[0], weights, None)
    added = lookups.constant(node.input[2])
    if added is None or given.get("beta", 1.0) != 1.0 or added.size not in (1, weights.shape[1]):
        return None
    return Linear(node, node.input[0], weights, np.broadcast_to(added.reshape(-1), weights.shape[1:]))


def looked_up_sums(graph: bytes, coded: Mapping[str, int]) -> Rewritten:
    """The graph with sums instead of products. ``coded``: inputs that hold codes, and how many words there are."""
    if not any(kind in graph for kind in (b"OneHotEncoder", b"LabelEncoder")):
        return Rewritten(graph)
    model = onnx.load_from_string(graph)
    if model.functions or any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
        return Rewritten(graph)
    model = raised(model, _OPSET)
    hold_constants(model)
    lookups = Lookups(model, coded)
    found = [one for one in (linear_of(node, lookups) for node in model.graph.node) if one is not None]
    if not found:
        return Rewritten(graph)
    try:
        return Rewritten(_rewritten(graph, model, lookups, found), (SUMS,))
    except Kept as why:
        return Rewritten(graph, kept=(f"{KEPT}: {why}",) if str(why) else ())
    except Exception as error:  # ONNX Runtime's exceptions share no base class; it judges the graph when it is loaded
        return Rewritten(graph, kept=(f"{KEPT}: {type(error).__name__}",))


def hold_constants(model: onnx.ModelProto) -> None:
    """Tensors of Constant nodes as initializers, in place."""
    kept = []
    for node in model.graph.node:
        tensor = next((one.t for one in node.attribute if one.name == "value"), None)
        if node.op_type != "Constant" or tensor is None:
            kept.append(node)
            continue
        copy = onnx.TensorProto()
        copy.CopyFrom(tensor)
        copy.name = node.output[0]
        model.graph.initializer.append(copy)
    copies = [NodeProto.FromString(node.SerializeToString()) for node in kept]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def _rewritten(graph: bytes, model: onnx.ModelProto, lookups: Lookups, found: Sequence[Linear]) -> bytes:
    if opset_of(model) < _OPSET:
        raise Kept(f"its opset {opset_of(model)} cannot be raised to {_OPSET}")
    trial = Trial.of(graph, lookups)
    if trial is None:
        raise Kept("no rows can be made up to try the sums")
    for stride in _strides(found):
        sums = Sums(model, lookups, trial.widths, stride).made(found)
        if not trial.has_the_bits_of(sums):
            continue
        if trial.has_the_bits_of(sums, one_row=True):
            return sums
        both = either(model, onnx.load_from_string(sums))
        if trial.has_the_bits_of(both) and trial.has_the_bits_of(both, one_row=True):
            return both
    raise Kept("their sums would have other bits")


def _strides(found: Sequence[Linear]) -> list[int]:
    most = max(len(one.weights) for one in found)
    return [*(one for one in STRIDES if one < most), most]
