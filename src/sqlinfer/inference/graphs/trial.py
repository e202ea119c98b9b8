"""Two graphs side by side on made-up rows: thresholds and their neighbours, NaN, infinities, unseen codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROWS, MOST_ROWS = 1024, 16_384
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
        expected, found = (outputs_of(opened(one), feeds) for one in (graph, other))
    except Exception:  # ONNX Runtime's exceptions share no base class
        return False
    return all(same(a, b) for a, b in zip(expected, found, strict=True))


Cuts = Mapping[tuple[str, int], Array]
"""Input and position in its rows → the thresholds that are asked for there."""


def made_up_rows(model: onnx.ModelProto, cuts: Cuts | None = None) -> dict[str, Array] | None:
    """Values for every input, or None where an input is neither numbers nor codes of a known width.

    Args:
        cuts: each of them occurs with its neighbours.
    """
    thresholds, codes = _known(model)
    rows = min(max([ROWS, *(4 * len(one) for one in (cuts or {}).values())]), MOST_ROWS)
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
        shape = (rows, *widths)
        if kind.elem_type in _FLOATS:
            values = _floats(random, thresholds, shape).astype(_FLOATS[kind.elem_type])
            feeds[port.name] = _at_cuts(random, values, port.name, cuts or {})
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


def _at_cuts(random: np.random.Generator, values: Array, name: str, cuts: Cuts) -> Array:
    """In three rows of four each threshold, the number below and the one above, in turn."""
    flat = values.reshape(len(values), -1)
    for (tensor, position), own in cuts.items():
        if tensor != name or not len(own) or position >= flat.shape[1]:
            continue
        kind = values.dtype.type
        with np.errstate(over="ignore", under="ignore"):
            near = np.concatenate([own, *(np.nextafter(own, kind(way)) for way in (np.inf, -np.inf))])
        places = random.permutation(len(flat))[: len(flat) * 3 // 4]
        flat[places, position] = random.permutation(np.resize(random.permutation(near), len(places)))
    return values


def _known(model: onnx.ModelProto) -> tuple[Array, int]:
    """All thresholds of trees, and the largest integer category."""
    thresholds, codes = [0.0, 1.0], 1
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "nodes_values":
                thresholds += helper.get_attribute_value(attribute)
            elif attribute.name in ("nodes_values_as_tensor", "nodes_splits"):
                thresholds += numpy_helper.to_array(attribute.t).reshape(-1).tolist()
            elif attribute.name in ("cats_int64s", "keys_int64s"):
                codes = max([codes, *helper.get_attribute_value(attribute)])
    with np.errstate(over="ignore"):
        return np.asarray(thresholds, dtype=np.float64).astype(np.float32), min(codes, 1 << 40)


def opened(graph: bytes) -> Any:
    """A session as those that score: one thread, so that trees are summed in their order."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def outputs_of(session: Any, feeds: dict[str, Array], names: Sequence[str] | None = None) -> list[Any]:
    """Of all rows in one run, then of the first row alone."""
    one = {name: values[:1] for name, values in feeds.items()}
    return [*session.run(names, feeds), *session.run(names, one)]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and a.dtype.kind == "f":
        return a.shape == b.shape and a.dtype == b.dtype and bool(np.array_equal(a, b, equal_nan=True))
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else a == b
