"""Trees whose levels ask one thing each, written with plain operators by ``functions.forests.oblivious`` → trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from sqlinfer.inference.graphs.ensemble import Mode, Trees

Array = np.ndarray[Any, Any]
DOMAIN: Final = "sqlinfer"
OP: Final = "ObliviousTrees"
_MOST_LEVELS: Final = 8
_HINT: Final = b"MatMulInteger"


@dataclass(frozen=True, slots=True)
class _Tests:
    """What all targets of one forest look at."""

    rows: str
    feature: Array
    """[T,D]"""
    border: Array
    """[T,D]"""
    missing: Array
    """[T,D]: whether NaN is above the border."""


def has_oblivious(graph: bytes) -> bool:
    if _HINT not in graph:
        return False
    return bool(with_oblivious(onnx.load_from_string(graph))[1])


def with_oblivious(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, Trees]]:
    """The model with a node ``ObliviousTrees`` for each such forest, and the trees of each by its output; such a node
    takes a matrix of floats and gives doubles. No runtime knows the node."""
    found = _Finder(model.graph).forests()
    if not found:
        return model, {}
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:]
    for node in model.graph.node:
        output = node.output[0] if node.output else ""
        if output in found:
            made.graph.node.append(helper.make_node(OP, [found[output][0]], [output], domain=DOMAIN))
        else:
            made.graph.node.append(node)
    return made, {output: trees for output, (_, trees) in found.items()}


class _Finder:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._made_by = {name: node for node in graph.node for name in node.output}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}

    def forests(self) -> dict[str, tuple[str, Trees]]:
        """Output → the matrix that is looked at, and the trees."""
        columns = {node.output[0]: found for node in self._graph.node if (found := self._column(node)) is not None}
        tests = {place: self._tests(place) for place in {place for place, _ in columns.values()}}
        parts: dict[str, tuple[str, ...]] = {name: (name,) for name in columns}
        for node in self._graph.node:
            side_by_side = node.op_type == "Concat" and _attribute(node, "axis") == 1
            if side_by_side and columns.keys() >= set(node.input) and len({columns[one][0] for one in node.input}) == 1:
                parts[node.output[0]] = tuple(node.input)
        forests: dict[str, tuple[str, Trees]] = {}
        for output, names in parts.items():
            one = tests[columns[names[0]][0]]
            trees = None if one is None else _trees(one, [columns[name][1] for name in names])
            if one is not None and trees is not None:
                forests[output] = (one.rows, trees)
        return forests

    def _column(self, node: NodeProto) -> tuple[str, Array] | None:
        """Of the column of one target the numbers of the leaves, and their weights."""
        if node.op_type != "Unsqueeze" or self._list(node, 1) != [1]:
            return None
        total = self._maker(node, 0, "ReduceSum")
        if total is None or self._list(total, 1) != [0, 1] or _attribute(total, "keepdims") != 0:
            return None
        weighed = self._maker(total, 0, "Gather")
        weight = None if weighed is None else self._constant(weighed, 0)
        if weighed is None or weight is None or weight.dtype != np.float64 or weight.ndim != 1:
            return None
        return str(weighed.input[1]), weight

    def _tests(self, place: str) -> _Tests | None:
        """Add(MatMulInteger(powers, Cast(Greater(Gather(Transpose(rows), features), borders))), starts)."""
        added = self._made_by.get(place)
        number = None if added is None or added.op_type != "Add" else self._maker(added, 0, "MatMulInteger")
        cast = None if number is None else self._maker(number, 1, "Cast")
        passed = None if cast is None else self._maker(cast, 0, "Greater")
        looked_at = None if passed is None else self._maker(passed, 0, "Gather")
        turned = None if looked_at is None else self._maker(looked_at, 0, "Transpose")
        if added is None or number is None or cast is None or passed is None or looked_at is None or turned is None:
            return None
        feature, border = self._constant(looked_at, 1), self._constant(passed, 1)
        powers, starts = self._constant(number, 0), self._constant(added, 1)
        if feature is None or border is None or powers is None or starts is None or feature.ndim != 2:
            return None
        count, levels = feature.shape
        known = border.dtype == np.float32 and border.shape == (count, levels, 1) and 0 < levels <= _MOST_LEVELS
        if _attribute(looked_at, "axis") not in (None, 0) or _attribute(cast, "to") != TensorProto.UINT8:
            return None
        if not known or _attribute(turned, "perm") != [1, 0] or len(number.input) != 2:
            return None
        if powers.tolist() != [[1 << level for level in range(levels)]] or starts.shape != (count, 1, 1):
            return None
        if starts.reshape(-1).tolist() != [one << levels for one in range(count)]:
            return None
        rows, above = self._rows(str(turned.input[0]))
        border = border.reshape(count, levels)
        if (feature < 0).any() or np.isnan(border).any() or (above is not None and feature.max() >= len(above)):
            return None
        missing = np.zeros(feature.shape, np.bool_) if above is None else above[feature] > border
        return _Tests(rows, feature, border, missing)

    def _rows(self, name: str) -> tuple[str, Array | None]:
        """The matrix before its missing values were put in their places, and what they became."""
        chosen = self._made_by.get(name)
        if chosen is None or chosen.op_type != "Where":
            return name, None
        asked, used = self._maker(chosen, 0, "IsNaN"), self._maker(chosen, 2, "Gather")
        instead = self._constant(chosen, 1)
        if asked is None or used is None or instead is None or asked.input[0] != used.output[0]:
            return name, None
        width = instead.size
        if instead.shape != (1, width) or _attribute(used, "axis") != 1 or self._list(used, 1) != list(range(width)):
            return name, None
        return str(used.input[0]), instead.reshape(-1)

    def _maker(self, node: NodeProto, place: int, op_type: str) -> NodeProto | None:
        found = self._made_by.get(node.input[place]) if len(node.input) > place else None
        return found if found is not None and found.op_type == op_type else None

    def _constant(self, node: NodeProto, place: int) -> Array | None:
        tensor = self._constants.get(node.input[place]) if len(node.input) > place else None
        return None if tensor is None else numpy_helper.to_array(tensor)

    def _list(self, node: NodeProto, place: int) -> list[int] | None:
        found = self._constant(node, place)
        return None if found is None else found.reshape(-1).tolist()


def _attribute(node: NodeProto, name: str) -> Any:
    return next((helper.get_attribute_value(one) for one in node.attribute if one.name == name), None)


def _trees(tests: _Tests, weights: list[Array]) -> Trees | None:
    """Whole trees: on level ``d`` stands node ``2**d - 1 + number``, its number made of the answers so far."""
    count, levels = tests.feature.shape
    leaves = 1 << levels
    if any(len(one) != count * leaves for one in weights) or not np.isfinite(weights).all():
        return None
    depth = np.repeat(np.arange(levels), 1 << np.arange(levels))
    inner, size = leaves - 1, 2 * leaves - 1
    number = np.arange(inner) - ((1 << depth) - 1)
    below = (1 << (depth + 1)) - 1 + number
    starts = np.arange(count)[:, None] * size

    def spread(values: Array, blank: Any) -> Array:
        return np.concatenate([values[:, depth], np.full((count, leaves), blank, values.dtype)], axis=1).reshape(-1)

    def child(places: Array) -> Array:
        return np.concatenate([starts + places, np.zeros((count, leaves), np.int64)], axis=1).reshape(-1)

    of_leaf = (starts + inner + np.arange(leaves)).reshape(-1)
    mode = np.tile(np.repeat([int(Mode.GT), int(Mode.LEAF)], [inner, leaves]), count)
    return Trees(
        starts[:, 0], mode, spread(tests.feature.astype(np.int64), 0), spread(tests.border.astype(np.float64), 0.0),
        spread(tests.missing, False), child(below + (1 << depth)), child(below), np.tile(of_leaf, len(weights)),
        np.repeat(np.arange(len(weights)), len(of_leaf)), np.concatenate(weights), len(weights),
        np.zeros(len(weights)),
    )  # fmt: skip
