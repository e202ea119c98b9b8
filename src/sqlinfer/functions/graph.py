"""An ONNX graph as the rest of the layer reads and edits it: ports, opsets, constants, dead-code removal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper, numpy_helper

Dim = int | str | None


@dataclass(frozen=True, slots=True)
class Port:
    """A graph input or output. ``element_type`` is ONNX Runtime's name; ``map`` or ``sequence`` where not a tensor."""

    name: str
    element_type: str
    shape: tuple[Dim, ...] | None
    """None where the graph does not say; a dimension is a number, a symbol, or None."""
    labels: tuple[str | int, ...] | None = None
    """Class labels of the columns, where the graph names them."""

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)

    @property
    def is_tensor(self) -> bool:
        return self.element_type not in ("map", "sequence", "optional", "unknown")

    @property
    def width(self) -> int | None:
        """K of [N,K] where it is fixed."""
        if self.shape is None or len(self.shape) < 2:
            return None
        last = self.shape[-1]
        return last if isinstance(last, int) else None

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.name} {self.element_type}[…]"
        dims = ",".join("?" if d is None else str(d) for d in self.shape)
        return f"{self.name} {self.element_type}[{dims}]"


def element_name(data_type: int) -> str:
    """``TensorProto.FLOAT`` → ``float``; ``unknown`` for a number that ONNX does not define."""
    return _ELEMENT_NAMES.get(data_type, "unknown")


_ELEMENT_NAMES: dict[int, str] = {value: name.lower() for name, value in TensorProto.DataType.items() if value}


def port_of(info: onnx.ValueInfoProto) -> Port:
    kind = info.type.WhichOneof("value")
    if kind != "tensor_type":
        return Port(info.name, {"sequence_type": "sequence", "map_type": "map"}.get(kind or "", "optional"), None)
    tensor = info.type.tensor_type
    shape = tuple(_dim(d) for d in tensor.shape.dim) if tensor.HasField("shape") else None
    return Port(info.name, element_name(tensor.elem_type), shape)


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    which = dim.WhichOneof("value")
    if which == "dim_value":
        return int(dim.dim_value) if dim.dim_value > 0 else None
    return str(dim.dim_param) if which == "dim_param" and dim.dim_param else None


def input_ports(graph: onnx.GraphProto) -> tuple[Port, ...]:
    """Inputs that a caller feeds: initialisers listed as inputs (old exporters) are not among them."""
    constants = {t.name for t in graph.initializer}
    return tuple(port_of(i) for i in graph.input if i.name not in constants)


def opset(model: onnx.ModelProto, domain: str = "") -> int:
    names = ("", "ai.onnx") if domain == "" else (domain,)
    return max((entry.version for entry in model.opset_import if entry.domain in names), default=0)


def attribute(node: onnx.NodeProto, name: str, default: object = None) -> object:
    for item in node.attribute:
        if item.name == name:
            return helper.get_attribute_value(item)
    return default


def int_attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    found = attribute(node, name)
    return found if isinstance(found, int) else default


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for item in node.attribute:
        if item.type == onnx.AttributeProto.GRAPH:
            yield item.g
        yield from item.graphs


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Nodes in order, those of nested graphs after their owner."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from all_nodes(inner)


def constants_of(graph: onnx.GraphProto, limit: int = 4096) -> dict[str, tuple[int | float, ...]]:
    """Small numeric constants (axes, shapes, indices) by name."""
    found: dict[str, tuple[int | float, ...]] = {}
    for tensor in graph.initializer:
        _remember(found, tensor.name, tensor, limit)
    for node in graph.node:
        if node.op_type == "Constant":
            _remember_node(found, node, limit)
    return found


def _remember_node(found: dict[str, tuple[int | float, ...]], node: onnx.NodeProto, limit: int) -> None:
    tensor = attribute(node, "value")
    if isinstance(tensor, TensorProto):
        _remember(found, node.output[0], tensor, limit)
    for name in ("value_int", "value_float"):
        scalar = attribute(node, name)
        if isinstance(scalar, int | float):
            found[node.output[0]] = (scalar,)
    many = attribute(node, "value_ints", attribute(node, "value_floats"))
    if many is not None:
        found[node.output[0]] = tuple(many)  # type: ignore[arg-type]


def _remember(found: dict[str, tuple[int | float, ...]], name: str, tensor: TensorProto, limit: int) -> None:
    count = 1
    for dim in tensor.dims:
        count *= dim
    if count <= limit and tensor.data_type != TensorProto.STRING:
        found[name] = tuple(numpy_helper.to_array(tensor).ravel().tolist())


def shapes_of(model: onnx.ModelProto) -> dict[str, tuple[Dim, ...]]:
    """Every shape that shape inference finds; missing where it cannot tell."""
    graph = inferred(model).graph
    found = {t.name: tuple(int(d) for d in t.dims) for t in graph.initializer}
    shapes: dict[str, tuple[Dim, ...]] = dict(found)
    for info in (*graph.input, *graph.value_info, *graph.output):
        port = port_of(info)
        if port.shape is not None:
            shapes[info.name] = port.shape
    return shapes


def inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with inferred shapes, or itself where inference gives up."""
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError):
        return model


def prune(graph: onnx.GraphProto, outputs: Sequence[str]) -> None:
    """Keep only what ``outputs`` need. Inputs stay, so that the binding stays."""
    wanted = set(outputs)
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if any(name in wanted for name in node.output):
            kept.append(node)
            wanted.update(reads(node))
    _replace(graph.node, reversed(kept))
    _replace(graph.initializer, [t for t in graph.initializer if t.name in wanted])
    constants = {t.name for t in graph.initializer}
    fed = {p.name for p in input_ports(graph)}
    _replace(graph.input, [i for i in graph.input if i.name in constants or i.name in fed])
    del graph.value_info[:]


def reads(node: onnx.NodeProto) -> set[str]:
    """Names a node needs, captures of its nested graphs included."""
    names = {name for name in node.input if name}
    for inner in subgraphs(node):
        names.update(name for nested in inner.node for name in reads(nested))
        names.update(item.name for item in inner.output)
    return names


def _replace(field: object, items: Iterable[object]) -> None:
    kept = [_copy(item) for item in items]
    del field[:]  # type: ignore[attr-defined]
    field.extend(kept)  # type: ignore[attr-defined]


def _copy(item: object) -> object:
    clone = type(item)()
    clone.CopyFrom(item)  # type: ignore[attr-defined]
    return clone


def fresh_name(graph: onnx.GraphProto, stem: str) -> str:
    """A value name that the graph does not use."""
    used = {name for node in graph.node for name in (*node.input, *node.output)}
    used |= {t.name for t in graph.initializer} | {i.name for i in (*graph.input, *graph.output)}
    name, n = stem, 1
    while name in used:
        n += 1
        name = f"{stem}_{n}"
    return name
