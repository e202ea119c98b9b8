"""Which tensors of a graph are no more than looked up by one column of categories, and the table that they are.

The values that some look-up of the column knows are tried, and one more for all that none knows. What the graph makes
of each of them is asked of the runtime itself, so a table has its bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from sqlinfer.inference.graphs.emitter import Emitter

Array = np.ndarray[Any, Any]
MOST_CELLS = 1 << 24
"""Of a table: of a one-hot matrix of 4,000 categories. Larger ones would take too much memory to try."""
MOST_SPREAD = 1 << 16
"""Numbers between the smallest and the largest category, each of which has a row."""
WORDS_SPREAD = 4096
"""Words of a whole vocabulary for each of which a table may have a row."""
_ASKS = {"OneHotEncoder", "LabelEncoder", "Equal"}
_MOVES = {"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"}
_ELEMENTWISE = {
    "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Equal", "Not", "And", "Or", "Where", "Cast", "Add", "Sub",
    "Mul", "Div", "Scaler", "Imputer", "LabelEncoder", "OneHotEncoder", "Gather", *_MOVES,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """An int64 column [N,1] or [N]. A table of it has a row for each of ``values`` and a last one for all others."""

    tensor: str
    values: tuple[int, ...]
    words: int | None
    """Of a vocabulary, whose codes 0, 1, … and -1 are all that the column holds."""

    def index(self, emit: Emitter, rows: Array) -> tuple[str, Array]:
        """Where each row of the batch finds its row of a table [N], and the table for that; -1 is its last row."""
        flat = emit.flat(self.tensor)
        is_small = self.words is not None and self.words <= max(WORDS_SPREAD, 4 * len(self.values))
        low, high = (0, (self.words or 0) - 1) if is_small else (self.values[0], self.values[-1])
        spread = np.repeat(rows[-1:], high - low + 2, axis=0)
        spread[np.asarray(self.values) - low] = rows[:-1]
        if is_small:
            return flat, spread
        below, above = (
            emit.node(how, flat, emit.constant(np.array(end))) for how, end in (("Less", low), ("Greater", high))
        )
        place = emit.node("Sub", flat, emit.constant(np.array(low)))
        return emit.node("Where", emit.node("Or", below, above), emit.constant(np.array(-1)), place), spread


class Lookups:
    """Of one model. ``coded``: inputs that hold the codes of a vocabulary of so many words."""

    def __init__(self, model: onnx.ModelProto, coded: Mapping[str, int]) -> None:
        graph = model.graph
        self._model = model
        self.coded = coded
        self.producers: dict[str, NodeProto] = {name: node for node in graph.node for name in node.output}
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self._inputs = {port.name: port.type.tensor_type for port in graph.input if port.name not in self.constants}
        self.asked = self._asked()
        """Column → the values that some look-up of it knows, in order."""
        self._known: dict[str, tuple[str | None, bool] | None] = {}
        self._tables: dict[str, tuple[Source, Array] | None] = {}

    def table(self, tensor: str) -> tuple[Source, Array] | None:
        """The table [values + 1,width] of a tensor [N,…] that one column decides alone; None: it is none."""
        if tensor not in self._tables:
            self._tables[tensor] = self._table(tensor)
        return self._tables[tensor]

    def constant(self, name: str) -> Array | None:
        tensor = self.constants.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def _table(self, tensor: str) -> tuple[Source, Array] | None:
        found = self._decided(tensor)
        if found is None or not found[1] or found[0] is None:
            return None
        values = self.asked.get(found[0], ())
        if not values or values[-1] - values[0] > MOST_SPREAD:
            return None
        source = Source(found[0], values, self.coded.get(found[0]))
        table = self._tabulated(source, self._between(found[0], tensor), tensor)
        return None if table is None else (source, table)

    def _asked(self) -> dict[str, tuple[int, ...]]:
        raw = {name: name for name in self._inputs if self._is_column(name)}
        found: dict[str, set[int]] = {}
        for node in self._model.graph.node:
            column = self._extracted(node) or next((raw[name] for name in node.input if name in raw), None)
            if column is None:
                continue
            if node.op_type in _MOVES or self._extracted(node):
                raw[node.output[0]] = column
            elif node.op_type in _ASKS:
                found.setdefault(column, set()).update(self._keys(node))
        return {column: tuple(sorted(values)) for column, values in found.items()}

    def _keys(self, node: NodeProto) -> list[int]:
        if node.op_type == "Equal":
            compared = [value for value in map(self.constant, node.input) if value is not None]
            return [int(one) for value in compared for one in value.reshape(-1).tolist()]
        return [key for one in node.attribute if one.name in ("cats_int64s", "keys_int64s") for key in one.ints]

    def _decided(self, tensor: str) -> tuple[str | None, bool] | None:
        """By which column a tensor is decided (None: it is constant), and whether that was looked up already."""
        if tensor not in self._known:
            self._known[tensor] = None  # a graph with a loop decides nothing
            self._known[tensor] = self._by(tensor)
        return self._known[tensor]

    def _by(self, tensor: str) -> tuple[str | None, bool] | None:
        if tensor in self.constants:
            return None, True
        node = self.producers.get(tensor)
        if node is None:
            return (tensor, False) if self._is_column(tensor) else None
        column = self._extracted(node)
        if column is not None:
            return self._decided(column)
        if node.op_type not in _ELEMENTWISE or len(node.output) != 1:
            return None
        found = [self._decided(name) for name in node.input if name]
        if any(one is None for one in found):
            return None
        columns = {one[0] for one in found if one is not None and one[0] is not None}
        if len(columns) != 1:
            return (None, True) if not columns else None
        (name,) = columns
        looked_up = node.op_type in _ASKS or all(one is not None and one[1] for one in found)
        if not looked_up and node.op_type not in _MOVES:
            return None
        if node.op_type == "Gather" and node.input[0] not in self.constants:
            return None
        return name, looked_up

    def _is_column(self, tensor: str) -> bool:
        kind = self._inputs.get(tensor)
        if kind is None or kind.elem_type != TensorProto.INT64:
            return False
        dims = kind.shape.dim
        return len(dims) == 1 or (len(dims) == 2 and dims[1].dim_value == 1)

    def _extracted(self, node: NodeProto) -> str | None:
        """The column that is put into a matrix and taken out of it again, as exporters do."""
        if node.op_type not in ("ArrayFeatureExtractor", "Gather"):
            return None
        place, whole = self.constant(node.input[1]), self.producers.get(node.input[0])
        if place is None or place.size != 1 or whole is None or whole.op_type != "Concat":
            return None
        axis = next((one.i for one in node.attribute if one.name == "axis"), 1 if "Array" in node.op_type else 0)
        if axis not in (1, -1) or not all(self._is_column(name) for name in whole.input):
            return None
        number = int(place.reshape(-1)[0])
        return str(whole.input[number]) if 0 <= number < len(whole.input) else None

    def _between(self, column: str, tensor: str) -> list[NodeProto]:
        """The nodes from the column to the tensor, in order; they end at the column."""
        needed, found = {tensor}, []
        for node in reversed(self._model.graph.node):
            if not needed.intersection(node.output):
                continue
            copy = NodeProto()
            copy.CopyFrom(node)
            if self._extracted(node) is not None:
                copy = helper.make_node("Identity", [column], list(node.output))
            found.append(copy)
            needed.update(copy.input)
        return found[::-1]

    def _tabulated(self, source: Source, nodes: list[NodeProto], tensor: str) -> Array | None:
        dims = [None, 1][: self._axes(source.tensor)]
        port = helper.make_tensor_value_info(source.tensor, TensorProto.INT64, dims)
        used = {name for node in nodes for name in node.input}
        tensors = [one for name, one in self.constants.items() if name in used]
        other = -1 if source.words is not None else source.values[-1] + 1
        values = np.asarray([*source.values, other], dtype=np.int64).reshape(-1, *dims[1:])
        width = ran(self._model, nodes, tensors, port, tensor, values[-1:]).size
        if width * len(values) > MOST_CELLS:
            return None
        return ran(self._model, nodes, tensors, port, tensor, values).reshape(len(values), -1)

    def _axes(self, tensor: str) -> int:
        return len(self._inputs[tensor].shape.dim)


def ran(
    model: onnx.ModelProto, nodes: list[NodeProto], tensors: list[TensorProto], port: Any, output: str, values: Array
) -> Array:
    """What the runtime makes of some nodes of a model, to the bit."""
    import onnxruntime as ort

    result = onnx.ValueInfoProto(name=output)
    graph = helper.make_graph(nodes, "part", [port], [result], tensors)
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = ort.InferenceSession(part.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {port.name: values})[0])
