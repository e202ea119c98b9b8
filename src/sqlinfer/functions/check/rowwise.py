"""Finds nodes that make one row's result depend on the other rows of its batch (design 1.1).

The batch axis is followed from the inputs through the graph. Where an operator is not known, its outputs are taken as
unknown and what follows is not judged: the check has no false alarms by design, and catches the operators that matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from sqlinfer.errors import MixesRows
from sqlinfer.functions import graph as g
from sqlinfer.functions.check.batch_axis import UNKNOWN, Axes

_RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
_DYNAMIC = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})


@dataclass(frozen=True, slots=True)
class Mixing:
    """A node that mixes rows."""

    node: str
    why: str

    def __str__(self) -> str:
        return f"{self.node} {self.why}"


def find_mixing(model: onnx.ModelProto) -> tuple[Mixing, ...]:
    """Every node that mixes rows, in graph order; empty where the function is row-wise as far as can be told."""
    return (*_anywhere(model.graph), *_followed(model))


def _anywhere(graph: onnx.GraphProto) -> list[Mixing]:
    """Operators that never are row-wise, nested graphs included."""
    found = []
    for node in g.all_nodes(graph):
        if node.op_type in _RANDOM:
            found.append(Mixing(_label(node), "draws random numbers"))
        elif node.op_type in _DYNAMIC:
            found.append(Mixing(_label(node), "takes its scale from the whole batch"))
        elif node.op_type == "BatchNormalization" and g.int_attribute(node, "training_mode", 0):
            found.append(Mixing(_label(node), "is in training mode: it normalises over the batch"))
    return found


def _label(node: onnx.NodeProto) -> str:
    return f"{node.op_type} '{node.name}'" if node.name else f"{node.op_type} (output '{node.output[0]}')"


def _followed(model: onnx.ModelProto) -> list[Mixing]:
    """Operators that mix rows where the batch axis is when it reaches them."""
    found: list[Mixing] = []
    follow_batch(model, found)
    return found


def follow_batch(model: onnx.ModelProto, mixing: list[Mixing] | None = None) -> Axes:
    """Where the batch axis is in every tensor; ``mixing`` gets the operators that mix rows."""
    axes = Axes(model)
    for node in model.graph.node:
        try:
            after = axes.after(node)
        except MixesRows as mixes:
            if mixing is not None:
                mixing.append(Mixing(_label(node), str(mixes)))
            after = UNKNOWN
        axes.known.update(dict.fromkeys(node.output, after))
    return axes
