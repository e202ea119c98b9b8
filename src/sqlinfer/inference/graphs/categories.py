"""A graph that looks strings up → the same graph over integer codes, so that no string becomes a tensor.

One vocabulary serves the whole graph: every string that any look-up knows. A string outside of it gets code -1, which
no look-up knows either, so unseen categories take the same way as before. A graph that does anything else with its
strings is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper

_MOVES = {
    "Concat", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Gather", "Slice", "Split",
    "ArrayFeatureExtractor", "Expand", "Tile",
}  # fmt: skip
"""Operators that move elements and never look at them; the data inputs are the first, for Concat all."""


@dataclass(frozen=True, slots=True)
class Encoded:
    graph: bytes
    inputs: tuple[str, ...]
    """String inputs that now take int64 codes."""
    vocabulary: tuple[str, ...]
    """The string of each code."""


class _NotEncodable(Exception):
    pass


def encode(graph: bytes) -> Encoded | None:
    """The graph over codes, or None where its strings do more than be looked up."""
    model = onnx.load_from_string(graph)
    strings = [port for port in model.graph.input if port.type.tensor_type.elem_type == TensorProto.STRING]
    if not strings or _has_external_data(model) or model.functions:
        return None
    rewriter = _Rewriter(model, [port.name for port in strings])
    try:
        rewriter.run()
    except _NotEncodable:
        return None
    for port in strings:
        port.type.tensor_type.elem_type = TensorProto.INT64
    del model.graph.value_info[:]
    return Encoded(model.SerializeToString(), tuple(port.name for port in strings), tuple(rewriter.codes))


class _Rewriter:
    def __init__(self, model: Any, inputs: Sequence[str]) -> None:
        self._graph = model.graph
        self._coded = set(inputs)
        self._constants = {tensor.name: tensor for tensor in self._graph.initializer}
        self._outputs = {port.name for port in self._graph.output}
        self.codes: dict[str, int] = {}

    def run(self) -> None:
        for node in self._graph.node:
            if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
                raise _NotEncodable
            if any(name in self._coded for name in node.input):
                self._node(node)
        if self._coded & self._outputs:
            raise _NotEncodable

    def _node(self, node: Any) -> None:
        lookups: dict[str, Callable[[Any], None]] = {
            "OneHotEncoder": self._one_hot,
            "LabelEncoder": self._label_encoder,
            "CategoryMapper": self._category_mapper,
            "Equal": self._equal,
            "Cast": self._cast,
        }
        if node.op_type in lookups:
            lookups[node.op_type](node)
        elif node.op_type in _MOVES:
            self._move(node)
        else:
            raise _NotEncodable

    def _move(self, node: Any) -> None:
        data = list(node.input) if node.op_type == "Concat" else [node.input[0]]
        if any(name in self._coded for name in node.input if name not in data):
            raise _NotEncodable
        for position, name in enumerate(data):
            if name not in self._coded:
                node.input[position] = self._coded_constant(name)
        self._coded.update(node.output)

    def _one_hot(self, node: Any) -> None:
        (categories,) = _take(node, "cats_strings")
        node.attribute.append(helper.make_attribute("cats_int64s", self._all(categories.strings)))

    def _label_encoder(self, node: Any) -> None:
        (keys,) = _take(node, "keys_strings")
        node.attribute.append(helper.make_attribute("keys_int64s", self._all(keys.strings)))

    def _category_mapper(self, node: Any) -> None:
        texts, values = _take(node, "cats_strings", "cats_int64s")
        _drop(node, "default_string")
        node.op_type = "LabelEncoder"
        node.attribute.append(helper.make_attribute("keys_int64s", self._all(texts.strings)))
        node.attribute.append(helper.make_attribute("values_int64s", list(values.ints)))
        if not any(attribute.name == "default_int64" for attribute in node.attribute):
            node.attribute.append(helper.make_attribute("default_int64", -1))

    def _equal(self, node: Any) -> None:
        if all(name in self._coded for name in node.input):
            raise _NotEncodable  # two different unseen strings would be equal
        for position, name in enumerate(node.input):
            if name not in self._coded:
                node.input[position] = self._coded_constant(name)

    def _cast(self, node: Any) -> None:
        (target,) = (attribute.i for attribute in node.attribute if attribute.name == "to")
        if target != TensorProto.STRING:
            raise _NotEncodable
        node.op_type = "Identity"
        del node.attribute[:]
        self._coded.update(node.output)

    def _coded_constant(self, name: str) -> str:
        """The name of the codes of a constant string tensor."""
        tensor = self._constants.get(name)
        if tensor is None or tensor.data_type != TensorProto.STRING:
            raise _NotEncodable
        coded = f"{name}__codes"
        if coded not in self._constants:
            made = helper.make_tensor(coded, TensorProto.INT64, tensor.dims, self._all(_texts(tensor)))
            self._constants[coded] = made
            self._graph.initializer.append(made)
        return coded

    def _all(self, texts: Sequence[bytes]) -> list[int]:
        try:
            return [self.codes.setdefault(text.decode("utf-8"), len(self.codes)) for text in texts]
        except UnicodeDecodeError:
            raise _NotEncodable from None


def _take(node: Any, *names: str) -> list[Any]:
    """Remove attributes from a node and return copies of them."""
    taken = []
    for name in names:
        found = [attribute for attribute in node.attribute if attribute.name == name]
        if not found:
            raise _NotEncodable
        copy = onnx.AttributeProto()
        copy.CopyFrom(found[0])
        taken.append(copy)
        _drop(node, name)
    return taken


def _drop(node: Any, name: str) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    copies = []
    for attribute in kept:
        copy = onnx.AttributeProto()
        copy.CopyFrom(attribute)
        copies.append(copy)
    del node.attribute[:]
    node.attribute.extend(copies)


def _texts(tensor: Any) -> list[bytes]:
    return [
        value if isinstance(value, bytes) else str(value).encode()
        for value in numpy_helper.to_array(tensor).reshape(-1).tolist()
    ]


def _has_external_data(model: Any) -> bool:
    return any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer)
