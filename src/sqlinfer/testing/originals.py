"""A model in its own library against the graph that its source makes of it, without a declaration around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sqlinfer import types
from sqlinfer.functions.sources.asked import answers
from sqlinfer.functions.sources.original import MISSING_TEXT, PACKED, Original

Array = np.ndarray[Any, Any]
_KINDS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}


def both(original: Original, folder: Path, rows: pa.RecordBatch | None = None) -> dict[str, tuple[Array, Array]]:
    """Output → the library's answer and the graph's, for the rows that the library takes.

    Args:
        rows: with the columns of ``original.arguments``; default: the model's own boundary rows.
    """
    rows = original.boundary(1000, 7) if rows is None else rows
    assert [one.name for one in original.arguments] == rows.schema.names
    assert [types.arrow_type(one.data_type) for one in original.arguments] == rows.schema.types
    expected, refused = answers(original, rows)
    kept = np.flatnonzero([said is None for said in refused])
    original.convert(folder / "model.onnx")
    actual = run(folder / "model.onnx", rows.take(pa.array(kept)))
    assert set(actual) == set(expected)
    return {name: (values[kept], actual[name]) for name, values in expected.items()}


def relative(expected: Array, actual: Array) -> float:
    """The greatest difference by the size of what is expected; infinite where one side alone is no finite number."""
    wanted, found = expected.astype(np.float64), actual.astype(np.float64)
    same = (wanted == found) | (np.isnan(wanted) & np.isnan(found))
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.abs(wanted - found) / np.abs(wanted)
    return float(np.nan_to_num(np.where(same, 0.0, apart), nan=np.inf, posinf=np.inf).max(initial=0.0))


def run(graph: Path, rows: pa.RecordBatch) -> dict[str, Array]:
    """All outputs of a graph whose inputs are its arguments, or one matrix of them."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    ports = session.get_inputs()
    if [port.name for port in ports] == [PACKED] and ports[0].shape[1] == rows.num_columns:
        feeds = {PACKED: np.column_stack([_values(column, ports[0].type) for column in rows.columns])}
    else:
        columns = zip(ports, rows.columns, strict=True)
        feeds = {port.name: _values(column, port.type).reshape(-1, 1) for port, column in columns}
    names = [port.name for port in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def _values(column: pa.Array, kind: str) -> Array:
    if kind == "tensor(string)":
        return np.array(column.fill_null(MISSING_TEXT).to_pylist(), dtype=object)
    with np.errstate(over="ignore"):
        found: Array = column.to_numpy(zero_copy_only=False).astype(_KINDS[kind])
    return found
