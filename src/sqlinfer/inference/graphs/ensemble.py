"""A tree ensemble node of any version of ai.onnx.ml → its nodes as flat arrays, with ONNX Runtime's order of trees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np
from onnx import NodeProto, numpy_helper

from sqlinfer.inference.graphs.forest import Forest, as_text, attributes_of

Array = np.ndarray[Any, Any]
AGGREGATES = ("SUM", "AVERAGE", "MIN", "MAX")
_TRANSFORMS_OF_5 = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
_AGGREGATES_OF_5 = ("AVERAGE", "SUM", "MIN", "MAX")


class Mode(IntEnum):
    """The numbers of TreeEnsemble (ai.onnx.ml 5)."""

    LEQ = 0
    LT = 1
    GTE = 2
    GT = 3
    EQ = 4
    NEQ = 5
    MEMBER = 6
    LEAF = 7


class Unsupported(Exception):
    """Why a forest is left to ONNX Runtime, in words for people."""


@dataclass(frozen=True, slots=True)
class Trees:
    """All columns have one length, and a node is known by its place."""

    roots: Array
    mode: Array
    feature: Array
    threshold: Array
    missing: Array
    """Whether NaN goes the way of ``yes``."""
    yes: Array
    no: Array
    leaf: Array
    """The leaf of each weight."""
    target: Array
    weight: Array
    targets: int
    base: Array
    """Of each target, added at the end."""
    aggregate: str = "SUM"
    members: Mapping[int, Array] = field(default_factory=dict)

    @property
    def inner(self) -> Array:
        return np.asarray(self.mode != Mode.LEAF)


def trees_of(node: NodeProto, kind: Any) -> Trees:
    """The nodes of any tree ensemble.

    Args:
        kind: numpy's type of the matrix that the trees look at.

    Raises:
        Unsupported: the forest is none that our kernel computes.
    """
    found = attributes_of(node)
    return _of_5(found, kind) if node.op_type == "TreeEnsemble" else _of_lists(Forest(node, found), kind)


def _of_lists(forest: Forest, kind: Any) -> Trees:
    given = forest.attributes
    if forest.is_classifier:
        if len(forest.labels) < 2:
            raise Unsupported("classes of one label")
    else:
        _check_transform(forest.post_transform, forest.targets)
    if forest.aggregate not in AGGREGATES:
        raise Unsupported(f"the aggregate {forest.aggregate}")
    lists = {name: _list(given, f"nodes_{name}") for name in ("treeids", "nodeids", "featureids", "modes")}
    count = len(lists["treeids"])
    if not count:
        raise Unsupported("a forest without trees")
    place = _Places(lists["treeids"], lists["nodeids"])
    modes = np.asarray([Mode[as_text(one).removeprefix("BRANCH_")] for one in given["nodes_modes"]], dtype=np.int64)
    inner = modes != Mode.LEAF
    yes, no = (place.of(lists["treeids"], _list(given, f"nodes_{way}nodeids"), inner) for way in ("true", "false"))
    missing = _list(given, "nodes_missing_value_tracks_true")
    part = forest.kind
    leaf = place.of(_list(given, f"{part}_treeids"), _list(given, f"{part}_nodeids"))
    target = _list(given, f"{part}_ids").astype(np.int64)
    if forest.is_classifier and forest.targets == 1:
        target = np.zeros(len(target), dtype=np.int64)
    base = _list(given, "base_values").astype(np.float64)
    found = _checked(
        Trees(
            np.asarray([rows.nodes[0] for rows in forest.trees], dtype=np.int64),
            modes,
            lists["featureids"].astype(np.int64),
            _reals(given, "nodes_values", kind),
            (missing if len(missing) else np.zeros(count)).astype(np.bool_),
            yes,
            no,
            leaf,
            target,
            _reals(given, f"{part}_weights", kind),
            forest.targets,
            base if len(base) else np.zeros(forest.targets),
            forest.aggregate,
        ),
        forest.targets,
    )
    return _first_of_two(found) if forest.is_paired else found


def _check_transform(name: str, targets: int) -> None:
    """Of one value ONNX Runtime makes a probit and nothing else."""
    if name != "NONE" and (targets > 1 or name == "PROBIT"):
        raise Unsupported(f"values transformed by {name}")


def _first_of_two(trees: Trees) -> Trees:
    """The sum that is looked at where two classes have base values: that of the first, wherever the second has one."""
    if not np.isin(np.flatnonzero(~trees.inner), trees.leaf[trees.target == 1]).all():
        raise Unsupported("two classes with base values of their own, one of which a row may have no weight for")
    kept = trees.target == 0
    columns = {name: getattr(trees, name)[kept] for name in ("leaf", "target", "weight")}
    return replace(trees, **columns, targets=1, base=trees.base[1:])


def _list(attributes: dict[str, Any], name: str) -> Array:
    found = attributes.get(f"{name}_as_tensor")
    return numpy_helper.to_array(found) if found is not None else np.asarray(attributes.get(name, ()))


def _reals(attributes: dict[str, Any], name: str, kind: Any) -> Array:
    """A list holds floats, whatever they are compared with; a tensor may hold doubles."""
    found = _list(attributes, name)
    return found.astype(kind) if f"{name}_as_tensor" in attributes else found.astype(np.float32).astype(kind)


class _Places:
    """(tree, number within the tree) → place in the lists."""

    def __init__(self, trees: Array, numbers: Array) -> None:
        self._keys = [(int(t), int(n)) for t, n in zip(trees, numbers, strict=True)]
        self._at = {key: place for place, key in enumerate(self._keys)}
        if len(self._at) < len(self._keys):
            raise Unsupported("a tree with two nodes of one number")

    def of(self, trees: Array, numbers: Array, wanted: Array | None = None) -> Array:
        """Zero where it is not wanted."""
        asked = [True] * len(trees) if wanted is None else wanted.tolist()
        pairs = zip(trees.tolist(), numbers.tolist(), asked, strict=True)
        try:
            return np.asarray([self._at[tree, number] if ask else 0 for tree, number, ask in pairs], dtype=np.int64)
        except KeyError:
            raise Unsupported("a node that there is not") from None


def _of_5(given: dict[str, Any], kind: Any) -> Trees:
    _check_transform(_TRANSFORMS_OF_5[int(given.get("post_transform", 0))], int(given.get("n_targets", 1)))
    modes, splits, weights = (_list5(given, name) for name in ("nodes_modes", "nodes_splits", "leaf_weights"))
    inner, leaves = len(modes), len(weights)
    both = np.concatenate
    blank = np.zeros(leaves, dtype=np.int64)

    def way(name: str) -> Array:
        """Leaves stand behind the inner nodes."""
        ids, leafs = _list5(given, f"nodes_{name}nodeids"), _list5(given, f"nodes_{name}leafs")
        _in_range(ids, np.where(leafs != 0, leaves, inner))
        return both([np.where(leafs != 0, ids + inner, ids), blank])

    missing = _list5(given, "nodes_missing_value_tracks_true")
    return _checked(
        Trees(
            _list5(given, "tree_roots").astype(np.int64),
            both([modes.astype(np.int64), blank + int(Mode.LEAF)]),
            both([_list5(given, "nodes_featureids").astype(np.int64), blank]),
            both([splits.astype(kind), np.zeros(leaves, kind)]),
            both([missing.astype(np.bool_) if len(missing) else np.zeros(inner, np.bool_), blank.astype(np.bool_)]),
            way("true"),
            way("false"),
            inner + np.arange(leaves),
            _list5(given, "leaf_targetids").astype(np.int64),
            weights.astype(kind),
            int(given.get("n_targets", 1)),
            np.zeros(int(given.get("n_targets", 1))),
            _AGGREGATES_OF_5[int(given.get("aggregate_function", 1))],
            _members(modes, given, kind),
        ),
        None,
    )


def _list5(given: dict[str, Any], name: str) -> Array:
    found = given.get(name, ())
    return numpy_helper.to_array(found) if hasattr(found, "data_type") else np.asarray(found, dtype=np.int64)


def _members(modes: Array, given: dict[str, Any], kind: Any) -> dict[int, Array]:
    """The sets of MEMBER nodes stand in their order, each with NaN behind it."""
    places = np.flatnonzero(modes == Mode.MEMBER)
    if not len(places):
        return {}
    values = _list5(given, "membership_values").astype(kind)
    ends = np.flatnonzero(np.isnan(values))
    if len(ends) != len(places):
        raise Unsupported("sets that are not one for each node that asks for one")
    return {
        int(place): values[start:end] for place, start, end in zip(places, [0, *(ends[:-1] + 1)], ends, strict=True)
    }


def _in_range(values: Array, limits: Any) -> None:
    if ((values < 0) | (values >= limits)).any():
        raise Unsupported("a node that there is not")


def _checked(trees: Trees, bases: int | None) -> Trees:
    count = len(trees.mode)
    columns = (trees.feature, trees.threshold, trees.missing, trees.yes, trees.no)
    if any(len(one) != count for one in columns) or len({len(trees.leaf), len(trees.target), len(trees.weight)}) != 1:
        raise Unsupported("lists of different lengths")
    if trees.targets < 1 or (bases is not None and len(trees.base) != bases):
        raise Unsupported("base values that are not one for each target")
    for values, limit in ((trees.roots, count), (trees.yes, count), (trees.no, count), (trees.leaf, count)):
        _in_range(values, limit)
    _in_range(trees.target, trees.targets)
    _in_range(trees.mode, len(Mode))
    inner = trees.inner
    if (trees.feature[inner] < 0).any() or inner[trees.leaf].any():
        raise Unsupported("a node that there is not")
    plain = inner & (trees.mode != Mode.MEMBER)
    strict = np.isin(trees.mode, (Mode.LT, Mode.GTE, Mode.EQ, Mode.NEQ)) & plain
    if np.isnan(trees.threshold[plain]).any() or np.isneginf(trees.threshold[strict]).any():
        raise Unsupported("a threshold that no number is below")
    if not np.isfinite(trees.weight).all():
        raise Unsupported("a weight that is not finite")
    return trees
