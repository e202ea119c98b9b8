"""A model of LightGBM → an ONNX graph that gives its doubles."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx

from sqlinfer.functions.forests import ensemble, features
from sqlinfer.functions.forests.answers import write_values
from sqlinfer.functions.forests.graph import GraphWriter
from sqlinfer.functions.forests.lightgbm_file import LightGBMModel
from sqlinfer.functions.sources.original import NotExact, Results

ZERO: Final = float(np.float32(1e-35))
"""What LightGBM takes as zero: rows are read without their zeros."""
_PLAIN: Final = frozenset({
    "regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg", "custom",
})  # fmt: skip
_EXP: Final = frozenset({"poisson", "gamma", "tweedie"})
_LOGISTIC: Final = frozenset({"binary", "cross_entropy", "multiclassova"})


def results_of(model: LightGBMModel) -> Results:
    targets = model.trees.targets
    if model.objective == "binary":
        return Results("classes", ("0", "1"))
    if model.objective in ("multiclass", "multiclassova"):
        return Results("classes", tuple(str(one) for one in range(targets)))
    if targets == 1:
        return Results("value")
    return Results("values", names=tuple(f"y{one}" for one in range(targets)))


def features_of(model: LightGBMModel) -> tuple[features.Feature, ...]:
    return tuple(
        features.Feature(name, place in model.codes and place not in model.categories, model.categories.get(place))
        for place, name in enumerate(model.names)
    )


def graph_of(model: LightGBMModel) -> onnx.ModelProto:
    """Raises NotExact."""
    if model.is_linear:
        raise NotExact("its leaves are linear models (linear_tree)")
    results = results_of(model)
    writer = GraphWriter(ensemble.ml_opset(model.trees, double=True))
    given = features.matrix(writer, features_of(model), "double", (*results.names, "value", "label", "probabilities"))
    rows = _columns(writer, model, given.rows)
    sums = ensemble.sums(writer, model.trees, rows, double=True)
    if model.averaged_over > 1:
        sums = writer.op("Div", sums, writer.constant(float(model.averaged_over), np.float64))
    value = _linked(writer, model, sums)
    if results.kind == "classes":
        _classes(writer, model, value)
    else:
        write_values(writer, results, value)
    return writer.model()


def _columns(writer: GraphWriter, model: LightGBMModel, rows: str) -> str:
    """What the nodes look at, made from the features: in most models the features as they are."""
    made = [
        _column(writer, rows, kind, [feature for feature, missing in model.columns if missing == kind])
        for kind in ("none", "zero", "nan", "code")
        if any(missing == kind for _, missing in model.columns)
    ]
    if not made:
        return rows
    order = [
        place for kind in ("none", "zero", "nan", "code") for place, one in enumerate(model.columns) if one[1] == kind
    ]
    joined = writer.op("Concat", *made, axis=1) if len(made) > 1 else made[0]
    if order == sorted(order):
        return joined
    return writer.op("Gather", joined, writer.constant(np.argsort(order)), axis=1)


def _column(writer: GraphWriter, rows: str, kind: str, wanted: list[int]) -> str:
    values = writer.op("Gather", rows, writer.constant(np.asarray(wanted, np.int64)), axis=1)
    zero = writer.constant(0.0, np.float64)
    tiny = writer.op("LessOrEqual", writer.op("Abs", values), writer.constant(ZERO, np.float64))
    if kind == "zero":
        return writer.op("Where", tiny, writer.constant(np.nan, np.float64), values)
    values = writer.op("Where", tiny, zero, values)
    if kind == "none":
        return writer.op("Where", writer.op("IsNaN", values), zero, values)
    return _codes(writer, values) if kind == "code" else values


def _codes(writer: GraphWriter, values: str) -> str:
    """Cut to whole numbers, -0.5 to 0; what is below, missing or none of 31 bits is in no set."""
    positive = writer.op("Greater", values, writer.constant(-1.0, np.float64))
    small = writer.op("Less", values, writer.constant(2.0**31, np.float64))
    kept = writer.op("Where", writer.op("And", positive, small), values, writer.constant(-1.0, np.float64))
    return writer.cast(writer.cast(kept, "int64"), "double")


def _linked(writer: GraphWriter, model: LightGBMModel, sums: str) -> str:
    if model.objective in _PLAIN:
        return _squared(writer, sums) if "sqrt" in model.parameters else sums
    if model.objective in _EXP:
        return writer.op("Exp", sums)
    if model.objective in _LOGISTIC:
        return _logistic(writer, sums, float(model.parameters.get("sigmoid", "1")))
    if model.objective == "cross_entropy_lambda":
        return _log1p_exp(writer, sums)
    if model.objective == "multiclass":
        return writer.op("Softmax", sums, axis=1)
    raise NotExact(f"the objective '{model.objective}' is not known here")


def _squared(writer: GraphWriter, sums: str) -> str:
    return writer.op("Mul", writer.op("Sign", sums), writer.op("Mul", sums, sums))


def _logistic(writer: GraphWriter, sums: str, slope: float) -> str:
    one = writer.constant(1.0, np.float64)
    scaled = sums if slope == 1 else writer.op("Mul", writer.constant(slope, np.float64), sums)
    return writer.op("Div", one, writer.op("Add", one, writer.op("Exp", writer.op("Neg", scaled))))


def _log1p_exp(writer: GraphWriter, sums: str) -> str:
    """log1p(y) with y = exp(x), also where y is lost in 1 + y: log(u)·y / (u - 1) with u = 1 + y."""
    one = writer.constant(1.0, np.float64)
    grown = writer.op("Exp", sums)
    above = writer.op("Add", one, grown)
    lost = writer.op("Equal", above, one)
    ratio = writer.op("Div", writer.op("Mul", writer.op("Log", above), grown), writer.op("Sub", above, one))
    return writer.op("Where", lost, grown, ratio)


def _classes(writer: GraphWriter, model: LightGBMModel, value: str) -> None:
    """The label is the first of the greatest, as the wrapper for scikit-learn takes it."""
    width = model.trees.targets
    if model.objective == "binary":
        value = writer.op("Concat", writer.op("Sub", writer.constant(1.0, np.float64), value), value, axis=1)
        width = 2
    writer.output(writer.op("ArgMax", value, axis=1, keepdims=0), "label", "int64", None)
    writer.output(value, "probabilities", "double", width)
