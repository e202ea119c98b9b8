"""Encoders: a category's place is looked up, and what the library makes of that place follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from onnx import TensorProto, helper

from sqlinfer.functions.estimators.graph import Array, Frame, Graph, Piece

MISSING_TEXT: Final = "\ufdd0"
"""What stands for a missing text in a graph: a code point that Unicode keeps out of texts."""


def is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def kind_of(categories: Array) -> str:
    """``text``, ``integer``, ``boolean`` or ``number``: what the values of a column are."""
    known = [value for value in categories.tolist() if not is_missing(value)]
    if any(isinstance(value, str) for value in known):
        return "text"
    if known and all(isinstance(value, bool | np.bool_) for value in known):
        return "boolean"
    return "integer" if known and all(isinstance(value, int | np.integer) for value in known) else "number"


def place(graph: Graph, column: Piece, categories: Array) -> str:
    """[N,1] int64: where in the categories each value stands, -1 for none. The last of NaN and None is both."""
    keys = categories.tolist()
    if kind_of(categories) == "text":
        texts = graph.as_kind(column, "string").tensor
        named = [MISSING_TEXT if is_missing(key) else str(key) for key in keys]
        return graph.ml("LabelEncoder", texts, keys_strings=named, values_int64s=list(range(len(keys))),
                        default_int64=-1)  # fmt: skip
    if column.kind == "int64":
        numbers = [int(key) if not is_missing(key) else _NO_INTEGER for key in keys]
        return graph.ml("LabelEncoder", column.tensor, keys_int64s=numbers,
                        values_int64s=list(range(len(keys))), default_int64=-1)  # fmt: skip
    values = [float("nan") if is_missing(key) else float(key) for key in keys]
    return graph.ml(
        "LabelEncoder", graph.as_kind(column, "double").tensor,
        keys_tensor=helper.make_tensor("keys", TensorProto.DOUBLE, [len(values)], values),
        values_tensor=helper.make_tensor("values", TensorProto.INT64, [len(values)], list(range(len(values)))),
        default_tensor=helper.make_tensor("default", TensorProto.INT64, [1], [-1]),
    )  # fmt: skip


_NO_INTEGER: Final = -(2**63)


def columns_of(graph: Graph, frame: Frame) -> list[Piece]:
    """One piece for each column."""
    width = sum(piece.width for piece in frame)
    return [graph.take(frame, [i])[0] for i in range(width)]


def _known(graph: Graph, column: Piece, code: str) -> str:
    return graph.op("GreaterOrEqual", code, np.array(0))


def one_hot(graph: Graph, step: Any, frame: Frame) -> Frame:
    dropped = step._drop_idx_after_grouping
    found: list[Piece] = []
    for i, column in enumerate(columns_of(graph, frame)):
        _refuse_infinite(graph, column)
        gone = None if dropped is None or dropped[i] is None else int(dropped[i])
        found.append(_hot(graph, step, i, column, gone))
    return tuple(piece for piece in found if piece.width)


def _refuse_infinite(graph: Graph, column: Piece) -> None:
    if column.kind == "double" and not column.finite:
        graph.refuse_not_finite(column.tensor, allow_nan=True)


def _hot(graph: Graph, step: Any, i: int, column: Piece, gone: int | None) -> Piece:
    categories = step.categories_[i]
    mapping = _grouped(step, i, len(categories))
    code = place(graph, column, categories)
    if step.handle_unknown == "error":
        graph.refuse(graph.op("Less", code, np.array(0)))
    width = max(mapping) + 1
    table = np.zeros((len(categories) + 1, width))
    table[np.arange(len(categories)), mapping] = 1.0
    infrequent = _infrequent(step, i)
    if infrequent is not None and step.handle_unknown in ("infrequent_if_exist", "warn"):
        table[-1, infrequent] = 1.0
    if gone is not None:
        table = np.delete(table, gone, axis=1)
    rows = graph.op("Gather", table, _wrapped(graph, code, len(table)))
    return Piece(graph.op("Reshape", rows, np.array([-1, table.shape[1]])), table.shape[1], finite=True)


def _wrapped(graph: Graph, code: str, rows: int) -> str:
    """-1 → the last row."""
    return graph.op("Where", graph.op("Less", code, np.array(0)), np.array(rows - 1), code)


def _grouped(step: Any, i: int, count: int) -> list[int]:
    """The column of each category, infrequent ones together."""
    mappings = getattr(step, "_default_to_infrequent_mappings", None)
    if not getattr(step, "_infrequent_enabled", False) or mappings is None or mappings[i] is None:
        return list(range(count))
    return [int(target) for target in mappings[i]]


def _infrequent(step: Any, i: int) -> int | None:
    """The column that infrequent categories share."""
    if not getattr(step, "_infrequent_enabled", False) or step._infrequent_indices[i] is None:
        return None
    return _grouped(step, i, len(step.categories_[i]))[int(step._infrequent_indices[i][0])]


def ordinal(graph: Graph, step: Any, frame: Frame) -> Frame:
    found = []
    for i, column in enumerate(columns_of(graph, frame)):
        _refuse_infinite(graph, column)
        categories = step.categories_[i]
        values = np.array(_grouped(step, i, len(categories)), np.float64)
        unknown = float(step.unknown_value) if step.handle_unknown == "use_encoded_value" else float("nan")
        missing = step._missing_indices.get(i)
        if missing is not None:
            values[missing] = float(step.encoded_missing_value)
        code = place(graph, column, categories)
        if step.handle_unknown == "error":
            graph.refuse(graph.op("Less", code, np.array(0)))
        found.append(_looked_up(graph, code, [*values, unknown]))
    return tuple(found)


def _looked_up(graph: Graph, code: str, values: Sequence[float]) -> Piece:
    """Values by place; the last one for what is unknown."""
    table = np.asarray(values, np.float64)
    value = graph.op("Gather", table, _wrapped(graph, code, len(table)))
    return Piece(value, 1, finite=bool(np.isfinite(table).all()))


def target(graph: Graph, step: Any, frame: Frame) -> Frame:
    columns = columns_of(graph, frame)
    for column in columns:
        _refuse_infinite(graph, column)
    codes = [place(graph, column, step.categories_[i]) for i, column in enumerate(columns)]
    if step.target_type_ != "multiclass":
        pairs = zip(codes, step.encodings_, strict=True)
        return tuple(_looked_up(graph, code, [*encoding, float(step.target_mean_)]) for code, encoding in pairs)
    count = len(step.classes_)
    return tuple(
        _looked_up(graph, codes[j // count], [*encoding, float(step.target_mean_[j % count])])
        for j, encoding in enumerate(step.encodings_)
    )
