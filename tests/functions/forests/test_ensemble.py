"""A table of nodes gives the same bits as walking the trees in Python, with floats and with doubles."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

from sqlinfer.errors import ArtifactError
from sqlinfer.functions.forests import ensemble
from sqlinfer.functions.forests.graph import GraphWriter
from sqlinfer.functions.forests.table import Mode, NodeTable, checked, constant, joined

FEATURES = 4


def random_tree(rng, *, depth, targets, modes, one_target=None):
    """Columns of one tree whose thresholds are floats."""
    rows, leaves, members = [], [], {}

    def grow(level):
        place = len(rows)
        rows.append(None)
        if level == 0 or rng.random() < 0.15:
            rows[place] = (int(Mode.LEAF), 0, 0.0, 0, 0, False)
            wanted = range(targets) if one_target is None else [one_target]
            leaves.extend((place, one, float(rng.normal())) for one in wanted)
            return place
        mode = modes[rng.integers(len(modes))]
        if mode == Mode.MEMBER:
            size = int(rng.integers(1, 12))
            members[place] = sorted({float(one) for one in rng.integers(0, 100, size)})
        threshold = float(np.float32(rng.normal() * 3))
        if mode in (Mode.EQ, Mode.NEQ):
            threshold = float(rng.integers(0, 5))
        yes, no = grow(level - 1), grow(level - 1)
        feature = int(rng.integers(2, FEATURES)) if mode == Mode.MEMBER else int(rng.integers(FEATURES))
        rows[place] = (int(mode), feature, threshold, yes, no, bool(rng.random() < 0.5))
        return place

    grow(depth)
    mode, feature, threshold, yes, no, missing = (np.array(one) for one in zip(*rows, strict=True))
    leaf, target, weight = (np.array(one) for one in zip(*leaves, strict=True))
    return NodeTable(
        np.zeros(1, np.int64), mode, feature, threshold.astype(float), yes, no, missing.astype(bool),
        leaf, target, weight.astype(float), targets, members,
    )  # fmt: skip


def walk(table, rows, kind):
    """The reference: one row and one tree at a time, sums of that type in the order of the trees."""
    weights = {}
    for leaf, target, weight in zip(table.leaf, table.target, table.weight, strict=True):
        weights.setdefault(int(leaf), []).append((int(target), kind(weight)))
    compare = {
        Mode.LEQ: lambda x, t: x <= t, Mode.LT: lambda x, t: x < t, Mode.GTE: lambda x, t: x >= t,
        Mode.GT: lambda x, t: x > t, Mode.EQ: lambda x, t: x == t, Mode.NEQ: lambda x, t: x != t,
    }  # fmt: skip
    result = np.zeros((len(rows), table.targets), kind)
    for number, row in enumerate(rows):
        for root in table.roots:
            at = int(root)
            while table.mode[at] != Mode.LEAF:
                value, mode = row[table.feature[at]], Mode(table.mode[at])
                if np.isnan(value):
                    yes = bool(table.missing_yes[at])
                elif mode == Mode.MEMBER:
                    yes = float(value) in table.members[at]
                else:
                    yes = bool(compare[mode](value, kind(table.threshold[at])))
                at = int(table.yes[at] if yes else table.no[at])
            for target, weight in weights.get(at, ()):
                result[number, target] += weight
    return result


def edge_rows(rng, table, kind, count=200):
    """Random rows, of which many values are thresholds, their neighbours, NaN and infinities; categories are whole."""
    rows = (rng.normal(size=(count, FEATURES)) * 3).astype(kind)
    found = np.array([*np.concatenate([[0.0], *table.thresholds.values()])]).astype(kind)
    near = np.concatenate([found, np.nextafter(found, kind(-np.inf)), np.nextafter(found, kind(np.inf))])
    picked = rng.choice(near, size=rows.shape)
    rows = np.where(rng.random(rows.shape) < 0.5, picked, rows)
    whole = rng.integers(-1, 100, size=rows.shape).astype(kind)
    rows = np.where(rng.random(rows.shape) < 0.3, whole, rows)
    odd = rng.choice(np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 2.0**24 + 1], kind), size=rows.shape)
    rows = np.where(rng.random(rows.shape) < 0.2, odd, rows).astype(kind)
    if table.members:
        rows[:, 2:] = np.floor(rows[:, 2:])
    return rows


def run(table, rows, *, double):
    kind = "double" if double else "float"
    writer = GraphWriter(ensemble.ml_opset(table, double=double))
    total = ensemble.sums(writer, table, writer.input("features", kind, FEATURES), double=double)
    writer.output(total, "value", kind, table.targets)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(writer.model().SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"features": rows})[0]


SHAPES = {
    "one target": {"targets": 1, "modes": [Mode.LEQ]},
    "less than": {"targets": 1, "modes": [Mode.LT]},
    "greater than": {"targets": 1, "modes": [Mode.GT, Mode.GTE]},
    "vectors in leaves": {"targets": 3, "modes": [Mode.LT]},
    "categories": {"targets": 1, "modes": [Mode.MEMBER, Mode.LEQ]},
    "categories and vectors": {"targets": 2, "modes": [Mode.MEMBER, Mode.LT]},
}


@pytest.mark.parametrize("double", [False, True], ids=["float", "double"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_a_forest_gives_the_bits_of_a_walk(shape, double, seed):
    rng = np.random.default_rng(seed)
    trees = [constant([0.25] * shape["targets"])]
    trees += [random_tree(rng, depth=int(rng.integers(0, 7)), **shape) for _ in range(30)]
    table = checked(joined(trees, shape["targets"]), FEATURES, "the model")
    kind = np.float64 if double else np.float32
    rows = edge_rows(rng, table, kind)
    np.testing.assert_array_equal(run(table, rows, double=double), walk(table, rows, kind))


def test_trees_of_one_class_each_are_added_to_their_class():
    rng = np.random.default_rng(5)
    trees = [random_tree(rng, depth=4, targets=3, modes=[Mode.LEQ], one_target=number % 3) for number in range(30)]
    table = checked(joined(trees, 3), FEATURES, "the model")
    rows = edge_rows(rng, table, np.float64)
    np.testing.assert_array_equal(run(table, rows, double=True), walk(table, rows, np.float64))


@pytest.mark.parametrize("double", [False, True])
def test_a_forest_without_trees_gives_zeros(double):
    rows = np.zeros((3, FEATURES), np.float64 if double else np.float32)
    assert run(joined([], 2), rows, double=double).tolist() == [[0.0, 0.0]] * 3


def stump(**changed):
    columns = {
        "roots": np.array([0]), "mode": np.array([0, 255, 255]), "feature": np.array([0, 0, 0]),
        "threshold": np.zeros(3), "yes": np.array([1, 0, 0]), "no": np.array([2, 0, 0]),
        "missing_yes": np.zeros(3, bool), "leaf": np.array([1, 2]), "target": np.array([0, 0]),
        "weight": np.array([1.0, 2.0]),
    }  # fmt: skip
    return NodeTable(**{**columns, **{name: np.array(value) for name, value in changed.items()}})


WRONG = {
    "a loop": ({"yes": [0, 0, 0]}, "reached twice"),
    "two parents": ({"yes": [2, 0, 0]}, "reached twice"),
    "a child beyond the end": ({"no": [3, 0, 0]}, "a child that there is not"),
    "a negative child": ({"no": [-1, 0, 0]}, "a child that there is not"),
    "a root beyond the end": ({"roots": [9]}, "a tree has no nodes"),
    "one root twice": ({"roots": [0, 0]}, "reached twice"),
    "a feature beyond the last": ({"feature": [4, 0, 0]}, "asks for feature 4 of 4"),
    "a negative feature": ({"feature": [-1, 0, 0]}, "asks for feature -1"),
    "a threshold that is no number": ({"threshold": [np.nan, 0, 0]}, "not a number"),
    "a weight that is no number": ({"weight": [np.nan, 0]}, "not a finite number"),
    "a weight of a node that is no leaf": ({"leaf": [0, 2]}, "belongs to no leaf"),
    "a target beyond the last": ({"target": [0, 1]}, "beyond the 1"),
    "columns of two lengths": ({"yes": [1, 0]}, "differ in length"),
}


@pytest.mark.parametrize(("changed", "message"), WRONG.values(), ids=WRONG)
def test_a_damaged_table_is_refused(changed, message):
    with pytest.raises(ArtifactError, match=message):
        checked(stump(**changed), FEATURES, "the model")


def test_a_tree_too_deep_to_run_is_refused():
    count = 10_001
    inner = np.arange(count) % 2 == 0
    at = np.arange(count)
    table = NodeTable(
        np.array([0]), np.where(inner & (at < count - 1), 0, 255), np.zeros(count, int), np.zeros(count),
        np.where(inner, at + 1, 0), np.where(inner, at + 2, 0), np.zeros(count, bool),
        np.array([1]), np.array([0]), np.array([1.0]),
    )  # fmt: skip
    with pytest.raises(ArtifactError, match="levels"):
        checked(table, FEATURES, "the model")


def test_nodes_that_no_tree_reaches_are_dropped():
    table = stump(
        mode=[0, 255, 255, 0], feature=[0, 0, 0, 99], threshold=[0.0, 0, 0, np.nan],
        yes=[1, 0, 0, 77], no=[2, 0, 0, 78], missing_yes=[False] * 4,
    )  # fmt: skip
    assert len(checked(table, FEATURES, "the model")) == 3
