"""Two graphs side by side on made-up rows: thresholds and their neighbours, NaN, infinities, unseen codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

ROWS = 1024
_FLOATS = {TensorProto.FLOAT: np.float32, TensorProto.DOUBLE: np.float64}
_INTS = {TensorProto.INT64: np.int64, TensorProto.INT32: np.int32}
Array = np.ndarray[Any, Any]


def gives_the_same(graph: bytes, other: bytes) -> bool:
    """Whether all outputs have the same bits. False too where rows cannot be made up, or a graph does not run."""
    model = onnx.load_from_string(graph)
    feeds = made_up_rows(model)
    if feeds is None:
        return False
    try:
        expected, found = _outputs(graph, feeds), _outputs(other, feeds)
    except Exception:  # ONNX Runtime's exceptions share no base class
        return False
    return all(_same(a, b) for a, b in zip(expected, found, strict=True))


def made_up_rows(model: onnx.ModelProto) -> dict[str, Array] | None:
    """Values for every input, or None where an input is neither numbers nor codes of a known width."""
    thresholds, codes = _known(model)
    random = np.random.default_rng(0)
    constants = {tensor.name for tensor in model.graph.initializer}
    feeds: dict[str, Array] = {}
    for port in model.graph.input:
        if port.name in constants:
            continue
        kind = port.type.tensor_type
        widths = [dim.dim_value for dim in kind.shape.dim[1:]]
        if not kind.shape.dim or kind.shape.dim[0].dim_value or not all(widths):
            return None
        shape = (ROWS, *widths)
        if kind.elem_type in _FLOATS:
            feeds[port.name] = _floats(random, thresholds, shape).astype(_FLOATS[kind.elem_type])
        elif kind.elem_type in _INTS:
            feeds[port.name] = random.integers(-1, codes + 2, shape).astype(_INTS[kind.elem_type])
        else:
            return None
    return feeds


def _floats(random: np.random.Generator, thresholds: Array, shape: tuple[int, ...]) -> Array:
    """Half of them thresholds or their neighbours, the rest spread over and around their range."""
    finite = thresholds[np.isfinite(thresholds)]
    low, high = float(finite.min()), float(finite.max())
    spread = (high - low) or 1.0
    with np.errstate(over="ignore"):
        values: Array = random.uniform(low - 0.1 * spread, high + 0.1 * spread, shape).astype(np.float32)
    picked = random.choice(finite, shape)
    step = random.integers(-1, 2, shape)
    with np.errstate(over="ignore", under="ignore"):
        beside = np.nextafter(picked, np.where(step > 0, np.inf, -np.inf).astype(np.float32))
    picked = np.where(step == 0, picked, beside)
    values = np.where(random.random(shape) < 0.5, picked, values)
    odd = random.random(shape) < 0.02
    values[odd] = random.choice(np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype=np.float32), int(odd.sum()))
    return values


def _known(model: onnx.ModelProto) -> tuple[Array, int]:
    """All thresholds of trees, and the largest integer category."""
    thresholds, codes = [0.0, 1.0], 1
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "nodes_values":
                thresholds += helper.get_attribute_value(attribute)
            elif attribute.name in ("cats_int64s", "keys_int64s"):
                codes = max([codes, *helper.get_attribute_value(attribute)])
    return np.asarray(thresholds, dtype=np.float32), min(codes, 1 << 40)


def _outputs(graph: bytes, feeds: dict[str, Array]) -> list[Any]:
    """Of all rows in one run, then of the first row alone."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    one = {name: values[:1] for name, values in feeds.items()}
    return [*session.run(None, feeds), *session.run(None, one)]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and a.dtype.kind == "f":
        return a.shape == b.shape and a.dtype == b.dtype and bool(np.array_equal(a, b, equal_nan=True))
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else a == b
