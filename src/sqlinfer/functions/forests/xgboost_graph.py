"""A model of XGBoost → an ONNX graph that gives its floats: sums start at the base score, as XGBoost's do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import onnx

from sqlinfer.functions.forests import ensemble, features, table
from sqlinfer.functions.forests.answers import flat, write_values
from sqlinfer.functions.forests.graph import GraphWriter
from sqlinfer.functions.forests.xgboost_file import XGBoostModel
from sqlinfer.functions.sources.original import NotExact, Results

LINKS: Final = {
    "binary:logistic": "logistic", "reg:logistic": "logistic", "binary:hinge": "hinge",
    "multi:softprob": "softmax", "multi:softmax": "softmax",
    "count:poisson": "exp", "reg:gamma": "exp", "reg:tweedie": "exp", "survival:cox": "exp", "survival:aft": "exp",
    "binary:logitraw": "none", "reg:squarederror": "none", "reg:linear": "none", "reg:squaredlogerror": "none",
    "reg:pseudohubererror": "none", "reg:absoluteerror": "none", "reg:quantileerror": "none",
    "rank:pairwise": "none", "rank:ndcg": "none", "rank:map": "none",
}  # fmt: skip
"""Objective → what is done with the sum of the trees."""
_LOGIT_BASE: Final = frozenset({"binary:logistic", "reg:logistic"})
_LARGEST_EXPONENT: Final = 88.7


@dataclass(frozen=True, slots=True)
class _Sums:
    value: str
    """[N,targets], float."""
    unseen: str | None


def results_of(model: XGBoostModel) -> Results:
    """What the model gives, by its objective."""
    targets = model.trees.targets
    if model.objective == "binary:logistic" and targets == 1:
        return Results("classes", ("0", "1"))
    if LINKS.get(model.objective) == "softmax":
        return Results("classes", tuple(str(one) for one in range(targets)))
    if targets == 1:
        return Results("value")
    return Results("values", names=tuple(f"y{one}" for one in range(targets)))


def features_of(model: XGBoostModel) -> tuple[features.Feature, ...]:
    """Without categories in the file, a categorical feature comes as its code."""
    return tuple(
        features.Feature(name, is_code and known is None, known if is_code else None)
        for name, is_code, known in zip(model.names, model.categorical, model.categories, strict=True)
    )


def margins_of_base(model: XGBoostModel) -> tuple[float, ...]:
    """Base scores in the space of sums, as floats, one for each target."""
    base = np.asarray(model.base, np.float32)
    one = np.float32(1)
    with np.errstate(all="ignore"):
        if model.objective in _LOGIT_BASE:
            base = -np.log(one / base - one, dtype=np.float32)
        elif LINKS.get(model.objective) == "exp":
            base = np.log(base, dtype=np.float32)
    if not np.isfinite(base).all():
        raise NotExact(f"its base score {model.base[0]} has no margin")
    return tuple(np.broadcast_to(base, model.trees.targets).astype(float).tolist())


def _weighted(model: XGBoostModel) -> table.NodeTable:
    """Leaves times the weights of their trees. The wrappers predict another way, which rounds each leaf by the base
    score first."""
    if not model.tree_weights:
        return model.trees
    leaves = model.trees.weight.astype(np.float32)
    if model.is_wrapped:
        base = np.asarray(margins_of_base(model), np.float32)[model.trees.target]
        leaves = (leaves + base) - base
    scales = np.asarray(model.tree_weights, np.float32)[model.trees.trees[model.trees.leaf]]
    return replace(model.trees, weight=(leaves * scales).astype(np.float64))


def graph_of(model: XGBoostModel) -> onnx.ModelProto:
    """Raises NotExact."""
    if model.is_linear:
        raise NotExact("it is a linear booster (gblinear), and not trees")
    if model.objective not in LINKS:
        raise NotExact(f"the objective '{model.objective}' is not known here")
    targets = model.trees.targets
    trees = table.joined([table.constant(margins_of_base(model)), _weighted(model)], targets)
    results = results_of(model)
    names = (*results.names, "value", "label", "probabilities")
    writer = GraphWriter(ensemble.ml_opset(trees, double=False))
    rows = features.matrix(writer, features_of(model), "float", names)
    sums = _Sums(ensemble.sums(writer, trees, rows.rows, double=False), rows.unseen)
    if results.kind == "classes":
        _classes(writer, model, sums)
        return writer.model()
    value = _refused(writer, sums, _linked(writer, LINKS[model.objective], sums.value))
    write_values(writer, results, value)
    return writer.model()


def _refused(writer: GraphWriter, sums: _Sums, value: str) -> str:
    """As doubles; not a number where XGBoost refuses a category that it has not seen."""
    value = writer.cast(value, "double")
    return value if sums.unseen is None else writer.op("Where", sums.unseen, writer.constant(np.nan, np.float64), value)


def _linked(writer: GraphWriter, link: str, sums: str) -> str:
    if link == "logistic":
        return _logistic(writer, sums)
    if link == "exp":
        return _exp(writer, sums)
    if link == "hinge":
        return writer.cast(writer.op("Greater", sums, writer.constant(0, np.float32)), "float")
    return sums


def _exp(writer: GraphWriter, value: str) -> str:
    """Rounded to a float once, as a good ``expf`` does."""
    return writer.cast(writer.op("Exp", writer.cast(value, "double")), "float")


def _logistic(writer: GraphWriter, sums: str) -> str:
    one = writer.constant(1, np.float32)
    turned = writer.op("Min", writer.op("Neg", sums), writer.constant(_LARGEST_EXPONENT, np.float32))
    return writer.op("Div", one, writer.op("Add", _exp(writer, turned), one))


def _softmax(writer: GraphWriter, sums: str) -> str:
    axis = writer.constant([1], np.int64)
    above = writer.op("Sub", sums, writer.op("ReduceMax", sums, axis))
    grown = _exp(writer, above)
    total = writer.op("ReduceSum", writer.cast(grown, "double"), axis)
    return writer.op("Div", grown, writer.cast(total, "float"))


def _classes(writer: GraphWriter, model: XGBoostModel, sums: _Sums) -> None:
    if LINKS[model.objective] == "softmax":
        probabilities = _softmax(writer, sums.value)
        looked_at = sums.value if model.objective == "multi:softmax" else probabilities
        label = writer.op("ArgMax", looked_at, axis=1, keepdims=0)
        width = model.trees.targets
    else:
        second = _logistic(writer, sums.value)
        probabilities = writer.op("Concat", writer.op("Sub", writer.constant(1, np.float32), second), second, axis=1)
        above = writer.op("Greater", second, writer.constant(0.5, np.float32))
        label, width = flat(writer, writer.cast(above, "int64")), 2
    writer.output(_known_label(writer, label, sums.unseen, width), "label", "int64", None)
    writer.output(_refused(writer, sums, probabilities), "probabilities", "double", width)


def _known_label(writer: GraphWriter, label: str, unseen: str | None, width: int) -> str:
    """The label; looking for one that there is not fails for the row that has an unseen category."""
    if unseen is None:
        return label
    beyond = writer.op("Mul", flat(writer, writer.cast(unseen, "int64")), writer.constant(width, np.int64))
    return writer.op("Gather", writer.constant(np.arange(width)), writer.op("Add", label, beyond))
