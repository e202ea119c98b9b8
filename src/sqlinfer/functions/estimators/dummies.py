"""Dummy estimators: constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from sqlinfer.functions.estimators import linear
from sqlinfer.functions.estimators.answer import Answer
from sqlinfer.functions.estimators.graph import Frame, Graph
from sqlinfer.functions.sources.original import NotExact


def _same(graph: Graph, frame: Frame, values: Any) -> str:
    """[N,K] of one row of values."""
    first = graph.take(frame, [0])[0]
    if first.kind == "string":
        zero = graph.op("Where", graph.op("Equal", first.tensor, np.array([[""]])), 0.0, 0.0)
    else:
        number = graph.as_kind(first, "double").tensor
        zero = graph.op("Where", graph.op("IsNaN", number), 0.0, 0.0)
    return graph.op("Add", zero, np.asarray(values, np.float64).reshape(1, -1))


def classifier(graph: Graph, model: Any, frame: Frame) -> Answer:
    if model.strategy not in ("most_frequent", "prior", "constant"):
        raise NotExact(f"DummyClassifier with strategy '{model.strategy}' draws at random")
    if model.n_outputs_ != 1:
        raise NotExact("DummyClassifier of several outputs")
    chances = model.predict_proba(np.zeros((1, 1)))[0]
    said = model.predict(np.zeros((1, 1)))[0]
    votes = (np.asarray(model.classes_) == said).astype(np.float64)
    return Answer("classes", classes=model.classes_, votes=_same(graph, frame, votes),
                  probabilities=_same(graph, frame, chances))  # fmt: skip


def regressor(graph: Graph, model: Any, frame: Frame) -> Answer:
    values = np.ravel(model.constant_)
    made = _same(graph, frame, values)
    return Answer("value", value=made) if len(values) == 1 else linear.split(graph, made, len(values))
