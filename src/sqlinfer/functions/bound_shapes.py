"""Graph inputs without a shape, which ONNX Runtime runs: their rank is found by trial, and named once it is bound."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import onnx

from sqlinfer.functions import graph as g
from sqlinfer.functions.graph import Port
from sqlinfer.spec.function import InputBinding

_ROWS: Final = 7
"""Of the trial: no axis of a graph has that length by accident as often as 1 or 2."""
_TAKES_VECTORS: Final = frozenset({"LabelEncoder", "CategoryMapper", "CastMap", "Binarizer", "Imputer"})
"""Operators of ai.onnx.ml for which [N] is N rows; for the others it is one row."""


def ported(model: onnx.ModelProto) -> tuple[Port, ...]:
    """The graph's inputs; one without a shape that cannot be [N] is [N,?]."""
    return tuple(
        replace(port, shape=("N", None)) if port.shape is None and _needs_columns(model, port.name) else port
        for port in g.input_ports(model.graph)
    )


def _needs_columns(model: onnx.ModelProto, name: str) -> bool:
    readers = [node for node in model.graph.node if name in node.input]
    if any(node.domain == "ai.onnx.ml" and node.op_type not in _TAKES_VECTORS for node in readers):
        return True
    return not _runs(model, name, (_ROWS,)) and _runs(model, name, (_ROWS, None))


def _runs(model: onnx.ModelProto, name: str, shape: tuple[int | None, ...]) -> bool:
    """Whether shapes can be inferred with this one, as far as inference knows the operators."""
    trial = onnx.ModelProto()
    trial.CopyFrom(model)
    _set_shape(next(info for info in trial.graph.input if info.name == name), shape)
    try:
        onnx.shape_inference.infer_shapes(trial, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError):
        return False
    return True


def name_shapes(model: onnx.ModelProto, bindings: Iterable[InputBinding]) -> None:
    """Inputs without a shape get the one that they are fed with, for all that looks at shapes later."""
    shapes: dict[str, tuple[int | str | None, ...]] = {}
    for binding in bindings:
        match binding.layout:
            case "vector":
                shapes[binding.name] = ("N",)
            case "column" | "packed" | "array":
                shapes[binding.name] = ("N", binding.width)
            case "tokens":
                shapes[binding.name] = ("N", "T")
            case "image":
                shapes[binding.name] = ("N", None, None, None)
    for info in model.graph.input:
        if info.name in shapes and not info.type.tensor_type.HasField("shape"):
            _set_shape(info, shapes[info.name])
    _name_output_types(model)


def _name_output_types(model: onnx.ModelProto) -> None:
    """Outputs without a type, too, get the one that inference finds (edits ``model``)."""
    if all(info.type.WhichOneof("value") for info in model.graph.output):
        return
    found = {info.name: info for info in g.inferred(model).graph.output}
    for info in model.graph.output:
        if not info.type.WhichOneof("value"):
            info.CopyFrom(found[info.name])


def _set_shape(info: onnx.ValueInfoProto, shape: Iterable[int | str | None]) -> None:
    field = info.type.tensor_type.shape
    field.SetInParent()
    for size in shape:
        dim = field.dim.add()
        if isinstance(size, int):
            dim.dim_value = size
        elif size is not None:
            dim.dim_param = size
