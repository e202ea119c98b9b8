"""What ``precision: int8`` costs: a function's results beside those of its fp32 form, on the same texts.

Read on every run, so nothing heavy is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlinfer.errors import FunctionError
from sqlinfer.project.values import FunctionConfig
from sqlinfer.spec.function import PreparedFunction, Quality

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

MIN_COSINE: Final = 0.99
"""Where the declaration says nothing."""
MOST_NEIGHBOURS: Final = 2_000
"""Texts whose neighbours are looked for: each is compared with all."""


def is_near(config: FunctionConfig, found: Quality | None) -> bool:
    return found is None or found.worst >= bound_of(config)


def bound_of(config: FunctionConfig) -> float:
    return MIN_COSINE if config.min_cosine is None else config.min_cosine


def check_quality(config: FunctionConfig, found: Quality | None) -> None:
    """Raises FunctionError where int8 is farther from fp32 than is allowed."""
    if found is None or is_near(config, found):
        return
    raise FunctionError(
        f"function '{config.name}': 'precision: int8' is too far from fp32 on {said(found)}; "
        f"{bound_of(config):g} is wanted",
        hint=f"'config: {{min_cosine: {_below(found.worst)}}}' allows it; 'precision: fp32' is exact; "
        "'sample_inputs: texts.parquet' measures on texts of your own",
        location=config.location,
    )


def said(found: Quality) -> str:
    """In words."""
    parts = []
    if found.cosine is not None:
        parts.append(f"cosine {found.cosine:.5f} at least")
    if found.neighbours is not None:
        parts.append(f"{found.neighbours:.1%} of nearest neighbours the same")
    if found.labels is not None:
        parts.append(f"{found.labels:.1%} of labels the same")
    return f"{found.texts:,} {found.origin}: {', '.join(parts) or 'nothing to compare'}"


def _below(cosine: float) -> str:
    return f"{max(0.0, int(cosine * 1000) / 1000):g}"


def measured(plain: PreparedFunction, prepared: PreparedFunction, rows: pa.RecordBatch, origin: str) -> Quality:
    """Both forms on the rows of a function's arguments."""
    from sqlinfer.functions.check.verifying import scored

    expected, found = scored(plain, rows), scored(prepared, rows)
    cosines, neighbours, labels = list[float](), list[float](), list[float]()
    for output in prepared.contract.outputs:
        a, b = _both(expected.column(output.name).to_pylist(), found.column(output.name).to_pylist())
        if not a:
            continue
        if isinstance(a[0], list):
            one, other = _matrix(a), _matrix(b)
            cosines.append(float(_cosines(one, other).min()))
            if len(a) > 2 and one.shape[1] > 1:
                neighbours.append(_same_neighbours(one[:MOST_NEIGHBOURS], other[:MOST_NEIGHBOURS]))
        elif isinstance(a[0], float):
            cosines.append(float(_cosines(_matrix([a]), _matrix([b]))[0]))
        else:
            labels.append(sum(x == y for x, y in zip(a, b, strict=True)) / len(a))
    return Quality(
        rows.num_rows, origin, min(cosines, default=None), min(neighbours, default=None), min(labels, default=None)
    )


def _both(a: list[Any], b: list[Any]) -> tuple[list[Any], list[Any]]:
    """Rows for which both have a result."""
    kept = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    return [x for x, _ in kept], [y for _, y in kept]


def _matrix(values: list[Any]) -> Array:
    import numpy as np

    return np.asarray(values, dtype=np.float64)


def _cosines(a: Array, b: Array) -> Array:
    """Of each row; two rows of zeros are alike."""
    import numpy as np

    sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    alike = (a == b).all(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = np.where(alike, 1.0, np.nan_to_num((a * b).sum(axis=1) / sizes, nan=0.0))
    return np.minimum(found, 1.0)


def _same_neighbours(a: Array, b: Array) -> float:
    """The share of rows that have the same nearest other row in both."""
    return float((_nearest(a) == _nearest(b)).mean())


def _nearest(values: Array) -> Array:
    import numpy as np

    unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-300)
    alike = unit @ unit.T
    np.fill_diagonal(alike, -np.inf)
    found: Array = alike.argmax(axis=1)
    return found
