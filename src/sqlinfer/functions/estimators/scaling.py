"""Steps over numbers that keep their columns: scalers, power and quantile transforms, norms, bins."""

from __future__ import annotations

from typing import Any

import numpy as np

from sqlinfer.functions.estimators.graph import Frame, Graph, Piece
from sqlinfer.functions.sources.original import NotExact


def _out(frame: Frame, tensor: str, width: int | None = None) -> Frame:
    return (Piece(tensor, width if width is not None else width_of(frame), finite=True),)


def width_of(frame: Frame) -> int:
    return sum(piece.width for piece in frame)


def standard(graph: Graph, step: Any, frame: Frame) -> Frame:
    x = graph.checked(frame, allow_nan=True)
    if step.with_mean:
        x = graph.op("Sub", x, np.asarray(step.mean_, np.float64))
    if step.with_std:
        x = graph.op("Div", x, np.asarray(step.scale_, np.float64))
    return _nan_kept(frame, x)


def _nan_kept(frame: Frame, tensor: str) -> Frame:
    """Infinities were refused, NaN was let through: whoever comes next checks for it."""
    return (Piece(tensor, width_of(frame), finite=all(piece.finite for piece in frame)),)


def min_max(graph: Graph, step: Any, frame: Frame) -> Frame:
    x = graph.checked(frame, allow_nan=True)
    x = graph.op("Add", graph.op("Mul", x, np.asarray(step.scale_, np.float64)), np.asarray(step.min_, np.float64))
    if step.clip:
        low, high = step.feature_range
        clipped = graph.op("Clip", x, float(low), float(high))
        x = graph.op("Where", graph.op("IsNaN", x), x, clipped)
    return _nan_kept(frame, x)


def max_abs(graph: Graph, step: Any, frame: Frame) -> Frame:
    x = graph.op("Div", graph.checked(frame, allow_nan=True), np.asarray(step.scale_, np.float64))
    if getattr(step, "clip", False):
        x = graph.op("Where", graph.op("IsNaN", x), x, graph.op("Clip", x, -1.0, 1.0))
    return _nan_kept(frame, x)


def robust(graph: Graph, step: Any, frame: Frame) -> Frame:
    x = graph.checked(frame, allow_nan=True)
    if step.with_centering:
        x = graph.op("Sub", x, np.asarray(step.center_, np.float64))
    if step.with_scaling:
        x = graph.op("Div", x, np.asarray(step.scale_, np.float64))
    return _nan_kept(frame, x)


def normalizer(graph: Graph, step: Any, frame: Frame) -> Frame:
    x = graph.checked(frame)
    sizes = graph.op("Abs", x)
    if step.norm == "l1":
        norm = graph.op("ReduceSum", sizes, np.array([1]), keepdims=1)
    elif step.norm == "l2":
        norm = graph.op("Sqrt", graph.op("ReduceSum", graph.op("Mul", x, x), np.array([1]), keepdims=1))
    else:
        norm = graph.op("ReduceMax", sizes, np.array([1]), keepdims=1)
    return _out(frame, graph.op("Div", x, graph.op("Where", graph.op("Less", norm, _TINY), 1.0, norm)))


_TINY = 10 * float(np.finfo(np.float64).eps)
"""scikit-learn takes a smaller scale for zero."""


def binarizer(graph: Graph, step: Any, frame: Frame) -> Frame:
    above = graph.op("Greater", graph.checked(frame), float(step.threshold))
    return _out(frame, _number(graph, above))


def _number(graph: Graph, truth: str) -> str:
    return graph.op("Where", truth, 1.0, 0.0)


def power(graph: Graph, step: Any, frame: Frame) -> Frame:
    x = graph.checked(frame, allow_nan=True)
    columns = [graph.op("Gather", x, np.array([i]), axis=1) for i in range(len(step.lambdas_))]
    how = _yeo_johnson if step.method == "yeo-johnson" else _box_cox
    made = [how(graph, column, float(lam)) for column, lam in zip(columns, step.lambdas_, strict=True)]
    joined = graph.op("Concat", *made, axis=1) if len(made) > 1 else made[0]
    if step.standardize:
        return standard(graph, step._scaler, (Piece(joined, len(made), finite=all(p.finite for p in frame)),))
    return _nan_kept(frame, joined)


def _yeo_johnson(graph: Graph, x: str, lam: float) -> str:
    positive = graph.op("GreaterOrEqual", x, 0.0)
    up = graph.op("Where", positive, x, 0.0)
    down = graph.op("Where", positive, 0.0, graph.op("Neg", x))
    one_up, one_down = _log1p(graph, up), _log1p(graph, down)
    above = one_up if abs(lam) < np.spacing(1.0) else _expm1_over(graph, one_up, lam)
    rest = 2.0 - lam
    below = one_down if abs(lam - 2) <= np.spacing(1.0) else _expm1_over(graph, one_down, rest)
    made = graph.op("Where", positive, above, graph.op("Neg", below))
    return graph.op("Where", graph.op("IsNaN", x), np.nan, made)


def _log1p(graph: Graph, x: str) -> str:
    """log(1 + x) without losing small x: x · log(u) / (u - 1) with u = 1 + x."""
    u = graph.op("Add", x, 1.0)
    same = graph.op("Equal", u, 1.0)
    lost = graph.op("Where", same, 1.0, graph.op("Sub", u, 1.0))
    return graph.op("Where", same, x, graph.op("Div", graph.op("Mul", x, graph.op("Log", u)), lost))


def _expm1_over(graph: Graph, logarithm: str, lam: float) -> str:
    """(exp(lam · logarithm) - 1) / lam without losing small values: with u = exp(y), (u - 1) · y / log(u)."""
    return graph.op("Div", expm1(graph, graph.op("Mul", logarithm, lam)), lam)


def expm1(graph: Graph, y: str) -> str:
    u = graph.op("Exp", y)
    same = graph.op("Equal", u, 1.0)
    gone = graph.op("Equal", u, 0.0)
    huge = graph.op("IsInf", u)
    plain = graph.op("Or", graph.op("Or", same, gone), huge)
    log = graph.op("Where", plain, 1.0, graph.op("Log", graph.op("Where", gone, 1.0, u)))
    made = graph.op("Div", graph.op("Mul", graph.op("Sub", u, 1.0), y), log)
    return graph.op("Where", same, y, graph.op("Where", plain, graph.op("Sub", u, 1.0), made))


def _box_cox(graph: Graph, x: str, lam: float) -> str:
    graph.refuse(graph.op("LessOrEqual", x, 0.0))
    positive = graph.op("Greater", x, 0.0)
    log = graph.op("Log", graph.op("Where", positive, x, 1.0))
    made = log if lam == 0 else _expm1_over(graph, log, lam)
    return graph.op("Where", positive, made, np.nan)


def quantiles(graph: Graph, step: Any, frame: Frame) -> Frame:
    if step.output_distribution != "uniform":
        raise NotExact("QuantileTransformer to a normal distribution: ONNX has no inverse of the normal distribution")
    x = graph.checked(frame, allow_nan=True)
    made = []
    for i in range(step.quantiles_.shape[1]):
        column = graph.op("Gather", x, np.array([i]), axis=1)
        made.append(_quantile(graph, column, step.quantiles_[:, i], step.references_))
    joined = graph.op("Concat", *made, axis=1) if len(made) > 1 else made[0]
    return _nan_kept(frame, joined)


def _quantile(graph: Graph, x: str, quantiles: Any, references: Any) -> str:
    """The mean of the interpolations from the left and from the right, as the library does for repeated values."""
    left = interpolated(graph, x, quantiles, references)
    right = interpolated(graph, graph.op("Neg", x), -quantiles[::-1], -references[::-1])
    made = graph.op("Mul", graph.op("Sub", left, right), 0.5)
    low = graph.op("Equal", x, float(quantiles[0]))
    high = graph.op("Equal", x, float(quantiles[-1]))
    made = graph.op("Where", high, 1.0, made)
    made = graph.op("Where", low, 0.0, made)
    return graph.op("Where", graph.op("IsNaN", x), np.nan, made)


def interpolated(graph: Graph, x: str, points: Any, values: Any) -> str:
    """numpy.interp: [N,1] → [N,1], flat outside, by the segment that ``searchsorted(side='right')`` finds."""
    points, values = np.asarray(points, np.float64), np.asarray(values, np.float64)
    if len(points) == 1:
        return graph.op("Add", graph.op("Mul", x, 0.0), float(values[0]))
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.append(np.diff(values) / np.diff(points), 0.0)
    slopes[~np.isfinite(slopes)] = 0.0
    last = len(points) - 1
    found = graph.op("Sub", graph.cast(rank(graph, x, points), "int64"), np.array(1))
    place = graph.op("Clip", found, np.array(0), np.array(last))
    slope, left, base = (graph.op("Gather", column, place) for column in (slopes, points, values))
    inside = graph.op("Add", graph.op("Mul", slope, graph.op("Sub", x, left)), base)
    below = graph.op("Where", graph.op("Less", x, float(points[0])), float(values[0]), inside)
    made = graph.op("Where", graph.op("GreaterOrEqual", x, float(points[-1])), float(values[-1]), below)
    return graph.op("Where", graph.op("IsNaN", x), x, made)


def rank(graph: Graph, x: str, points: Any) -> str:
    """How many points are at or below x: [N,1] doubles."""
    at_or_below = graph.op("GreaterOrEqual", x, np.asarray(points, np.float64).reshape(1, -1))
    return graph.op("ReduceSum", _number(graph, at_or_below), np.array([1]), keepdims=1)


def bins(graph: Graph, step: Any, frame: Frame) -> Frame:
    x = graph.checked(frame)
    codes: list[str] = []
    for i, edges in enumerate(step.bin_edges_):
        column = graph.op("Gather", x, np.array([i]), axis=1)
        codes.append(rank(graph, column, edges[1:-1]) if len(edges) > 2 else graph.op("Mul", column, 0.0))
    if step.encode == "ordinal":
        return _out(frame, graph.op("Concat", *codes, axis=1) if len(codes) > 1 else codes[0])
    hot = [
        _number(graph, graph.op("Equal", code, np.arange(count, dtype=np.float64).reshape(1, -1)))
        for code, count in zip(codes, step.n_bins_, strict=True)
    ]
    return tuple(Piece(one, int(count), finite=True) for one, count in zip(hot, step.n_bins_, strict=True))


def polynomial(graph: Graph, step: Any, frame: Frame) -> Frame:
    x = graph.checked(frame)
    made = []
    for powers in step.powers_:
        factors = [int(i) for i, power in enumerate(powers) for _ in range(power)]
        if not factors:
            made.append(graph.op("Add", graph.op("Mul", graph.op("Gather", x, np.array([0]), axis=1), 0.0), 1.0))
            continue
        product = graph.op("Gather", x, np.array([factors[0]]), axis=1)
        for factor in factors[1:]:
            product = graph.op("Mul", product, graph.op("Gather", x, np.array([factor]), axis=1))
        made.append(product)
    return _out(frame, graph.op("Concat", *made, axis=1) if len(made) > 1 else made[0], len(made))


def function(graph: Graph, step: Any, frame: Frame) -> Frame:
    name = {None: "", np.log1p: "log1p", np.log: "Log", np.sqrt: "Sqrt", np.exp: "Exp", np.abs: "Abs"}.get(step.func)
    if name is None or step.kw_args:
        raise NotExact(f"FunctionTransformer with {getattr(step.func, '__name__', step.func)}: it is code")
    if not name:
        return frame
    x = graph.checked(frame) if step.validate else graph.matrix(frame)
    made = _log1p(graph, x) if name == "log1p" else graph.op(name, x)
    return (Piece(made, width_of(frame)),)


def selection(graph: Graph, step: Any, frame: Frame) -> Frame:
    """Selectors: the columns that they keep."""
    kept = np.flatnonzero(step.get_support())
    tags = step.__sklearn_tags__().input_tags
    if not all(piece.kind == "string" for piece in frame):
        x = graph.checked(frame, allow_nan=tags.allow_nan)
        frame = (Piece(x, width_of(frame), finite=all(piece.finite for piece in frame)),)
    return graph.take(frame, [int(i) for i in kept])
