"""The scores that a label is taken from, so that NaN among them is seen. In: a graph and the name of an output.

A label (an integer, text or boolean) hides NaN: ArgMax and comparisons answer something for it. So the way from a label
is followed back to where floats were last, and one more output says for each row whether one of them is NaN.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx
from onnx import TensorProto, helper

from sqlinfer.functions import graph as g
from sqlinfer.functions.check.batch_axis import UNKNOWN, Axes
from sqlinfer.functions.check.rowwise import follow_batch
from sqlinfer.functions.graph_outputs import FLOATS

_SCORED = frozenset({"LinearClassifier", "SVMClassifier"})
"""Their second output has the scores."""
_NEVER_NAN = frozenset({"TreeEnsembleClassifier", "IsNaN", "IsInf", "Shape", "Size"})
"""What they answer for NaN is meant, or what they read of a tensor is not its values."""
_CARRIES = frozenset({"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"})
_LEAST_OPSET = 9


def nan_output(model: onnx.ModelProto, name: str) -> str | None:
    """Append nodes that give a tensor [N], above 0 where a score that decides ``name`` is NaN; None: there is none."""
    if g.opset(model) < _LEAST_OPSET:
        return None
    scores = tuple(dict.fromkeys(_scores(model, name)))
    axes = follow_batch(model) if scores else None
    by_row = [score for score in scores if axes is not None and _is_by_row(score, axes, model)]
    if not by_row:
        return None
    emit = _Emit(model, name)
    flags = [emit.is_nan(score) for score in by_row]
    return flags[0] if len(flags) == 1 else emit.node("Max", *flags)


def _is_by_row(name: str, axes: Axes, model: onnx.ModelProto) -> bool:
    """Whether the first axis is the batch; where that could not be followed, whether its shape looks like it."""
    axis, shape = axes.known.get(name, UNKNOWN), axes.shapes.get(name)
    if axis != UNKNOWN or not shape:
        return axis == 0
    batch = {port.shape[0] for port in g.input_ports(model.graph) if port.shape}
    return shape[0] in batch if isinstance(shape[0], str) else shape[0] is None and len(shape) > 1


def _scores(model: onnx.ModelProto, name: str) -> Iterator[str]:
    """Float tensors from which tensors of other types are made on the way to ``name``."""
    types, constants = _types(model), {tensor.name for tensor in model.graph.initializer}
    makers = {output: node for node in model.graph.node for output in node.output}
    stack, seen = [_before_cast(name, types, makers)], set()
    while stack:
        node = makers.get(here := stack.pop())
        if node is None or here in seen or types.get(here) in FLOATS or node.op_type in _NEVER_NAN:
            continue
        seen.add(here)
        if node.op_type in _SCORED and node.domain == "ai.onnx.ml":
            yield node.output[1]
            continue
        for source in node.input:
            decides = types.get(source) in FLOATS or (node.op_type in ("ArgMax", "TopK") and source not in types)
            if decides and source not in constants and not _is_constant(makers.get(source)):
                yield source
            elif not decides:
                stack.append(source)


def _before_cast(name: str, types: Mapping[str, str], makers: Mapping[str, onnx.NodeProto]) -> str:
    """A label may be handed out as a float: the tensor that it was before."""
    here = name
    while types.get(here) in FLOATS and (node := makers.get(here)) is not None:
        if node.op_type not in (*_CARRIES, "Cast"):
            return name
        here = node.input[0]
    return here


def _is_constant(node: onnx.NodeProto | None) -> bool:
    return node is not None and node.op_type in ("Constant", "ConstantOfShape")


def _types(model: onnx.ModelProto) -> dict[str, str]:
    graph = g.inferred(model).graph
    ports = [g.port_of(info) for info in (*graph.input, *graph.value_info, *graph.output)]
    constants = {tensor.name: g.element_name(tensor.data_type) for tensor in graph.initializer}
    return constants | {port.name: port.element_type for port in ports}


class _Emit:
    def __init__(self, model: onnx.ModelProto, name: str) -> None:
        self._model, self._name = model, name

    def is_nan(self, score: str) -> str:
        """[N,…] → [N]: 1.0 where any value of the row is NaN."""
        number = self.node("Cast", self.node("IsNaN", score), to=TensorProto.FLOAT)
        rows = self.node("Reshape", number, self._constant("rows", [0, -1]))
        if g.opset(self._model) >= 18:
            return self.node("ReduceMax", rows, self._constant("axis", [1]), keepdims=0)
        return self.node("ReduceMax", rows, axes=[1], keepdims=0)

    def node(self, op: str, *inputs: str, **attributes: object) -> str:
        name = g.fresh_name(self._model.graph, f"sqlinfer_nan_{op.lower()}")
        self._model.graph.node.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def _constant(self, what: str, values: list[int]) -> str:
        name = g.fresh_name(self._model.graph, f"sqlinfer_nan_{what}")
        self._model.graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, (len(values),), values))
        return name
