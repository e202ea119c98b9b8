"""A tree ensemble node of ai.onnx.ml → its trees as values, and what is done with the sum of their weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from onnx import NodeProto, helper, numpy_helper

ML = "ai.onnx.ml"
COMPARISONS = {
    "BRANCH_LEQ": "LessOrEqual", "BRANCH_LT": "Less", "BRANCH_GTE": "GreaterOrEqual", "BRANCH_GT": "Greater",
    "BRANCH_EQ": "Equal",
}  # fmt: skip
"""Mode of a node → the operator that decides alike, NaN included."""
_KINDS = {"TreeEnsembleRegressor": "target", "TreeEnsembleClassifier": "class"}
_NODE_LISTS = ("nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true")
_NUMBERS = ("nodes_nodeids", "nodes_truenodeids", "nodes_falsenodeids")
_WEIGHT_LISTS = ("nodeids", "ids", "weights")
Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Leaf:
    weights: tuple[tuple[int, float], ...]
    """Target and weight."""


@dataclass(frozen=True, slots=True)
class Branch:
    feature: int
    mode: str
    threshold: float
    missing: bool
    """Whether NaN goes the way of ``yes``."""
    yes: Tree
    no: Tree


Tree = Leaf | Branch


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where the nodes and weights of one tree stand in the lists of the ensemble."""

    nodes: Ints
    weights: Ints


@dataclass(frozen=True)
class Forest:
    """Attributes of a TreeEnsembleRegressor or TreeEnsembleClassifier (versions 1 and 3), looked at tree by tree."""

    node: NodeProto
    attributes: dict[str, Any]

    @property
    def kind(self) -> str:
        return _KINDS[self.node.op_type]

    @property
    def source(self) -> str:
        """The matrix [N,F] that the trees look at."""
        return str(self.node.input[0])

    @property
    def is_classifier(self) -> bool:
        return self.kind == "class"

    @cached_property
    def targets(self) -> int:
        """Sums that are made. Two classes with the weights of one have one sum."""
        if not self.is_classifier:
            return int(self.attributes.get("n_targets", 1))
        ids = self.attributes["class_ids"]
        return 1 if len(self.labels) == 2 and len(np.unique(ids)) == 1 else len(self.labels)

    @property
    def labels(self) -> Sequence[Any]:
        found = self.attributes.get("classlabels_int64s") or self.attributes.get("classlabels_strings") or ()
        return list(found)

    @property
    def base(self) -> list[float]:
        return self._numbers("base_values")

    @property
    def weights(self) -> list[float]:
        """Of all leaves."""
        return self._numbers(f"{self.kind}_weights")

    def _numbers(self, name: str) -> list[float]:
        tensor = self.attributes.get(f"{name}_as_tensor")
        values = self.attributes.get(name, ()) if tensor is None else numpy_helper.to_array(tensor).reshape(-1)
        return [float(value) for value in values]

    @property
    def is_paired(self) -> bool:
        """Two classes with a base value for each: the runtime adds the second base value to the sum of the first, and
        that is the score of the second class; that of the first is it turned round."""
        return self.is_classifier and self.targets == len(self.base) == 2

    @property
    def post_transform(self) -> str:
        return as_text(self.attributes.get("post_transform", b"NONE"))

    @property
    def aggregate(self) -> str:
        return as_text(self.attributes.get("aggregate_function", b"SUM"))

    @cached_property
    def trees(self) -> tuple[_Rows, ...]:
        """In the order in which the runtime sums them: by first appearance."""
        owners = np.asarray(self.attributes["nodes_treeids"], dtype=np.int64)
        weighted = np.asarray(self.attributes[f"{self.kind}_treeids"], dtype=np.int64)
        by_tree = dict(_grouped(weighted))
        none = np.empty(0, dtype=np.int64)
        found = sorted(_grouped(owners), key=lambda pair: int(pair[1][0]))
        return tuple(_Rows(rows, by_tree.get(tree, none)) for tree, rows in found)

    @cached_property
    def branches(self) -> list[int]:
        """Inner nodes of each tree."""
        leaves = np.asarray([as_text(mode) == "LEAF" for mode in self.attributes["nodes_modes"]])
        return [int(len(rows.nodes) - leaves[rows.nodes].sum()) for rows in self.trees]

    def alone(self, rows: _Rows) -> dict[str, Any]:
        """Attributes of a TreeEnsembleRegressor with this tree alone; its nodes are numbered by their places, because
        the runtime takes no number above their count."""
        made: dict[str, Any] = {"n_targets": self.targets}
        for name in _NODE_LISTS:
            values = self.attributes.get(f"nodes_{name}")
            if values:
                made[f"nodes_{name}"] = [values[row] for row in rows.nodes]
        made["nodes_treeids"] = [0] * len(rows.nodes)
        places = {number: place for place, number in enumerate(made["nodes_nodeids"])}
        for name in _NUMBERS:
            made[name] = [places.get(number, 0) for number in made[name]]
        for name in _WEIGHT_LISTS:
            made[f"target_{name}"] = [self.attributes[f"{self.kind}_{name}"][row] for row in rows.weights]
        made["target_nodeids"] = [places.get(number, 0) for number in made["target_nodeids"]]
        if self.is_classifier and self.targets == 1:
            made["target_ids"] = [0] * len(rows.weights)
        made["target_treeids"] = [0] * len(rows.weights)
        return made

    def tree(self, rows: _Rows) -> Tree:
        """One tree with its nodes nested; meant for small ones.

        Raises:
            ValueError: it is no tree.
        """
        lists = self.alone(rows)
        weights: dict[int, list[tuple[int, float]]] = {}
        for number, target, weight in zip(
            lists["target_nodeids"], lists["target_ids"], lists["target_weights"], strict=True
        ):
            weights.setdefault(number, []).append((target, weight))
        missing = lists.get("nodes_missing_value_tracks_true")

        def grown(place: int, left: int) -> Tree:
            if left < 0:
                raise ValueError("a tree with a loop")
            mode = as_text(lists["nodes_modes"][place])
            if mode == "LEAF":
                return Leaf(tuple(weights.get(place, ())))
            return Branch(
                lists["nodes_featureids"][place],
                mode,
                lists["nodes_values"][place],
                bool(missing and missing[place]),
                grown(lists["nodes_truenodeids"][place], left - 1),
                grown(lists["nodes_falsenodeids"][place], left - 1),
            )

        return grown(0, len(rows.nodes))


def forest_of(node: NodeProto) -> Forest | None:
    """The forest of a tree ensemble node, or None where it is none that can be rewritten."""
    if node.domain != ML or node.op_type not in _KINDS:
        return None
    found = Forest(node, attributes_of(node))
    if any(name.endswith("_as_tensor") for name in found.attributes):
        return None  # doubles
    if found.is_classifier:
        known = len(found.labels) > 1 and len(found.base) in (0, found.targets)
        return found if known and not found.is_paired else None
    plain = found.aggregate == "SUM" and found.post_transform == "NONE"
    return found if plain and len(found.base) in (0, found.targets) else None


def attributes_of(node: NodeProto) -> dict[str, Any]:
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def _grouped(owners: Ints) -> Iterator[tuple[int, Ints]]:
    """Value → the places where it stands, in order."""
    order = np.argsort(owners, kind="stable")
    starts = np.flatnonzero(np.diff(owners[order], prepend=owners[order[:1]] - 1)).tolist()
    for start, stop in zip(starts, [*starts[1:], len(order)] if starts else [], strict=True):
        yield int(owners[order[start]]), order[start:stop]


def as_text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
