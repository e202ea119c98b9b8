"""Two answers to the same rows, side by side: how far they are apart, which rows, and which labels changed.

The relative difference of a value is its difference by the size of the original's, where that is at least
``SMALLEST``; of a vector, by the size of its largest element.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

Array = np.ndarray[Any, Any]
SMALLEST: Final = 1e-3
"""Values below it are compared as if they were so large: nothing is exact relative to almost zero."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Per row, worst over the outputs."""

    absolute: Array
    relative: Array
    changed: Array
    """Rows whose label is another one."""

    def over(self, tolerance: float) -> Array:
        found: Array = ~(self.relative <= tolerance) | self.changed
        return found

    def merged(self, other: Compared) -> Compared:
        return Compared(
            np.maximum(self.absolute, other.absolute), np.maximum(self.relative, other.relative),
            self.changed | other.changed,
        )  # fmt: skip


def compare(expected: Array, actual: pa.Array) -> Compared:
    """One output: the original's values, and the prepared function's column (NULL where it has no result)."""
    if expected.dtype.kind in "OUS":
        got = actual.to_pylist()
        wrong = np.array([_text(a) != _text(b) for a, b in zip(expected.tolist(), got, strict=True)], dtype=bool)
        return Compared(np.zeros(len(got)), np.zeros(len(got)), wrong)
    found = numbers(actual, expected.shape)
    wanted = expected.astype(np.float64)
    if wanted.ndim == 1:
        wanted, found = wanted[:, None], found[:, None]
    absolute = _apart(wanted, found)
    if expected.dtype.kind in "iub":
        changed: Array = np.asarray((absolute > 0).any(axis=1))
        return Compared(np.zeros(len(changed)), np.zeros(len(changed)), changed)
    worst = absolute.max(axis=1, initial=0.0)
    finite = np.where(np.isfinite(wanted), np.abs(wanted), 0.0).max(axis=1, initial=0.0)
    return Compared(worst, worst / np.maximum(finite, SMALLEST), np.zeros(len(worst), dtype=bool))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _apart(wanted: Array, found: Array) -> Array:
    """Absolute differences. What is no finite number is nothing here, and equal only to nothing."""
    no, none = ~np.isfinite(wanted), ~np.isfinite(found)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(wanted - found)
    result: Array = np.where(no & none, 0.0, np.where(no ^ none, np.inf, apart))
    return result


def numbers(column: pa.Array, shape: Sequence[int]) -> Array:
    """A column as float64 of that shape, NaN for NULL."""
    if len(shape) == 1:
        plain: Array = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return plain
    rows = np.full(tuple(shape), np.nan)
    for row, values in enumerate(column.to_pylist()):
        if values is not None and len(values) == shape[1]:
            rows[row] = [np.nan if one is None else one for one in values]
    return rows
