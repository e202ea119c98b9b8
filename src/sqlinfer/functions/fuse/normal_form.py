"""An ONNX model as an exporter wrote it → the one form that the rest of the layer reads; the results are the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import onnx
from onnx import AttributeProto

from sqlinfer.errors import FunctionError
from sqlinfer.functions import graph as g

_FIELDS: Final = {
    "f": AttributeProto.FLOAT, "i": AttributeProto.INT, "s": AttributeProto.STRING, "t": AttributeProto.TENSOR,
    "g": AttributeProto.GRAPH, "tp": AttributeProto.TYPE_PROTO, "sparse_tensor": AttributeProto.SPARSE_TENSOR,
    "floats": AttributeProto.FLOATS, "ints": AttributeProto.INTS, "strings": AttributeProto.STRINGS,
    "tensors": AttributeProto.TENSORS, "graphs": AttributeProto.GRAPHS, "type_protos": AttributeProto.TYPE_PROTOS,
    "sparse_tensors": AttributeProto.SPARSE_TENSORS,
}  # fmt: skip
"""Field of an attribute → the type that says that it is the one to read."""
MOST_NODES: Final = 1_000_000
"""Of a graph once its local functions are inlined; ten functions of ten calls each would make 10^10."""


def name_attribute_types(model: onnx.ModelProto) -> None:
    """Old converters leave the type of an attribute out where one field alone holds a value (edits ``model``)."""
    for node in all_nodes(model):
        for item in node.attribute:
            if item.type == AttributeProto.UNDEFINED and not item.ref_attr_name:
                held = [field.name for field, _ in item.ListFields() if field.name in _FIELDS]
                if len(held) == 1:
                    item.type = _FIELDS[held[0]]


def all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Nodes of the graph and of local functions, those of nested graphs after their owner."""
    yield from g.all_nodes(model.graph)
    for function in model.functions:
        for node in function.node:
            yield node
            for inner in g.subgraphs(node):
                yield from g.all_nodes(inner)


@contextmanager
def shapes_filled(model: onnx.ModelProto) -> Iterator[onnx.ModelProto]:
    """``model`` for ONNX's checker, which asks inputs and outputs for a shape and a type where the runtime does not."""
    shapeless, typeless = [], []
    for info in (*model.graph.input, *model.graph.output):
        kind = info.type.WhichOneof("value")
        if kind is None:
            typeless.append(info)
            info.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        if kind in (None, "tensor_type") and not info.type.tensor_type.HasField("shape"):
            shapeless.append(info)
            info.type.tensor_type.shape.SetInParent()
    try:
        yield model
    finally:
        for info in shapeless:
            info.type.tensor_type.ClearField("shape")
        for info in typeless:
            info.ClearField("type")


def drop_texts(model: onnx.ModelProto) -> None:
    """Texts that do not compute dropped, so that a re-export has the same digest (edits ``model``)."""
    for field in ("doc_string", "producer_name", "producer_version", "domain", "metadata_props"):
        model.ClearField(field)
    _drop_texts(model.graph)


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without local functions: their nodes stand where they were called.

    Raises:
        FunctionError: one calls itself, they grow without measure, or one cannot be inlined.
    """
    if not model.functions:
        return model
    import onnx.inliner  # no attribute of onnx until it is imported

    first = f"{model.functions[0].domain}.{model.functions[0].name}"
    try:
        nodes = sum(_sizes(model))
    except RecursionError as error:
        raise _not_inlined(first, "it is nested too deeply") from error
    if nodes > MOST_NODES:
        raise _not_inlined(first, f"that makes more than {MOST_NODES:,} nodes")
    try:
        model = onnx.inliner.inline_local_functions(model, convert_version=True)
    except (ValueError, RuntimeError, onnx.checker.ValidationError) as error:
        raise _not_inlined(first, "its operators do not go with the opset of the graph") from error
    if model.functions:
        left = model.functions[0]
        raise _not_inlined(f"{left.domain}.{left.name}", "its operators are of another opset than the graph's")
    return model


def _sizes(model: onnx.ModelProto) -> Iterator[int]:
    """Nodes that each node of the graph becomes. Cheap, and safe where a function calls itself."""
    bodies = {(f.domain, f.name): f for f in model.functions}
    known: dict[tuple[str, str], int] = {}
    under_way: set[tuple[str, str]] = set()

    def size(node: onnx.NodeProto) -> int:
        nested = sum(size(inner) for graph in g.subgraphs(node) for inner in graph.node)
        name = (node.domain, node.op_type)
        if name not in bodies:
            return 1 + nested
        if name in under_way:
            raise _not_inlined(".".join(name), "it calls itself")
        if name not in known:
            under_way.add(name)
            known[name] = min(sum(map(size, bodies[name].node)), MOST_NODES + 1)
            under_way.discard(name)
        return known[name] + nested

    return map(size, model.graph.node)


def _not_inlined(function: str, why: str) -> FunctionError:
    return FunctionError(f"the model's local function '{function}' cannot be taken into its graph: {why}",
                         hint="export the model with one opset, or without local functions")  # fmt: skip


def _drop_texts(graph: onnx.GraphProto) -> None:
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.ClearField("doc_string")
        item.ClearField("metadata_props")
    for node in graph.node:
        for inner in g.subgraphs(node):
            _drop_texts(inner)
