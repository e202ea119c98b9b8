"""Clusters by the nearest centre, and projections."""

from __future__ import annotations

from typing import Any

import numpy as np

from sqlinfer.functions.estimators.answer import Answer
from sqlinfer.functions.estimators.graph import Array, Frame, Graph, Piece


def nearest_centre(graph: Graph, model: Any, frame: Frame) -> Answer:
    """By ``|c|² - 2 x·c``, as the library compares: the square of x is the same for every centre."""
    x = graph.checked(frame)
    centres = np.asarray(model.cluster_centers_, np.float64)
    return Answer("cluster", votes=graph.op("Neg", _partial(graph, x, centres)))


def _partial(graph: Graph, x: str, centres: Array) -> str:
    cross = graph.op("MatMul", x, -2.0 * centres.T)
    return graph.op("Add", cross, np.einsum("ij,ij->i", centres, centres))


def distances(graph: Graph, model: Any, frame: Frame) -> Frame:
    """KMeans as a step: the distance to every centre."""
    x = graph.checked(frame)
    centres = np.asarray(model.cluster_centers_, np.float64)
    own = graph.op("ReduceSum", graph.op("Mul", x, x), np.array([1]), keepdims=1)
    squares = graph.op("Add", _partial(graph, x, centres), own)
    tensor = graph.op("Sqrt", graph.op("Max", squares, 0.0))
    return (Piece(tensor, len(centres), finite=True),)


def components(graph: Graph, step: Any, frame: Frame) -> Frame:
    """PCA."""
    x = graph.checked(frame)
    made = graph.op("MatMul", x, step.components_.T)
    if step.mean_ is not None:
        made = graph.op("Sub", made, step.mean_.reshape(1, -1) @ step.components_.T)
    if step.whiten:
        scale = np.sqrt(step.explained_variance_)
        made = graph.op("Div", made, np.maximum(scale, np.finfo(scale.dtype).eps))
    return (Piece(made, len(step.components_), finite=True),)


def singular(graph: Graph, step: Any, frame: Frame) -> Frame:
    """TruncatedSVD."""
    return (Piece(graph.op("MatMul", graph.checked(frame), step.components_.T), len(step.components_), finite=True),)


def discriminant_axes(graph: Graph, step: Any, frame: Frame) -> Frame:
    x = graph.checked(frame)
    if step.solver == "svd":
        x = graph.op("Sub", x, step.xbar_)
    made = graph.op("MatMul", x, step.scalings_[:, : step._max_components])
    return (Piece(made, min(step._max_components, step.scalings_.shape[1]), finite=True),)
