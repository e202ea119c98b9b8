"""Multi-layer perceptrons."""

from __future__ import annotations

from typing import Any

from sqlinfer.functions.estimators import linear
from sqlinfer.functions.estimators.answer import Answer
from sqlinfer.functions.estimators.graph import Frame, Graph
from sqlinfer.functions.sources.original import NotExact

_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid", "softmax": "Softmax", "identity": "Identity"}


def _activated(graph: Graph, x: str, name: str) -> str:
    if name not in _ACTIVATIONS:
        raise NotExact(f"the activation '{name}' of a perceptron")
    return x if name == "identity" else graph.op(_ACTIVATIONS[name], x)


def _forward(graph: Graph, model: Any, frame: Frame) -> tuple[str, str]:
    """The last layer before and after its activation."""
    x = graph.checked(frame)
    last = len(model.coefs_) - 1
    for i, (weights, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        x = linear.affine(graph, x, weights.T, bias)
        if i != last:
            x = _activated(graph, x, model.activation)
    return x, _activated(graph, x, model.out_activation_)


def classifier(graph: Graph, model: Any, frame: Frame) -> Answer:
    if getattr(model._label_binarizer, "y_type_", "") == "multilabel-indicator":
        raise NotExact("MLPClassifier over several labels at once")
    _, chances = _forward(graph, model, frame)
    if model.n_outputs_ == 1:
        votes = graph.op("Concat", graph.op("Add", graph.op("Mul", chances, 0.0), 0.5), chances, axis=1)
        return Answer("classes", classes=model.classes_, votes=votes, probabilities=linear.of_two(graph, chances))
    return Answer("classes", classes=model.classes_, votes=chances, probabilities=chances)


def regressor(graph: Graph, model: Any, frame: Frame) -> Answer:
    _, values = _forward(graph, model, frame)
    return Answer("value", value=values) if model.n_outputs_ == 1 else linear.split(graph, values, model.n_outputs_)
