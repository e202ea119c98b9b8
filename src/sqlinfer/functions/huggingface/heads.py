"""What follows a transformer, as nodes of its graph: pooling, dense layers, norms, activations, labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sqlinfer.functions import graph as g
from sqlinfer.functions.sources.original import NotExact

POOLING: Final = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
"""In the order in which sentence-transformers joins several."""
_OPSET: Final = 13
_ACTIVATIONS: Final = {"Sigmoid": "Sigmoid", "Tanh": "Tanh", "ReLU": "Relu"}


class Head:
    """Appends nodes to a graph, whose outputs it replaces at the end."""

    def __init__(self, model: onnx.ModelProto) -> None:
        if g.opset(model) < _OPSET:
            model = _upgraded(model)
        self.model = model
        self._reduce_takes_axes = g.opset(model) >= 18

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = g.fresh_name(self.model.graph, f"head_{op.lower()}")
        self.model.graph.node.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, values: Any, kind: Any = np.float32) -> str:
        name = g.fresh_name(self.model.graph, "head_constant")
        self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    def finish(self, outputs: Sequence[tuple[str, str, int, Sequence[int | str]]]) -> onnx.ModelProto:
        """Name, tensor, element type and shape of each output."""
        graph = self.model.graph
        for name, *_ in outputs:
            _rename(graph, name)
        del graph.output[:]
        for name, tensor, kind, shape in outputs:
            tensor = _renamed(tensor, [one[0] for one in outputs])
            graph.node.append(helper.make_node("Identity", [tensor], [name], name=f"head_{name}"))
            graph.output.append(helper.make_tensor_value_info(name, kind, list(shape)))
        g.prune(graph, tuple(one[0] for one in outputs))
        return self.model

    # -- texts --------------------------------------------------------------------------------------------------------

    def pooled(self, tokens: str, mask: str, modes: Sequence[str]) -> str:
        """[N,T,H] and its mask [N,T] → [N,H·modes]."""
        weights = self.add("Cast", mask, to=TensorProto.FLOAT)
        found = [self._pooled(tokens, weights, mode) for mode in modes]
        return found[0] if len(found) == 1 else self.add("Concat", *found, axis=1)

    def _pooled(self, tokens: str, weights: str, mode: str) -> str:
        column = self.add("Unsqueeze", weights, self.constant([2], np.int64))
        match mode:
            case "cls":
                return self._token(tokens, self.add("ArgMax", weights, axis=1, keepdims=0))
            case "lasttoken":
                return self._token(tokens, self.add("ArgMax", weights, axis=1, keepdims=0, select_last_index=1))
            case "max":
                there = self.add("Greater", column, self.constant(0.0))
                return self._largest(self.add("Where", there, tokens, self.constant(-np.inf)), 1, keep=False)
            case "weightedmean":
                place = self.add("CumSum", weights, self.constant(1, np.int64))
                weights = self.add("Mul", place, weights)
                column = self.add("Unsqueeze", weights, self.constant([2], np.int64))
            case _:  # means differ below
                pass
        total = self._sum(self.add("Mul", tokens, column), 1, keep=False)
        count = self.add("Max", self._sum(weights, 1, keep=True), self.constant(1e-9))
        return self.add("Div", total, self.add("Sqrt", count) if mode == "mean_sqrt_len_tokens" else count)

    def _token(self, tokens: str, place: str) -> str:
        """One token of each row."""
        return self.add("GatherND", tokens, self.add("Unsqueeze", place, self.constant([1], np.int64)), batch_dims=1)

    def dense(self, values: str, weight: Any, bias: Any, activation: str) -> str:
        """``weight`` [out,in]."""
        found = self.add("MatMul", values, self.constant(np.asarray(weight).T))
        if bias is not None:
            found = self.add("Add", found, self.constant(bias))
        return self.activated(found, activation)

    def normalized(self, values: str) -> str:
        length = self.add("Sqrt", self._sum(self.add("Mul", values, values), -1, keep=True))
        return self.add("Div", values, self.add("Max", length, self.constant(1e-12)))

    def activated(self, values: str, activation: str) -> str:
        """``activation``: a class of torch.nn."""
        if activation == "Identity":
            return values
        if activation in _ACTIVATIONS:
            return self.add(_ACTIVATIONS[activation], values)
        if activation == "SiLU":
            return self.add("Mul", values, self.add("Sigmoid", values))
        if activation == "GELU":
            inner = self.add("Erf", self.add("Div", values, self.constant(np.sqrt(2.0))))
            half = self.add("Mul", values, self.constant(0.5))
            return self.add("Mul", half, self.add("Add", inner, self.constant(1.0)))
        raise NotExact(f"the activation {activation} has no counterpart in ONNX")

    # -- classes ------------------------------------------------------------------------------------------------------

    def classified(self, logits: str, activation: str, classes: int) -> onnx.ModelProto:
        """``activation``: softmax, sigmoid or none."""
        found = logits
        if activation == "softmax":
            found = self.add("Softmax", logits, axis=-1)
        elif activation == "sigmoid":
            found = self.add("Sigmoid", logits)
        best = self.add("ArgMax", found, axis=-1, keepdims=0)
        score = self._largest(found, -1, keep=False)
        return self.finish([
            ("label", best, TensorProto.INT64, ["N"]), ("score", score, TensorProto.FLOAT, ["N"]),
            ("probabilities", found, TensorProto.FLOAT, ["N", classes]),
        ])  # fmt: skip

    def first_column(self, values: str) -> str:
        """[N,1] → [N]."""
        return self.add("Gather", values, self.constant(0, np.int64), axis=1)

    def as_float(self, values: str) -> str:
        return self.add("Cast", values, to=TensorProto.FLOAT)

    def _sum(self, values: str, axis: int, *, keep: bool) -> str:
        return self.add("ReduceSum", values, self.constant([axis], np.int64), keepdims=int(keep))

    def _largest(self, values: str, axis: int, *, keep: bool) -> str:
        if self._reduce_takes_axes:
            return self.add("ReduceMax", values, self.constant([axis], np.int64), keepdims=int(keep))
        return self.add("ReduceMax", values, axes=[axis], keepdims=int(keep))


def _upgraded(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return onnx.version_converter.convert_version(model, _OPSET)
    except Exception as error:  # the converter raises anything
        raise NotExact(f"its graph is of opset {g.opset(model)}, and ONNX does not lift it to {_OPSET}") from error


def _rename(graph: onnx.GraphProto, name: str) -> None:
    """A value of the graph that is called as one of the outputs will be."""
    other = f"{name}_of_the_model"
    for node in graph.node:
        for listed in (node.input, node.output):
            for place, one in enumerate(listed):
                if one == name:
                    listed[place] = other
    for infos in (graph.value_info, graph.initializer):
        for info in infos:
            if info.name == name:
                info.name = other


def _renamed(tensor: str, names: Sequence[str]) -> str:
    return f"{tensor}_of_the_model" if tensor in names else tensor
