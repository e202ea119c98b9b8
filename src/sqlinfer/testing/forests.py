"""Forests of random shape as ONNX graphs, and rows that meet their thresholds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from sqlinfer.testing import onnx_builder as ob

ML = "ai.onnx.ml"
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
CATEGORIES = 60
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Shape:
    """What a random forest may have."""

    trees: int = 5
    leaves: int = 20
    features: int = 6
    deep: float = 0.0
    """0: the next node to split is any leaf; 1: always the one that was made last."""
    modes: tuple[str, ...] = ("BRANCH_LEQ",)
    missing: bool = False
    members: bool = False
    """Some nodes ask whether the first feature is one of a set of integers: the runtime knows no other sets."""
    chains: bool = False
    """Some nodes ask for several integers, one after the other, and all lead to one node."""
    levels: bool = False
    """All nodes of a level ask the same; ``leaves`` is a power of two."""
    from_floats: bool = False
    """The graph takes floats, and the trees look at them as doubles."""
    targets: int = 1
    grid: int | None = 16
    """Thresholds are multiples of 1/grid; None: any numbers."""
    classes: tuple[int | str, ...] = ()
    double: bool = False
    tensors: bool = False
    """The lists of version 3 hold doubles."""
    version: int = 3
    seed: int = 0
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class Node:
    feature: int = 0
    mode: str = "LEAF"
    value: float = 0.0
    missing: bool = False
    members: tuple[float, ...] = ()
    yes: Node | None = None
    no: Node | None = None


def grown(shape: Shape, rng: np.random.Generator) -> Node:
    """One tree, or where chains lead to one node a graph without loops."""
    if shape.levels:
        return _by_level(shape, rng)
    root = Node()
    leaves = [root]
    while len(leaves) < shape.leaves:
        at = len(leaves) - 1 if rng.random() < shape.deep else int(rng.integers(len(leaves)))
        node = leaves.pop(at)
        _ask(node, shape, rng)
        node.yes, node.no = Node(), Node()
        leaves += [node.yes, node.no]
        if shape.chains and rng.random() < 0.3:
            _chain(node, shape, rng)
    return root


def _ask(node: Node, shape: Shape, rng: np.random.Generator) -> None:
    node.feature, node.mode = int(rng.integers(shape.features)), str(rng.choice(shape.modes))
    node.value = threshold(shape, rng)
    node.missing = bool(shape.missing and rng.random() < 0.5)
    if shape.members and rng.random() < 0.3:
        node.mode, node.feature = "BRANCH_MEMBER", 0
        limit = CATEGORIES if rng.random() < 0.5 else 31  # the runtime looks for numbers up to 30 in another way
        node.members = tuple(sorted({float(one) for one in rng.integers(0, limit, int(rng.integers(1, 20)))}))


def _chain(node: Node, shape: Shape, rng: np.random.Generator) -> None:
    """The node asks for one integer, and so do others between it and its side of no."""
    node.mode, node.feature = "BRANCH_EQ", int(rng.integers(shape.features))
    last = node
    for value in rng.choice(CATEGORIES, int(rng.integers(1, 6)), replace=False).tolist():
        behind = Node(node.feature, "BRANCH_EQ", float(value), node.missing, (), node.yes, last.no)
        last.no = behind
        last = behind


def _by_level(shape: Shape, rng: np.random.Generator) -> Node:
    level = [root := Node()]
    while len(level) < shape.leaves:
        asked = Node()
        _ask(asked, shape, rng)
        for node in level:
            node.feature, node.mode, node.value = asked.feature, asked.mode, asked.value
            node.missing, node.members, node.yes, node.no = asked.missing, asked.members, Node(), Node()
        level = [side for node in level for side in (node.yes, node.no) if side is not None]
    return root


def threshold(shape: Shape, rng: np.random.Generator) -> float:
    if shape.chains and rng.random() < 0.3:
        return float(rng.integers(CATEGORIES))
    value = rng.integers(-2, shape.grid + 2) / shape.grid if shape.grid else rng.random()
    return float(value if shape.double else np.float32(value))


def graph(shape: Shape) -> bytes:
    """``features`` [N,F] → ``score`` [N,targets], and ``label`` [N] where there are classes."""
    rng = np.random.default_rng(shape.seed)
    trees = [grown(shape, rng) for _ in range(shape.trees)]
    kind = "double" if shape.double else "float"
    if shape.version == 5:
        node, out = _of_5(shape, trees, rng), kind
    else:
        node, out = _of_lists(shape, trees, rng), "float"
    ports = [ob.value("score", out, ["N", None])]
    if shape.classes:
        ports.insert(0, ob.value("label", "string" if isinstance(shape.classes[0], str) else "int64", ["N"]))
    nodes = [node]
    if shape.from_floats:
        node.input[0], kind = "doubles", "float"
        nodes.insert(0, helper.make_node("Cast", ["features"], ["doubles"], to=TensorProto.DOUBLE))
    inputs = [ob.value("features", kind, ["N", shape.features])]
    return ob.build(nodes, inputs, ports, opsets={"": 17, ML: shape.version})


def _of_lists(shape: Shape, trees: list[Node], rng: np.random.Generator) -> Any:
    lists: dict[str, list[Any]] = {}
    part = "class" if shape.classes else "target"

    def add(**values: Any) -> None:
        for name, one in values.items():
            lists.setdefault(name, []).append(one)

    for number, root in enumerate(trees):
        nodes = _all(root)
        place = {id(node): at for at, node in enumerate(nodes)}
        for at, node in enumerate(nodes):
            yes, no = (0 if side is None else place[id(side)] for side in (node.yes, node.no))
            add(nodes_treeids=number, nodes_nodeids=at, nodes_featureids=node.feature, nodes_modes=node.mode)
            add(nodes_values=node.value, nodes_truenodeids=yes, nodes_falsenodeids=no)
            add(nodes_missing_value_tracks_true=int(node.missing))
            if node.yes is None:
                for target in range(shape.targets):
                    add(**{f"{part}_treeids": number, f"{part}_nodeids": at, f"{part}_ids": target})
                    add(**{f"{part}_weights": float(np.float32(rng.normal()))})
    given: dict[str, Any] = {**lists, **shape.more}
    if shape.tensors:
        for name in ("nodes_values", f"{part}_weights", "base_values"):
            if name in given:
                given[f"{name}_as_tensor"] = _tensor(np.asarray(given.pop(name), np.float64))
    if shape.classes:
        text = isinstance(shape.classes[0], str)
        given["classlabels_strings" if text else "classlabels_int64s"] = list(shape.classes)
        return helper.make_node("TreeEnsembleClassifier", ["features"], ["label", "score"], domain=ML, **given)
    return helper.make_node(
        "TreeEnsembleRegressor", ["features"], ["score"], domain=ML, n_targets=shape.targets, **given
    )


def _all(root: Node) -> list[Node]:
    """Each once."""
    found: list[Node] = []
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        found.append(node)
        waiting += [side for side in (node.no, node.yes) if side is not None]
    return found


NUMBERS = {"BRANCH_LEQ": 0, "BRANCH_LT": 1, "BRANCH_GTE": 2, "BRANCH_GT": 3, "BRANCH_EQ": 4, "BRANCH_NEQ": 5,
           "BRANCH_MEMBER": 6}  # fmt: skip


def _of_5(shape: Shape, trees: list[Node], rng: np.random.Generator) -> Any:
    kind = np.float64 if shape.double else np.float32
    nodes = [node for root in trees for node in _all(root)]
    inner, leaves = [n for n in nodes if n.yes], [n for n in nodes if not n.yes]
    place = {id(node): at for group in (inner, leaves) for at, node in enumerate(group)}
    sides: dict[str, list[int]] = {}
    for way, children in (("true", [n.yes for n in inner]), ("false", [n.no for n in inner])):
        sides[f"nodes_{way}nodeids"] = [place[id(one)] for one in children]
        sides[f"nodes_{way}leafs"] = [int(one is not None and one.yes is None) for one in children]
    members = [v for n in inner if n.members for v in (*n.members, np.nan)]
    return helper.make_node(
        "TreeEnsemble",
        ["features"],
        ["score"],
        domain=ML,
        n_targets=shape.targets,
        tree_roots=[place[id(root)] for root in trees],
        nodes_featureids=[n.feature for n in inner],
        nodes_modes=_tensor(np.asarray([NUMBERS[n.mode] for n in inner], np.uint8)),
        nodes_splits=_tensor(np.asarray([n.value for n in inner], kind)),
        nodes_missing_value_tracks_true=[int(n.missing) for n in inner],
        leaf_targetids=[int(rng.integers(shape.targets)) for _ in leaves],
        leaf_weights=_tensor(rng.normal(size=len(leaves)).astype(kind)),
        **sides,
        **({"membership_values": _tensor(np.asarray(members, kind))} if members else {}),
        **shape.more,
    )


def _tensor(values: Array) -> Any:
    return numpy_helper.from_array(values, "t")


def rows(shape: Shape, count: int, seed: int = 0) -> Array:
    """Half of them on thresholds or beside them, and NaN, infinities and zeros of both signs."""
    rng, kind = np.random.default_rng(seed), np.float64 if shape.double and not shape.from_floats else np.float32
    size = (count, shape.features)
    values = rng.uniform(-0.3, 1.3, size).astype(kind)
    if shape.grid:
        on = (rng.integers(-3, shape.grid + 3, size) / shape.grid).astype(kind)
        step = rng.integers(-1, 2, size)
        beside = np.nextafter(on, np.where(step > 0, np.inf, -np.inf).astype(kind))
        values = np.where(rng.random(size) < 0.6, np.where(step == 0, on, beside), values)
    if shape.members or shape.chains:
        asked = rng.random(size if shape.chains else (count, 1)) < 0.8
        asked = asked if shape.chains else np.pad(asked, ((0, 0), (0, shape.features - 1)))
        values[asked] = rng.integers(-2, CATEGORIES + 2, int(asked.sum()))
        halves = asked & (rng.random(size) < 0.1)
        values[halves] = values[halves] + rng.choice(np.asarray([0.5, -0.5, 1e-3], kind), int(halves.sum()))
    odd = rng.random(size) < 0.05
    values[odd] = rng.choice(np.asarray([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3e38], kind), int(odd.sum()))
    return values
