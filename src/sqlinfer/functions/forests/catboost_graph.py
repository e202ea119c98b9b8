"""A model of CatBoost over numbers → an ONNX graph: rows as floats, sums as doubles."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import onnx

from sqlinfer.functions.forests import ensemble, oblivious
from sqlinfer.functions.forests.answers import flat, write_values
from sqlinfer.functions.forests.catboost_file import CatBoostModel
from sqlinfer.functions.forests.graph import GraphWriter
from sqlinfer.functions.sources.original import PACKED, NotExact, Results

BINARY: Final = frozenset({"Logloss", "CrossEntropy"})
SEVERAL: Final = frozenset({"MultiClass", "MultiClassOneVsAll"})
EXPONENT: Final = frozenset({"Poisson", "Tweedie"})
"""Whose regressors predict the exponent of the sum; that of LogLinQuantile is the sum, as in CatBoost's own predict."""
_NOT_KNOWN: Final = frozenset({"RMSEWithUncertainty", "MultiLogloss", "MultiCrossEntropy", "Cox", "SurvivalAft"})


def results_of(model: CatBoostModel) -> Results:
    if model.loss in BINARY | SEVERAL:
        return Results("classes", tuple(str(one) for one in classes_of(model)))
    targets = len(model.bias)
    return Results("value") if targets == 1 else Results("values", names=tuple(f"y{one}" for one in range(targets)))


def classes_of(model: CatBoostModel) -> tuple[str | int | float, ...]:
    count = 2 if model.loss in BINARY else len(model.bias)
    return model.classes if len(model.classes) == count else tuple(range(count))


def are_whole(classes: tuple[str | int | float, ...]) -> bool:
    """Whether labels are whole numbers; others, booleans too, are texts."""
    return all(isinstance(one, int) and not isinstance(one, bool) for one in classes)


def graph_of(model: CatBoostModel) -> onnx.ModelProto:
    """Raises NotExact."""
    if model.inexact or model.loss in _NOT_KNOWN:
        raise NotExact(model.inexact or f"the loss '{model.loss}' is not known here")
    writer = GraphWriter(ensemble.ml_opset(model.trees, double=True))
    rows = writer.input(PACKED, "float", max(model.features, 1))
    if model.oblivious is not None:
        sums = oblivious.sums(writer, model.oblivious, rows)
    else:
        sums = ensemble.sums(writer, model.trees, writer.cast(rows, "double"), double=True)
    scaled = writer.op("Mul", sums, writer.constant(model.scale, np.float64))
    value = writer.op("Add", scaled, writer.constant(np.asarray(model.bias, np.float64)))
    results = results_of(model)
    if results.kind == "classes":
        _classes(writer, model, value)
        return writer.model()
    value = writer.op("Exp", value) if model.loss in EXPONENT else value
    write_values(writer, results, value)
    return writer.model()


def _logistic(writer: GraphWriter, value: str) -> str:
    one = writer.constant(1.0, np.float64)
    return writer.op("Div", one, writer.op("Add", one, writer.op("Exp", writer.op("Neg", value))))


def _classes(writer: GraphWriter, model: CatBoostModel, value: str) -> None:
    if model.loss in BINARY:
        limit = writer.constant(math.log(model.threshold / (1 - model.threshold)), np.float64)
        place = flat(writer, writer.cast(writer.op("Greater", value, limit), "int64"))
        both = [_logistic(writer, writer.op("Neg", value)), _logistic(writer, value)]
        probabilities = writer.op("Concat", *both, axis=1)
    else:
        place = writer.op("ArgMax", value, axis=1, keepdims=0)
        alone = model.loss == "MultiClassOneVsAll"
        probabilities = _logistic(writer, value) if alone else writer.op("Softmax", value, axis=1)
    classes = classes_of(model)
    whole = are_whole(classes)
    labels = writer.constant(list(classes), np.int64) if whole else writer.constant([str(c) for c in classes], object)
    writer.output(writer.op("Gather", labels, place), "label", "int64" if whole else "string", None)
    writer.output(probabilities, "probabilities", "double", len(classes))
