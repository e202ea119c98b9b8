"""The outputs that a graph has, before anything is declared of them: shapes, element types, class labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import onnx
from onnx import TensorProto, helper

from sqlinfer.functions import graph as g
from sqlinfer.functions.graph import Port

FLOATS = frozenset({"float", "double", "float16", "bfloat16"})
_CLASS_LABELS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")


def strip_zipmaps(graph: onnx.GraphProto) -> dict[str, tuple[str | int, ...]]:
    """Read probabilities directly: each ZipMap becomes an Identity. Returns class labels by output name."""
    labels: dict[str, tuple[str | int, ...]] = {}
    for node in graph.node:
        if node.op_type != "ZipMap" or node.domain != "ai.onnx.ml":
            continue
        labels[node.output[0]] = _class_labels(node)
        node.op_type, node.domain = "Identity", ""
        del node.attribute[:]
    return labels


def output_ports(model: onnx.ModelProto, zipped: Mapping[str, tuple[str | int, ...]]) -> tuple[Port, ...]:
    """The graph's outputs with the shapes that inference finds, and the class labels of their columns."""
    for info in model.graph.output:
        if info.name in zipped:
            width = len(zipped[info.name]) or None
            info.CopyFrom(helper.make_tensor_value_info(info.name, TensorProto.FLOAT, ["N", width]))
    shapes = g.shapes_of(model)
    only = _only_class_labels(model.graph)
    ports = []
    for info in model.graph.output:
        port = g.port_of(info)
        port = replace(port, shape=_merge(port.shape, shapes.get(port.name)))
        labels = zipped.get(port.name)
        if labels is None and port.element_type in FLOATS and only and port.width in (len(only), None):
            labels = only if port.rank in (2, None) else None
        ports.append(replace(port, labels=labels or None))
    return tuple(ports)


def _merge(declared: tuple[g.Dim, ...] | None, found: tuple[g.Dim, ...] | None) -> tuple[g.Dim, ...] | None:
    if declared is None or found is None or len(declared) != len(found):
        return declared if declared is not None else found
    return tuple(f if isinstance(f, int) else d for d, f in zip(declared, found, strict=True))


def _class_labels(node: onnx.NodeProto) -> tuple[str | int, ...]:
    for name in _CLASS_LABELS:
        found = g.attribute(node, name)
        if isinstance(found, Sequence) and found:
            return tuple(item.decode(errors="replace") if isinstance(item, bytes) else item for item in found)
    return ()


def _only_class_labels(graph: onnx.GraphProto) -> tuple[str | int, ...]:
    found = {labels for node in graph.node if node.domain == "ai.onnx.ml" and (labels := _class_labels(node))}
    return found.pop() if len(found) == 1 else ()
