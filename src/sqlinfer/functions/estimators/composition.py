"""What holds other steps together: pipelines, columns, unions, searches, transformed targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from sqlinfer.functions.estimators.answer import Answer
from sqlinfer.functions.estimators.convert import answered, transformed
from sqlinfer.functions.estimators.graph import Frame, Graph, Piece
from sqlinfer.functions.estimators.scaling import expm1
from sqlinfer.functions.sources.original import NotExact


def is_nothing(step: Any) -> bool:
    return step is None or (isinstance(step, str) and step == "passthrough")


def pipeline(graph: Graph, model: Any, frame: Frame) -> Frame:
    for _, step in model.steps:
        frame = transformed(graph, step, frame)
    return frame


def pipeline_answer(graph: Graph, model: Any, frame: Frame) -> Answer:
    *steps, (_, last) = model.steps
    for _, step in steps:
        frame = transformed(graph, step, frame)
    return answered(graph, last, frame)


def columns(graph: Graph, step: Any, frame: Frame) -> Frame:
    """ColumnTransformer."""
    found: list[Piece] = []
    for name, inner, _ in step.transformers_:
        chosen = [int(i) for i in step._transformer_to_input_indices.get(name, ())]
        if not chosen or (isinstance(inner, str) and inner == "drop"):
            continue
        part = graph.take(frame, chosen)
        part = part if is_nothing(inner) else transformed(graph, inner, part)
        found += _scaled(graph, part, (step.transformer_weights or {}).get(name))
    return tuple(found)


def union(graph: Graph, step: Any, frame: Frame) -> Frame:
    found: list[Piece] = []
    for name, inner in step.transformer_list:
        if isinstance(inner, str) and inner == "drop":
            continue
        part = frame if is_nothing(inner) else transformed(graph, inner, frame)
        found += _scaled(graph, part, (step.transformer_weights or {}).get(name))
    return tuple(found)


def _scaled(graph: Graph, frame: Frame, weight: float | None) -> Frame:
    if weight is None:
        return frame
    width = sum(piece.width for piece in frame)
    scaled = graph.op("Mul", graph.matrix(frame), float(weight))
    return (Piece(scaled, width, finite=all(piece.finite for piece in frame)),)


def searched(graph: Graph, model: Any, frame: Frame) -> Answer:
    return answered(graph, model.best_estimator_, frame)


def selected(graph: Graph, model: Any, frame: Frame) -> Answer:
    """RFE: its estimator over the columns that it kept."""
    return answered(graph, model.estimator_, transformed(graph, model, frame))


def transformed_target(graph: Graph, model: Any, frame: Frame) -> Answer:
    """TransformedTargetRegressor: what undoes the transform of the target, where it is known."""
    inner = answered(graph, model.regressor_, frame)
    if inner.value is None:
        raise NotExact("a transformed target of several columns")
    return Answer("value", value=_undone(graph, model.transformer_, inner.value))


def _undone(graph: Graph, step: Any, value: str) -> str:
    kind = type(step).__name__
    if kind == "FunctionTransformer" and step.inverse_func in _INVERSES:
        name = _INVERSES[step.inverse_func]
        return value if name is None else (expm1(graph, value) if name == "expm1" else graph.op(name, value))
    if kind == "StandardScaler":
        scaled = graph.op("Mul", value, np.asarray(step.scale_)) if step.with_std else value
        return graph.op("Add", scaled, np.asarray(step.mean_)) if step.with_mean else scaled
    if kind == "MinMaxScaler":
        return graph.op("Div", graph.op("Sub", value, np.asarray(step.min_)), np.asarray(step.scale_))
    raise NotExact(f"a target that {kind} transforms")


_INVERSES: dict[Any, str | None] = {None: None, np.exp: "Exp", np.expm1: "expm1", np.sqrt: "Sqrt"}
