"""A matrix of a graph → where each of its columns comes from, so that a test of a column can look at the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

_SHAPED = {"Reshape", "Flatten", "Squeeze", "Identity"}


@dataclass(frozen=True, slots=True)
class Plain:
    """One column of a matrix [N,width]."""

    tensor: str
    position: int
    width: int


@dataclass(frozen=True, slots=True)
class Hot:
    """1.0 where an int64 column [N,1] or [N] holds the category, else 0.0."""

    tensor: str
    category: int


Column = Plain | Hot


class Columns:
    """Of one model."""

    def __init__(self, model: onnx.ModelProto, kinds: Sequence[int] = (TensorProto.FLOAT,)) -> None:
        """``kinds``: element types of inputs that are followed."""
        self._kinds = kinds
        graph = model.graph
        self._producers: dict[str, NodeProto] = {name: node for node in graph.node for name in node.output}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._inputs = {port.name: port.type.tensor_type for port in graph.input if port.name not in self._constants}
        self._typed = {port.name: port.type.tensor_type for port in graph.value_info}

    def of(self, tensor: str, width: int) -> tuple[Column, ...]:
        """The columns of a float tensor [N,F] with F ≥ width; what cannot be followed is a plain column of it."""
        found = self._trace(tensor)
        if found is not None and len(found) >= width:
            return found
        return tuple(Plain(tensor, position, width) for position in range(width))

    def _trace(self, tensor: str) -> tuple[Column, ...] | None:
        """Columns along the last axis; all axes between the first and the last have one element."""
        node = self._producers.get(tensor)
        if node is None:
            return self._plain(self._inputs.get(tensor), tensor)
        if node.op_type == "Concat" and self._attribute(node, "axis") in (1, -1):
            return self._joined([self._trace(name) for name in node.input], node)
        if node.op_type == "OneHotEncoder":
            return self._one_hot(node)
        if node.op_type in _SHAPED:
            return self._reshaped(node)
        if node.op_type == "Cast":
            found = self._trace(node.input[0])
            if found is not None and all(isinstance(one, Hot) for one in found):
                return found
        return self._plain(self._typed.get(tensor), tensor)

    def _plain(self, kind: Any, tensor: str) -> tuple[Column, ...] | None:
        """Of an input, or of what is computed where its width is known."""
        if kind is None or kind.elem_type not in self._kinds or len(kind.shape.dim) != 2:
            return None
        width = kind.shape.dim[1].dim_value
        return tuple(Plain(tensor, position, width) for position in range(width)) or None

    def _joined(self, parts: Sequence[tuple[Column, ...] | None], node: NodeProto) -> tuple[Column, ...] | None:
        """Axis 1 of hot columns [N,1,K] would stack them: only the last axis is followed there."""
        if self._attribute(node, "axis") == 1 and any(self._is_deep(name) for name in node.input):
            return None
        if any(part is None for part in parts):
            return None
        return tuple(column for part in parts for column in part or ())

    def _is_deep(self, tensor: str) -> bool:
        """Whether the tensor may have three axes: a one-hot matrix that nothing has flattened."""
        node = self._producers.get(tensor)
        if node is None or node.op_type in ("Reshape", "Flatten"):
            return False
        return node.op_type == "OneHotEncoder" or any(self._is_deep(name) for name in node.input[:1])

    def _one_hot(self, node: NodeProto) -> tuple[Column, ...] | None:
        """Only of an integer input of the graph, and only where an unseen category is no error."""
        categories = self._attribute(node, "cats_int64s")
        kind = self._inputs.get(node.input[0])
        if not categories or self._attribute(node, "zeros") == 0:
            return None
        if kind is None or kind.elem_type != TensorProto.INT64 or not self._is_single(kind):
            return None
        return tuple(Hot(node.input[0], category) for category in categories)

    def _is_single(self, kind: Any) -> bool:
        dims = kind.shape.dim
        return len(dims) == 1 or (len(dims) == 2 and dims[1].dim_value == 1)

    def _reshaped(self, node: NodeProto) -> tuple[Column, ...] | None:
        found = self._trace(node.input[0])
        if found is None or node.op_type in ("Identity", "Flatten", "Squeeze"):
            axis = self._attribute(node, "axis")
            return found if node.op_type != "Flatten" or axis in (None, 1) else None
        target = self._constants.get(node.input[1])
        shape = [] if target is None else numpy_helper.to_array(target).reshape(-1).tolist()
        return found if len(shape) == 2 and shape[0] in (-1, 0) and shape[1] in (-1, len(found)) else None

    def _attribute(self, node: NodeProto, name: str) -> Any:
        return next((helper.get_attribute_value(one) for one in node.attribute if one.name == name), None)
