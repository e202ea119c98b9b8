"""A matrix of a graph → blocks of its columns: numbers, and what is looked up by one column of categories each.

Operators that treat every column by itself (scalers, imputers, arithmetic with constants, casts) are followed through:
each block gets its part of them, a table its part as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from sqlinfer.inference.graphs.emitter import Emitter
from sqlinfer.inference.graphs.lookups import Lookups, Source, ran

Array = np.ndarray[Any, Any]
_THROUGH = {"Identity", "Reshape", "Flatten", "Squeeze"}
_PER_COLUMN = {"Scaler", "Imputer", "Add", "Sub", "Mul", "Div", "Cast"}
_LISTS = ("offset", "scale", "imputed_value_floats", "imputed_value_int64s")


@dataclass(frozen=True, slots=True)
class Numbers:
    """A tensor [N,width] as it is."""

    tensor: str
    width: int


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """Each row of the matrix has a row of the table here."""

    source: Source
    table: Array

    @property
    def width(self) -> int:
        return int(self.table.shape[1])


Block = Numbers | Looked


class Blocks:
    """Of one model. ``widths``: of tensors [N,width], as a run of the graph showed them."""

    def __init__(self, model: onnx.ModelProto, lookups: Lookups, widths: Mapping[str, int], emit: Emitter) -> None:
        self._model, self._lookups, self._widths, self._emit = model, lookups, widths, emit

    def of(self, tensor: str) -> list[Block] | None:
        """None where a part of it has no known width."""
        found = self._lookups.table(tensor)
        if found is not None:
            return [Looked(*found)]
        node = self._lookups.producers.get(tensor)
        inner = None if node is None else self._inside(node)
        if inner is not None and any(isinstance(block, Looked) for block in inner):
            return inner
        width = self._widths.get(tensor)
        return None if width is None else [Numbers(tensor, width)]

    def _inside(self, node: NodeProto) -> list[Block] | None:
        if node.op_type == "Concat":
            parts = [self.of(name) for name in node.input]
            return None if any(part is None for part in parts) else [block for part in parts for block in part or ()]
        if node.op_type in _THROUGH:
            return self.of(node.input[0])
        if node.op_type in _PER_COLUMN:
            return self._per_column(node)
        return None

    def _per_column(self, node: NodeProto) -> list[Block] | None:
        """The node over each block, with its part of the constants."""
        constants = {name: self._lookups.constant(name) for name in node.input}
        data = [name for name, value in constants.items() if value is None]
        inner = self.of(data[0]) if len(data) == 1 else None
        if inner is None or not any(isinstance(block, Looked) for block in inner):
            return None
        total, start = sum(block.width for block in inner), 0
        found: list[Block] = []
        for block in inner:
            cut = _cutter(start, block.width, total)
            found.append(self._applied(node, data[0], block, constants, cut))
            start += block.width
        return found

    def _applied(
        self, node: NodeProto, data: str, block: Block, constants: Mapping[str, Array | None], cut: _Cut
    ) -> Block:
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        attributes |= {name: cut(np.asarray(attributes[name])).tolist() for name in _LISTS if name in attributes}
        parts = {name: cut(value) for name, value in constants.items() if value is not None}
        if isinstance(block, Numbers):
            inputs = [block.tensor if name == data else self._emit.constant(parts[name]) for name in node.input]
            made = self._emit.node(node.op_type, *inputs, domain=node.domain, **attributes)
            return Numbers(made, block.width)
        inputs = ["table" if name == data else name for name in node.input]
        copy = helper.make_node(node.op_type, inputs, ["result"], domain=node.domain, **attributes)
        tensors = [onnx.numpy_helper.from_array(value, name) for name, value in parts.items()]
        kind = TensorProto.DOUBLE if block.table.dtype == np.float64 else TensorProto.FLOAT
        port = helper.make_tensor_value_info("table", kind, [None, block.width])
        return Looked(block.source, ran(self._model, [copy], tensors, port, "result", block.table))


_Cut = Callable[[Array], Array]


def _cutter(start: int, width: int, total: int) -> _Cut:
    """The part of a constant along the last axis; one for all columns stays as it is."""

    def cut(values: Array) -> Array:
        whole = values.ndim > 0 and values.shape[-1] == total and total > 1
        return np.ascontiguousarray(values[..., start : start + width]) if whole else values

    return cut
