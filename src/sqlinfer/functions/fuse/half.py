"""A float32 graph → the same graph that computes in float16 where that is fast and safe; its inputs and outputs keep
their types.

Matrix products and convolutions compute in float16, and so does what lies between two of them; what comes after the
last one (softmax, sigmoid, normalisation, and all declared post-processing) stays in float32.

Every value keeps its name for its float32 form; the float16 form stands beside it under a name of its own, and a Cast
between the two exists only where a node needs the other one. So a node that stays in float32 (trees, reductions,
control flow, anything unknown) reads what it always read. ONNX Runtime's own converter is not used: it clamps weights
without a word, puts casts of nested graphs into the outer one, and its output, hence the digest, would change with its
version.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sqlinfer.errors import FunctionError
from sqlinfer.functions import graph as g
from sqlinfer.project.values import FunctionConfig

LARGEST: Final = 65504.0
SMALLEST: Final = 2.0**-14
"""Smallest normal float16; a tensor whose values all lie below it would lose most of its digits, or all of them."""
_LEADERS: Final = frozenset(
    {"MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum", "FusedMatMul", "Attention", "MultiHeadAttention"}
)
"""Operators worth converting for."""
_FOLLOWERS: Final = frozenset(
    {
        "Add", "Sub", "Mul", "Div", "Neg", "Abs", "Where",
        "Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Erf", "Gelu",
        "FastGelu", "BiasGelu", "QuickGelu", "Clip", "Dropout", "Softmax",
        "LayerNormalization", "SkipLayerNormalization", "BatchNormalization", "InstanceNormalization",
        "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool",
        "Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Concat", "Split", "Slice", "Gather",
        "Expand", "Tile", "Pad",
    }
)  # fmt: skip
"""Operators that go along where a float16 value reaches them: on a GPU they accumulate in float32 where they sum.
Sums, means, powers, roots, exponentials and logarithms are not among them: they leave float16's range easily."""
_MASKING: Final = frozenset({"Add", "Mul", "Where"})
_SUFFIX: Final = "sqlinfer_half"


@dataclass(frozen=True, slots=True)
class Halved:
    """What converting did."""

    nodes: int
    """Nodes that now compute in float16; 0 where the graph has none that would gain from it."""
    warnings: tuple[str, ...]
    """What does not fit float16 and was kept in float32, or stands for minus infinity and was clamped."""


def convert(config: FunctionConfig, model: onnx.ModelProto, family: str) -> tuple[str, ...]:
    """Convert to the declared precision, in place; warnings for what the user should know.

    Raises:
        FunctionError: nothing in the graph would gain from it.
    """
    if config.precision != "fp16":
        return ()
    done = halve(model)
    if not done.nodes and not _comes_in_half(model):
        raise FunctionError(
            f"function '{config.name}': 'precision: fp16' changes nothing, because no matrix product or convolution "
            "of this graph can compute in float16",
            hint="leave 'precision:' out; trees and linear models of ai.onnx.ml exist in float32 only",
            location=config.location,
        )
    slow = ("precision: fp16 is emulated on a CPU and slower than fp32 there",) if family == "cpu" else ()
    return (*done.warnings, *slow)


def halve(model: onnx.ModelProto) -> Halved:
    """Convert in place. Nested graphs stay as they are."""
    return _Halving(model).run()


def _comes_in_half(model: onnx.ModelProto) -> bool:
    kinds = {int(tensor.data_type) for tensor in model.graph.initializer}
    return TensorProto.FLOAT16 in kinds


@dataclass(slots=True)
class _Halving:
    model: onnx.ModelProto
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    halves: dict[str, str] = field(default_factory=dict)
    """Float32 name → name of its float16 form, where there is one already."""
    only_half: set[str] = field(default_factory=set)
    """Values whose float32 form nobody has asked for yet."""
    warnings: list[str] = field(default_factory=list)
    types: dict[str, int] = field(default_factory=dict)
    constants: dict[str, TensorProto] = field(default_factory=dict)
    leading: set[str] = field(default_factory=set)
    """Values that a leader reads, at first or second hand."""

    def run(self) -> Halved:
        graph = self.model.graph
        self.types = _element_types(self.model)
        self.constants = {tensor.name: tensor for tensor in graph.initializer} | _constant_nodes(graph)
        self.leading = _leading(graph)
        self._clamp_masks()
        converted = 0
        for node in graph.node:
            if self._can_be_half(node):
                self._to_half(node)
                converted += 1
            else:
                self._keep(node)
        for info in graph.output:
            self._full(info.name)
        self._replace_nodes()
        return Halved(converted, tuple(self.warnings))

    def _replace_nodes(self) -> None:
        graph, nodes = self.model.graph, [_copy(node) for node in self.nodes]
        del graph.node[:]
        del graph.value_info[:]
        graph.node.extend(nodes)
        _drop_unread(graph)

    # -- which nodes --------------------------------------------------------------------------------------------------

    def _can_be_half(self, node: onnx.NodeProto) -> bool:
        if node.op_type not in _LEADERS | _FOLLOWERS or node.domain not in ("", "ai.onnx", "com.microsoft"):
            return False
        if len([name for name in node.output if name]) != 1 and node.op_type != "Split":
            return False  # second outputs are float32 statistics or integers
        if any(name and name not in self.types for name in node.input):
            return False
        floats = [name for name in node.input if name and self._is_float(name)]
        if node.op_type in _FOLLOWERS and not self._follows(node, floats):
            return False
        return bool(floats) and all(self._fits(node, name) for name in floats)

    def _follows(self, node: onnx.NodeProto, floats: list[str]) -> bool:
        """Between two leaders, and reached by a float16 value."""
        if not any(name in self.leading for name in node.output):
            return False
        return any(name in self.halves and name not in self.constants for name in floats)

    def _is_float(self, name: str) -> bool:
        return bool(self.types.get(name) == TensorProto.FLOAT)

    def _fits(self, node: onnx.NodeProto, name: str) -> bool:
        """Whether a constant can be held in float16; of what is computed, the run itself shows it."""
        tensor = self.constants.get(name)
        if tensor is None:
            return True
        largest = _largest(tensor)
        if largest == 0 or SMALLEST <= largest <= LARGEST:
            return True
        if node.op_type in _LEADERS or tensor.dims:
            what = "above 65504" if largest > LARGEST else "all below 6e-5"
            self.warnings.append(
                f"precision: fp16 keeps node '{node.name or node.op_type}' in float32: values of '{name}' are {what}"
            )
        return False

    def _clamp_masks(self) -> None:
        """A scalar at or below -65504 that masks (−3.4e38, −1e9) stands for minus infinity: −65504 does that as well,
        and unlike −inf it leaves no NaN in a row that is masked as a whole."""
        readers: dict[str, set[str]] = {}
        for node in g.all_nodes(self.model.graph):
            for name in node.input:
                readers.setdefault(name, set()).add(node.op_type)
        for name, tensor in self.constants.items():
            if tensor.data_type != TensorProto.FLOAT or not readers.get(name, {""}) <= _MASKING:
                continue
            values = numpy_helper.to_array(tensor)
            if values.size == 1 and np.isfinite(values).all() and values.min() < -LARGEST:
                clamped = np.full_like(values, -LARGEST)
                self.warnings.append(f"precision: fp16 clamps the mask value {values.min():g} of '{name}' to -65504")
                tensor.CopyFrom(numpy_helper.from_array(clamped, tensor.name))

    # -- rewriting ----------------------------------------------------------------------------------------------------

    def _to_half(self, node: onnx.NodeProto) -> None:
        made = onnx.NodeProto()
        made.CopyFrom(node)
        for place, name in enumerate(node.input):
            if name and self._is_float(name):
                made.input[place] = self._half(name)
        for place, name in enumerate(node.output):
            if name:
                made.output[place] = self.halves[name] = f"{name}.{_SUFFIX}"
                self.only_half.add(name)
                self.types[name] = TensorProto.FLOAT
        self.nodes.append(made)

    def _keep(self, node: onnx.NodeProto) -> None:
        for name in sorted(g.reads(node)):
            self._full(name)
        self.nodes.append(node)

    def _half(self, name: str) -> str:
        """The float16 form of a float32 value, made where it is first needed."""
        found = self.halves.get(name)
        if found is None:
            found = self.halves[name] = f"{name}.{_SUFFIX}"
            tensor = self.constants.get(name)
            if tensor is not None:
                values = numpy_helper.to_array(tensor).astype(np.float16)
                self.model.graph.initializer.append(numpy_helper.from_array(values, found))
            else:
                self.nodes.append(_cast(name, found, TensorProto.FLOAT16))
        return found

    def _full(self, name: str) -> None:
        """See to it that the float32 form exists."""
        if name in self.only_half:
            self.only_half.discard(name)
            self.nodes.append(_cast(self.halves[name], name, TensorProto.FLOAT))


def _cast(source: str, target: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"{target}.cast", to=to)


def _element_types(model: onnx.ModelProto) -> dict[str, int]:
    """Element types of the outer graph's values; missing where inference does not know the operator."""
    graph = g.inferred(model).graph
    found = {tensor.name: int(tensor.data_type) for tensor in graph.initializer}
    for info in (*graph.input, *graph.value_info, *graph.output):
        if info.type.HasField("tensor_type") and info.type.tensor_type.elem_type:
            found[info.name] = int(info.type.tensor_type.elem_type)
    return found


def _leading(graph: onnx.GraphProto) -> set[str]:
    found: set[str] = set()
    for node in reversed(graph.node):
        if node.op_type in _LEADERS or any(name in found for name in node.output):
            found |= g.reads(node)
    return found


def _constant_nodes(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    """The tensors of Constant nodes: the nodes' own, so that a change of one is a change of the node."""
    return {
        node.output[0]: item.t
        for node in graph.node
        if node.op_type == "Constant"
        for item in node.attribute
        if item.name == "value"
    }


def _largest(tensor: TensorProto) -> float:
    values: Any = numpy_helper.to_array(tensor)
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Float32 weights that only their float16 copies are read from now; old exporters list them as inputs too."""
    wanted = {name for node in graph.node for name in g.reads(node)} | {info.name for info in graph.output}
    gone = {tensor.name for tensor in graph.initializer} - wanted
    for items in (graph.initializer, graph.input):
        kept = [_copy(item) for item in items if item.name not in gone]
        del items[:]
        items.extend(kept)


_Message = TypeVar("_Message", onnx.NodeProto, TensorProto, onnx.ValueInfoProto)


def _copy(item: _Message) -> _Message:
    clone = type(item)()
    clone.CopyFrom(item)
    return clone
