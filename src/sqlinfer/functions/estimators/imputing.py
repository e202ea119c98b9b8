"""Imputers: what stands for a missing value, and columns that say where it was missing."""

from __future__ import annotations

from typing import Any

import numpy as np

from sqlinfer.functions.estimators.categories import MISSING_TEXT, columns_of, is_missing
from sqlinfer.functions.estimators.graph import Frame, Graph, Piece
from sqlinfer.functions.sources.original import NotExact


def simple(graph: Graph, step: Any, frame: Frame) -> Frame:
    columns = columns_of(graph, frame)
    gaps = [_missing(graph, step.missing_values, column) for column in columns]
    filled = []
    for column, gap, value in zip(columns, gaps, step.statistics_.tolist(), strict=True):
        if column.kind == "double" and not column.finite:
            graph.refuse_not_finite(column.tensor, allow_nan=is_missing(step.missing_values))
        if is_missing(value) and not step.keep_empty_features:
            continue
        filled.append(_fill(graph, column, gap, value))
    return (*_joined(graph, filled), *_indicator(graph, step, gaps))


def _joined(graph: Graph, columns: list[Piece]) -> Frame:
    """Numbers as one piece."""
    if len(columns) > 1 and all(column.kind == "double" for column in columns):
        return (Piece(graph.matrix(tuple(columns)), len(columns), finite=True),)
    return tuple(columns)


def _missing(graph: Graph, marker: Any, column: Piece) -> str | None:
    """[N,1] of booleans; None: the column cannot miss a value."""
    if column.kind == "string":
        if is_missing(marker) and (marker is None) != graph.is_none:
            return None  # to an imputer of NaN, None is a category
        return graph.op("Equal", column.tensor, np.array([[MISSING_TEXT if is_missing(marker) else str(marker)]]))
    if is_missing(marker):
        return graph.op("IsNaN", column.tensor) if column.kind in ("double", "float") else None
    return graph.op("Equal", graph.as_kind(column, "double").tensor, float(marker))


def _fill(graph: Graph, column: Piece, gap: str | None, value: Any) -> Piece:
    if gap is None:
        return column
    if column.kind == "string":
        return Piece(graph.op("Where", gap, np.array([[str(value)]]), column.tensor), 1, "string", finite=True)
    number = graph.as_kind(column, "double").tensor
    return Piece(graph.op("Where", gap, float(value), number), 1, finite=True)


def _indicator(graph: Graph, step: Any, gaps: list[str | None]) -> Frame:
    if not step.add_indicator:
        return ()
    indicator = step.indicator_
    features = indicator.features_ if indicator.features == "missing-only" else range(len(gaps))
    return tuple(_flag(graph, gaps[int(i)]) for i in features)


def _flag(graph: Graph, gap: str | None) -> Piece:
    if gap is None:
        raise NotExact("an indicator of missing values over whole numbers")
    return Piece(graph.op("Where", gap, 1.0, 0.0), 1, finite=True)


def indicator(graph: Graph, step: Any, frame: Frame) -> Frame:
    columns = columns_of(graph, frame)
    gaps = [_missing(graph, step.missing_values, column) for column in columns]
    if step.features == "missing-only" and step.error_on_new:
        for i, gap in enumerate(gaps):
            if gap is not None and i not in step.features_:
                graph.refuse(gap)
    return tuple(_flag(graph, gaps[int(i)]) for i in step.features_)
