"""Linear models: weights, an intercept, and a link."""

from __future__ import annotations

from typing import Any

import numpy as np

from sqlinfer.functions.estimators.answer import Answer
from sqlinfer.functions.estimators.graph import Frame, Graph
from sqlinfer.functions.sources.original import NotExact


def regressor(graph: Graph, model: Any, frame: Frame) -> Answer:
    x = graph.checked(frame)
    weights = np.atleast_2d(np.asarray(model.coef_, np.float64))
    values = affine(graph, x, weights, model.intercept_)
    if np.ndim(model.coef_) == 2 and len(weights) > 1:
        return split(graph, values, len(weights))
    return Answer("value", value=values)


def split(graph: Graph, values: str, width: int) -> Answer:
    """[N,K] → one value for each target."""
    parts = (graph.op("Gather", values, np.array([k]), axis=1) for k in range(width))
    return Answer("values", parts=tuple(Answer("value", value=part) for part in parts))


def affine(graph: Graph, x: str, weights: Any, intercept: Any) -> str:
    """x · weightsᵀ + intercept, for weights [K,F]."""
    product = graph.op("MatMul", x, np.asarray(weights, np.float64).T)
    return graph.op("Add", product, np.atleast_1d(np.asarray(intercept, np.float64)))


def generalised(graph: Graph, model: Any, frame: Frame) -> Answer:
    raw = affine(graph, graph.checked(frame), np.atleast_2d(model.coef_), model.intercept_)
    link = type(model._base_loss.link).__name__
    if link == "IdentityLink":
        return Answer("value", value=raw)
    if link != "LogLink":
        raise NotExact(f"{type(model).__name__} with {link}")
    return Answer("value", value=graph.op("Exp", raw))


def decision(graph: Graph, model: Any, frame: Frame) -> Answer:
    """A classifier that has no probabilities."""
    return scored(graph, affine(graph, graph.checked(frame), model.coef_, model.intercept_), model.classes_)


def scored(graph: Graph, scores: str, classes: Any, probabilities: str | None = None) -> Answer:
    """From ``decision_function``: [N,1] for two classes, above 0 the second."""
    two = len(classes) == 2
    votes = graph.op("Concat", graph.op("Mul", scores, 0.0), scores, axis=1) if two else scores
    return Answer("classes", classes=np.asarray(classes), votes=votes, decision=scores, probabilities=probabilities)


def logistic(graph: Graph, model: Any, frame: Frame) -> Answer:
    scores = affine(graph, graph.checked(frame), model.coef_, model.intercept_)
    if len(model.classes_) == 2:
        return scored(graph, scores, model.classes_, of_two(graph, graph.op("Sigmoid", scores)))
    if getattr(model, "solver", "") == "liblinear":
        return scored(graph, scores, model.classes_, normalised(graph, graph.op("Sigmoid", scores), model.classes_))
    return scored(graph, scores, model.classes_, graph.op("Softmax", scores, axis=1))


def of_two(graph: Graph, second: str) -> str:
    """[N,1], the probability of the second class → [N,2]."""
    return graph.op("Concat", graph.op("Sub", 1.0, second), second, axis=1)


def normalised(graph: Graph, scores: str, classes: Any) -> str:
    """Each row by its sum; all alike where the sum is 0."""
    total = graph.op("ReduceSum", scores, np.array([1]), keepdims=1)
    none = graph.op("Equal", total, 0.0)
    safe = graph.op("Where", none, 1.0, total)
    return graph.op("Where", none, 1.0 / len(classes), graph.op("Div", scores, safe))


def stochastic(graph: Graph, model: Any, frame: Frame) -> Answer:
    """SGDClassifier: what it has of probabilities depends on its loss."""
    scores = affine(graph, graph.checked(frame), model.coef_, model.intercept_)
    classes, two = model.classes_, len(model.classes_) == 2
    if model.loss == "log_loss":
        chances = graph.op("Sigmoid", scores)
    elif model.loss == "modified_huber":
        clipped = graph.op("Clip", scores, -1.0, 1.0)
        chances = graph.op("Div", graph.op("Add", clipped, 1.0), 2.0)
    else:
        return scored(graph, scores, classes)
    return scored(graph, scores, classes, of_two(graph, chances) if two else normalised(graph, chances, classes))
