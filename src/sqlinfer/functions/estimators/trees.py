"""Trees and forests: scikit-learn's own nodes as a table, compared in doubles.

Forests cast their input to float32 and compare it with a double: so does the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sqlinfer.functions.estimators import linear
from sqlinfer.functions.estimators.answer import Answer
from sqlinfer.functions.estimators.graph import Array, Frame, Graph
from sqlinfer.functions.forests.ensemble import sums
from sqlinfer.functions.forests.table import Mode, NodeTable, checked, joined
from sqlinfer.functions.sources.original import NotExact

_WHAT = "the forest"


def cast_once(graph: Graph, frame: Frame, *, allow_nan: bool | None) -> str:
    """Float32 values as doubles [N,F], refused where they overflow; ``allow_nan`` None: nothing is refused."""
    if allow_nan is None:
        rounded = graph.matrix(frame, "float")
    else:
        rounded = graph.checked(frame, allow_nan=allow_nan, kind="float")
    return graph.cast(rounded, "double")


def table_of(tree: Any, weights: Array, targets: Array | None = None, features: Array | None = None,
             count: int | None = None) -> NodeTable:  # fmt: skip
    """One fitted ``Tree``.

    Args:
        weights: [nodes, K]: what each leaf gives to K targets.
        targets: K numbers of targets; default: 0 to K - 1.
        features: the column of each feature of the tree, where it saw some alone.
        count: how many targets there are.
    """
    leaf = tree.children_left < 0
    feature = np.where(leaf, 0, tree.feature).astype(np.int64)
    if features is not None:
        feature = np.asarray(features, np.int64)[feature]
    missing = getattr(tree, "missing_go_to_left", np.zeros(len(leaf)))
    leaves = np.flatnonzero(leaf)
    width = weights.shape[1]
    given = np.arange(width) if targets is None else targets
    return NodeTable(
        np.zeros(1, np.int64), np.where(leaf, int(Mode.LEAF), int(Mode.LEQ)).astype(np.int64), feature,
        np.where(leaf, 0.0, tree.threshold), np.where(leaf, 0, tree.children_left).astype(np.int64),
        np.where(leaf, 0, tree.children_right).astype(np.int64), np.asarray(missing, np.bool_) & ~leaf,
        np.repeat(leaves, width), np.tile(given, len(leaves)), weights[leaves].reshape(-1).astype(np.float64),
        width if count is None else count,
    )  # fmt: skip


def check_nodes(model: Any) -> None:
    """Refuse nodes that lead nowhere, or in a circle, before compiled code follows them.

    Raises:
        ArtifactError: the trees of the estimator are damaged.
    """
    tree, predictors = getattr(model, "tree_", None), getattr(model, "_predictors", None)
    if tree is not None:
        nothing = np.zeros((tree.node_count, 1))
        checked(table_of(tree, nothing), int(tree.n_features), _WHAT)
    for one in np.ravel(np.asarray([] if predictors is None else predictors, dtype=object)):
        checked(_histogram(one, 0, 1), int(model.n_features_in_), _WHAT)


def total(graph: Graph, tables: Sequence[NodeTable], targets: int, rows: str, features: int) -> str:
    """[N,targets]."""
    table = checked(joined(list(tables), targets), features, _WHAT)
    return sums(graph, table, rows, double=True)


def _features(frame: Frame) -> int:
    return sum(piece.width for piece in frame)


def _takes_nan(model: Any) -> bool:
    """Whether the fitted trees let NaN through."""
    first = model.estimators_[0] if hasattr(model, "estimators_") else model
    return bool(first._support_missing_values(np.zeros((1, 1), np.float32)))


def tree_classifier(graph: Graph, model: Any, frame: Frame) -> Answer:
    return _voting(graph, model, [model], frame)


def forest_classifier(graph: Graph, model: Any, frame: Frame) -> Answer:
    return _voting(graph, model, model.estimators_, frame)


def _voting(graph: Graph, model: Any, members: Sequence[Any], frame: Frame) -> Answer:
    rows = cast_once(graph, frame, allow_nan=_takes_nan(model))
    if model.n_outputs_ == 1:
        return _classes(graph, members, 0, model.classes_, rows, _features(frame))
    parts = (_classes(graph, members, k, model.classes_[k], rows, _features(frame)) for k in range(model.n_outputs_))
    return Answer("values", parts=tuple(parts))


def _classes(graph: Graph, members: Sequence[Any], output: int, classes: Array, rows: str, features: int) -> Answer:
    count = len(classes)
    tables = [table_of(one.tree_, one.tree_.value[:, output, :count]) for one in members]
    chances = total(graph, tables, count, rows, features)
    if len(members) > 1:
        chances = graph.op("Div", chances, float(len(members)))
    return Answer("classes", classes=classes, votes=chances, probabilities=chances)


def tree_regressor(graph: Graph, model: Any, frame: Frame) -> Answer:
    return _mean(graph, model, [model], frame)


def forest_regressor(graph: Graph, model: Any, frame: Frame) -> Answer:
    return _mean(graph, model, model.estimators_, frame)


def _mean(graph: Graph, model: Any, members: Sequence[Any], frame: Frame) -> Answer:
    rows = cast_once(graph, frame, allow_nan=_takes_nan(model))
    tables = [table_of(one.tree_, one.tree_.value[:, :, 0]) for one in members]
    values = total(graph, tables, model.n_outputs_, rows, _features(frame))
    if len(members) > 1:
        values = graph.op("Div", values, float(len(members)))
    return Answer("value", value=values) if model.n_outputs_ == 1 else linear.split(graph, values, model.n_outputs_)


# -- boosting ------------------------------------------------------------------------------------------------------


def boosted_classifier(graph: Graph, model: Any, frame: Frame) -> Answer:
    raw = _stages(graph, model, frame)
    if model.n_trees_per_iteration_ > 1:
        chances = graph.op("Softmax", raw, axis=1)
        return Answer("classes", classes=model.classes_, votes=raw, decision=raw, probabilities=chances)
    scale = 2.0 if model.loss == "exponential" else 1.0
    chances = linear.of_two(graph, graph.op("Sigmoid", graph.op("Mul", raw, scale)))
    first = graph.op("Where", graph.op("GreaterOrEqual", raw, 0.0), -1.0, 1.0)  # 0 is the second class here
    first = graph.op("Add", first, graph.op("Mul", raw, 0.0))
    votes = graph.op("Concat", first, graph.op("Mul", raw, 0.0), axis=1)
    return Answer("classes", classes=model.classes_, votes=votes, decision=raw, probabilities=chances)


def boosted_regressor(graph: Graph, model: Any, frame: Frame) -> Answer:
    return Answer("value", value=_stages(graph, model, frame))


def _stages(graph: Graph, model: Any, frame: Frame) -> str:
    if not (isinstance(model.init_, str) or type(model.init_).__name__.startswith("Dummy")):
        raise NotExact(f"gradient boosting that starts from {type(model.init_).__name__}")
    rows = cast_once(graph, frame, allow_nan=_takes_nan_boosted(model))
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))[0]
    width = model.n_trees_per_iteration_
    tables = [
        table_of(one.tree_, model.learning_rate * one.tree_.value[:, :, 0], np.array([k]), count=width)
        for stage in model.estimators_
        for k, one in enumerate(stage)
    ]
    return graph.op("Add", total(graph, tables, width, rows, _features(frame)), np.asarray(start, np.float64))


def _takes_nan_boosted(model: Any) -> bool:
    return bool(model.estimators_[0, 0]._support_missing_values(np.zeros((1, 1), np.float32)))


def histogram_classifier(graph: Graph, model: Any, frame: Frame) -> Answer:
    raw = _histograms(graph, model, frame)
    if model.n_trees_per_iteration_ > 1:
        chances = graph.op("Softmax", raw, axis=1)
        return Answer("classes", classes=model.classes_, votes=raw, decision=raw, probabilities=chances)
    chances = linear.of_two(graph, graph.op("Sigmoid", raw))
    return linear.scored(graph, raw, model.classes_, chances)


def histogram_regressor(graph: Graph, model: Any, frame: Frame) -> Answer:
    raw = _histograms(graph, model, frame)
    link = type(model._loss.link).__name__
    if link not in ("IdentityLink", "LogLink"):
        raise NotExact(f"histogram gradient boosting with {link}")
    return Answer("value", value=raw if link == "IdentityLink" else graph.op("Exp", raw))


def _histograms(graph: Graph, model: Any, frame: Frame) -> str:
    from sqlinfer.functions.estimators import categories

    if model._preprocessor is not None:
        encoder = model._preprocessor.named_transformers_["encoder"]
        chosen = np.flatnonzero(model.is_categorical_)
        coded = categories.ordinal(graph, encoder, graph.take(frame, chosen.tolist()))
        frame = (*coded, *graph.take(frame, np.flatnonzero(~model.is_categorical_).tolist()))
    rows = graph.matrix(frame)
    width = model.n_trees_per_iteration_
    tables = [_histogram(one, k, width) for stage in model._predictors for k, one in enumerate(stage)]
    summed = total(graph, tables, width, rows, _features(frame))
    return graph.op("Add", summed, np.asarray(model._baseline_prediction, np.float64).reshape(1, -1))


def _histogram(predictor: Any, target: int, count: int) -> NodeTable:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    by_set = nodes["is_categorical"].astype(bool) & ~leaf
    mode = np.where(leaf, int(Mode.LEAF), np.where(by_set, int(Mode.MEMBER), int(Mode.LEQ))).astype(np.int64)
    sets = {int(at): _bits(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][at]]) for at in np.flatnonzero(by_set)}
    members = {at: one for at, one in sets.items() if one}
    none = np.isin(np.arange(len(nodes)), [at for at, one in sets.items() if not one])
    mode[none] = int(Mode.LEQ)  # no category is at or below minus infinity
    leaves = np.flatnonzero(leaf)
    threshold = np.where(none, -np.inf, np.where(leaf | by_set, 0.0, nodes["num_threshold"]))
    return NodeTable(
        np.zeros(1, np.int64), mode, np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64),
        threshold, np.where(leaf, 0, nodes["left"]).astype(np.int64),
        np.where(leaf, 0, nodes["right"]).astype(np.int64), nodes["missing_go_to_left"].astype(np.bool_) & ~leaf,
        leaves, np.full(len(leaves), target), nodes["value"][leaves].astype(np.float64), count, members,
    )  # fmt: skip


def _bits(words: Array) -> tuple[float, ...]:
    return tuple(float(32 * i + bit) for i, word in enumerate(words.tolist()) for bit in range(32) if word >> bit & 1)


# -- outliers ------------------------------------------------------------------------------------------------------


def isolation(graph: Graph, model: Any, frame: Frame) -> Answer:
    """2 to the power of minus the mean depth over the depth of a random tree."""
    from sklearn.ensemble._iforest import _average_path_length

    rows = cast_once(graph, frame, allow_nan=None)
    tables = []
    for i, (one, features) in enumerate(zip(model.estimators_, model.estimators_features_, strict=True)):
        depth = model._decision_path_lengths[i] + model._average_path_length_per_tree[i] - 1.0
        tables.append(table_of(one.tree_, np.asarray(depth, np.float64).reshape(-1, 1), features=features))
    depths = total(graph, tables, 1, rows, _features(frame))
    whole = len(model.estimators_) * float(_average_path_length([model._max_samples])[0])
    if not whole:
        raise NotExact("an isolation forest over one row")
    scores = graph.op("Pow", 2.0, graph.op("Neg", graph.op("Div", depths, whole)))
    return Answer("outlier", value=graph.op("Sub", graph.op("Neg", scores), float(model.offset_)))
