"""Customers of a telephone company, and a fitted estimator side by side with its graph."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pyarrow as pa
from onnx import TensorProto, helper

from sqlinfer.functions.fuse.deciders import nan_output
from sqlinfer.functions.sources.original import MISSING_TEXT, PACKED
from sqlinfer.functions.sources.sklearn_model import Estimator

ROWS = 400
NUMBERS = ["tenure", "monthly charges", "total"]
TEXTS = ["contract", "payment", "internet"]
PAYMENTS = ["check", "mail", "bank", "rare 1", "rare 2"]
_random = np.random.default_rng(0)


def _customers() -> pd.DataFrame:
    known = _random.random(ROWS) > 0.1
    return pd.DataFrame(
        {
            "tenure": _random.integers(0, 73, ROWS).astype(float),
            "monthly charges": _random.normal(65, 30, ROWS).round(2),
            "total": np.where(_random.random(ROWS) < 0.1, np.nan, _random.normal(2000, 2000, ROWS).round(2)),
            "contract": _random.choice(["Month-to-month", "One year", "Two year"], ROWS),
            "payment": _random.choice(
                ["check", "mail", "bank", "rare 1", "rare 2"], ROWS, p=[0.5, 0.3, 0.18, 0.01, 0.01]
            ),
            "internet": pd.Series(_random.choice(["DSL", "Fiber", "No"], ROWS)).where(known, np.nan),
            "senior": _random.integers(0, 2, ROWS),
        }
    )


CUSTOMERS = _customers()
COMPLETE = CUSTOMERS[NUMBERS].fillna(0)
_score = (
    -CUSTOMERS["tenure"] / 30
    + CUSTOMERS["monthly charges"] / 60
    + (CUSTOMERS["contract"] == "Month-to-month") * 1.5
    + _random.normal(0, 0.7, ROWS)
).to_numpy()
CHURNED = np.where(_score > np.median(_score), "Yes", "No")
RISK = np.array(["low", "mid", "high"])[np.digitize(_score, np.quantile(_score, [0.33, 0.66]))]
VALUE = _score * 10


@dataclass
class Compared:
    """What the library and the graph say of rows made from the estimator."""

    rows: int = 0
    refused: int = 0
    worst: float = 0.0
    changed: list[Any] = field(default_factory=list)
    silent: list[Any] = field(default_factory=list)
    """Rows that the library refuses, and for which the graph has an answer."""


def compared(model: Any, folder: Path, limit: int = 400) -> Compared:
    original = Estimator(model, {})
    target = folder / "model.onnx"
    original.convert(target)
    session, flags = _session(target)
    rows = original.boundary(limit, 1)
    names = [one.name for one in session.get_outputs()]
    graph = dict(zip(names, session.run(None, feeds(original, rows)), strict=True))
    found = Compared(rows.num_rows)
    for start, count, said in _answers(original, rows, 0):
        part = {name: values[start : start + count] for name, values in graph.items()}
        if said is None:
            found.refused += 1
            if not all(_is_nan(part, name, flags) for name in graph if name not in flags.values()):
                found.silent.append(rows.slice(start, 1).to_pylist())
            continue
        for name, values in said.items():
            _compare(found, name, np.asarray(values), part[name])
    return found


def _session(target: Path) -> tuple[Any, dict[str, str]]:
    """The graph with what tells of NaN behind a label, as scoring has it."""
    model, flags = onnx.load(target), {}
    for output in list(model.graph.output):
        flag = None
        if output.type.tensor_type.elem_type != TensorProto.DOUBLE:
            flag = nan_output(model, output.name)
        if flag is not None:
            flags[output.name] = flag
            model.graph.output.append(helper.make_tensor_value_info(flag, TensorProto.FLOAT, ["N"]))
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]), flags


def feeds(original: Estimator, rows: pa.RecordBatch) -> dict[str, Any]:
    kinds = [one.data_type for one in original.arguments]
    if all(kind == "DOUBLE" for kind in kinds):
        return {PACKED: np.column_stack([_numbers(column) for column in rows.columns])}
    found = {}
    for i, (kind, column) in enumerate(zip(kinds, rows.columns, strict=True)):
        if kind == "TEXT":
            values = np.array(column.fill_null(MISSING_TEXT).to_pylist(), dtype=object)
        else:
            values = _numbers(column) if kind == "DOUBLE" else column.to_numpy(zero_copy_only=False)
        found[f"argument_{i}"] = values.reshape(-1, 1)
    return found


def _numbers(column: pa.Array) -> Any:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def _answers(original: Estimator, rows: pa.RecordBatch, start: int) -> list[tuple[int, int, Any]]:
    """The library's, with None for each row that it refuses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [(start, rows.num_rows, original.predict(rows))]
    except Exception:
        if rows.num_rows == 1:
            return [(start, 1, None)]
    middle = rows.num_rows // 2
    return [
        *_answers(original, rows.slice(0, middle), start),
        *_answers(original, rows.slice(middle), start + middle),
    ]


def _is_nan(part: dict[str, Any], name: str, flags: dict[str, str]) -> bool:
    values = part[name]
    return bool(np.isnan(values).all() if values.dtype.kind == "f" else name in flags and part[flags[name]].all())


def _compare(found: Compared, name: str, expected: Any, actual: Any) -> None:
    assert expected.shape == actual.shape, name
    if expected.dtype.kind != "f":
        changed = expected.astype(str) != actual.astype(str)
        found.changed += list(zip(expected[changed].tolist(), actual[changed].tolist(), strict=True))
        return
    same = (expected == actual) | (np.isnan(expected) & np.isnan(actual))
    gap = np.abs(expected - actual)
    relative = np.where(same | (gap < 1e-12), 0.0, gap / np.maximum(np.abs(expected), 1e-300))
    found.worst = max(found.worst, float(np.nan_to_num(relative, nan=np.inf).max(initial=0.0)))
