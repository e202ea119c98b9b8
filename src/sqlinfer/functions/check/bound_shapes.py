"""Graph inputs whose shape is open get the one that they are fed with, and the graph is asked whether it takes it.

ONNX Runtime runs graphs without shapes, and finds what does not fit row by row. Here it is found once, before a night.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

import onnx

from sqlinfer.functions import graph as g
from sqlinfer.functions.graph import Dim, Port
from sqlinfer.spec.function import ImageSpec, InputBinding

_ROWS: Final = 7
"""Of the trial: no axis of a graph has that length by accident as often as 1 or 2."""
_TAKES_VECTORS: Final = frozenset({"LabelEncoder", "CategoryMapper", "CastMap", "Binarizer", "Imputer"})
"""Operators of ai.onnx.ml for which [N] is N rows; for the others it is one row."""
_TREES: Final = frozenset({"TreeEnsembleRegressor", "TreeEnsembleClassifier", "TreeEnsemble"})
Shape = tuple[Dim, ...]


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
    return _contradiction(model, {name: (_ROWS,)}) is not None and _contradiction(model, {name: (_ROWS, None)}) is None


def name_shapes(model: onnx.ModelProto, bindings: Iterable[InputBinding], image: ImageSpec | None) -> str | None:
    """Write the shapes that inputs are fed with into the graph, where they are open (edits ``model``).

    Returns why the graph does not take them, None where it does as far as can be told.
    """
    shapes = {binding.name: _fed(binding, image) for binding in bindings}
    open_ports = {
        port.name: merged
        for port in g.input_ports(model.graph)
        if (merged := _merged(port.shape, shapes.get(port.name))) not in (port.shape, None)
    }
    why = None
    if open_ports and _contradiction(model, {}) is None:
        why = _contradiction(model, {name: shape for name, shape in open_ports.items() if shape is not None})
    for info in model.graph.input:
        shape = open_ports.get(info.name)
        if shape is not None:
            _set_shape(info, shape)
    _name_output_types(model)
    return why or _reads_beyond(model)


def _fed(binding: InputBinding, image: ImageSpec | None) -> Shape:
    match binding.layout:
        case "vector":
            return ("N",)
        case "column" | "packed" | "array":
            return ("N", binding.width)
        case "tokens":
            return ("N", "T")
        case "image":
            if image is None:
                return ("N", None, None, None)
            height, width = image.size
            return (
                ("N", image.channels, height, width) if image.layout == "nchw" else ("N", height, width, image.channels)
            )


def _merged(declared: Shape | None, fed: Shape | None) -> Shape | None:
    """``declared`` with the axes that it leaves open taken from ``fed``; the batch stays as it is."""
    if declared is None or fed is None or len(declared) != len(fed):
        return fed if declared is None else declared
    rest = (
        f if isinstance(f, int) and not isinstance(d, int) else d for d, f in zip(declared[1:], fed[1:], strict=True)
    )
    return (declared[0], *rest)


def _contradiction(model: onnx.ModelProto, shapes: Mapping[str, Shape]) -> str | None:
    """What shape inference says against inputs of these shapes; None where it finds nothing, or gives up."""
    trial = onnx.ModelProto()
    trial.CopyFrom(model)
    for info in trial.graph.input:
        if info.name in shapes:
            _set_shape(info, (_ROWS, *shapes[info.name][1:]))
    try:
        onnx.shape_inference.infer_shapes(trial, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        return " ".join(str(error).replace("[ShapeInferenceError]", "").split())[:200]
    except (ValueError, RuntimeError):
        return "shapes cannot be inferred"
    return None


def _reads_beyond(model: onnx.ModelProto) -> str | None:
    """Trees read the columns that they name without a look at how many there are."""
    trees = [node for node in model.graph.node if node.domain == "ai.onnx.ml" and node.op_type in _TREES]
    shapes = g.shapes_of(model) if trees else {}
    for node in trees:
        shape = shapes.get(node.input[0])
        width = shape[1] if shape is not None and len(shape) == 2 else None
        last = max(_columns_of(node), default=0)
        if isinstance(width, int) and last >= width:
            return f"{node.op_type} reads column {last + 1} of {width}"
    return None


def _columns_of(tree: onnx.NodeProto) -> Iterator[int]:
    """Columns that its inner nodes compare; leaves name one, too, and do not read it."""
    columns, modes = g.attribute(tree, "nodes_featureids"), g.attribute(tree, "nodes_modes")
    if isinstance(columns, list):
        leaves = modes if isinstance(modes, list) else [b""] * len(columns)
        yield from (column for column, mode in zip(columns, leaves, strict=False) if mode != b"LEAF")


def _name_output_types(model: onnx.ModelProto) -> None:
    """Outputs without a type, too, get the one that inference finds (edits ``model``)."""
    if all(info.type.WhichOneof("value") for info in model.graph.output):
        return
    found = {info.name: info for info in g.inferred(model).graph.output}
    for info in model.graph.output:
        if not info.type.WhichOneof("value"):
            info.CopyFrom(found[info.name])


def _set_shape(info: onnx.ValueInfoProto, shape: Shape) -> None:
    field = info.type.tensor_type.shape
    field.Clear()
    field.SetInParent()
    for size in shape:
        dim = field.dim.add()
        if isinstance(size, int):
            dim.dim_value = size
        elif size is not None:
            dim.dim_param = size
