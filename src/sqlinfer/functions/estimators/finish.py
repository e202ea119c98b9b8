"""From the last answer to the outputs of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from sqlinfer.functions.estimators.answer import Answer
from sqlinfer.functions.estimators.convert import answered, transformed
from sqlinfer.functions.estimators.graph import Array, Frame, Graph, Kind, Piece
from sqlinfer.functions.sources.original import PACKED, NotExact, Results

_KINDS: dict[str, Kind] = {"number": "double", "text": "string", "integer": "int64", "boolean": "bool"}


def written(model: Any, results: Results, kinds: Sequence[str], places: Sequence[int], count: int, *,
            is_none: bool = False) -> onnx.ModelProto:  # fmt: skip
    """The graph of an estimator.

    Args:
        kinds: of the arguments, in order; their inputs have names of ours, so that no column's name meets one.
        places: of the arguments among the ``count`` features of the estimator.
        is_none: whether missing texts are None to the estimator, and not NaN.

    Raises:
        NotExact: there is no exact conversion.
    """
    graph = Graph(is_none=is_none)
    frame = _frame(graph, _given(graph, kinds), places, count)
    if results.kind == "vector":
        made = transformed(graph, model, frame)
        width = sum(piece.width for piece in made)
        graph.output(graph.poisoned(graph.matrix(made)), "vector", "double", width)
    else:
        answer = answered(graph, model, frame)
        if answer.kind != results.kind:
            raise NotExact(f"{type(model).__name__} answers {results.kind}, and its conversion {answer.kind}")
        _outputs(graph, answer, results)
    return graph.model()


def _given(graph: Graph, kinds: Sequence[str]) -> Frame:
    """The arguments: numbers alone as one matrix, else one input for each."""
    if all(kind == "number" for kind in kinds):
        return (Piece(graph.input(PACKED, "double", len(kinds)), len(kinds)),)
    return tuple(graph.column(f"argument_{i}", _KINDS[kind]) for i, kind in enumerate(kinds))


def _frame(graph: Graph, given: Frame, places: Sequence[int], count: int) -> Frame:
    """All features; those that nothing looks at are 0."""
    if list(places) == list(range(count)):
        return given
    given = tuple(graph.take(given, [i])[0] for i in range(len(places)))
    by_place = dict(zip(places, given, strict=True))
    nothing = Piece(_zero(graph, given[0]), 1, finite=True)
    return tuple(by_place.get(i, nothing) for i in range(count))


def _zero(graph: Graph, piece: Piece) -> str:
    if piece.kind == "string":
        return graph.op("Where", graph.op("Equal", piece.tensor, np.array([[""]])), 0.0, 0.0)
    return graph.op("Where", graph.op("IsNaN", graph.as_kind(piece, "double").tensor), 0.0, 0.0)


def _outputs(graph: Graph, answer: Answer, results: Results) -> None:
    if answer.kind == "values":
        for name, part in zip(results.names, answer.parts, strict=True):
            _one(graph, part, name, name)
    else:
        _one(graph, answer, "value", "label")
    if answer.kind == "classes" and answer.probabilities is not None and answer.classes is not None:
        graph.output(graph.poisoned(answer.probabilities), "probabilities", "double", len(answer.classes))


def _one(graph: Graph, answer: Answer, value: str, label: str) -> None:
    if answer.value is not None:
        whole = graph.poisoned(answer.value)
        graph.output(_flat(graph, whole), value, "double", None)
        if answer.kind == "outlier":
            inside = graph.op("Where", graph.op("GreaterOrEqual", whole, 0.0), np.array(1), np.array(-1))
            graph.output(_flat(graph, inside), label, "int64", None)
        return
    if answer.votes is None:
        raise NotExact("an estimator without an answer of its own")
    chosen = graph.op("ArgMax", graph.poisoned(answer.votes), axis=1, keepdims=0)
    if answer.classes is None:
        graph.output(chosen, label, "int64", None)
        return
    table, kind = _labels(answer.classes)
    said = graph.op("Gather", table, chosen, axis=0)
    if kind == "double":  # a label that is NaN says itself that there is none
        said = _flat(graph, graph.poisoned(graph.op("Reshape", said, np.array([-1, 1]))))
    graph.output(said, label, kind, None)


def _labels(classes: Array) -> tuple[Array, Kind]:
    kinds: dict[str, Kind] = {"i": "int64", "u": "int64", "b": "bool", "f": "double"}
    kind = kinds.get(classes.dtype.kind, "string")
    if kind == "string":
        return np.array([str(one) for one in classes.tolist()], dtype=object), kind
    return classes.astype(np.float64 if kind == "double" else classes.dtype), kind


def _flat(graph: Graph, column: str) -> str:
    return graph.op("Reshape", column, np.array([-1]))
