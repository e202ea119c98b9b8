"""Rows on which a forest is likely to differ from a copy of it: thresholds and their neighbours, missing values, odd
categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from sqlinfer.functions.forests.features import Feature
from sqlinfer.functions.forests.table import Floats

_ODD: Final = (0.0, -0.0, 1.0, -1.0, 2.0**24 + 1, -(2.0**24 + 1), 2.0**31, 2.0**53 + 2, 1e-35, -1e-36, 1e-300, 1e30)
_TEXTS: Final = ("", " ", "unseen category", "ünseen \u4f60\u597d", "x" * 1000)
_PER_FEATURE: Final = 400
"""Thresholds of a feature that are looked at."""


def boundary_rows(
    features: Sequence[Feature], thresholds: Mapping[int, Floats], limit: int, seed: int, *, single: bool
) -> pa.RecordBatch:
    """At most ``limit`` rows, with the types of ``Feature.suggested``.

    Args:
        thresholds: of each feature that the trees look at.
        single: whether the library compares floats, so that a threshold's neighbours are floats.
    """
    rng = np.random.default_rng(seed)
    columns = [
        _texts(one, limit, rng) if one.is_text else _numbers(one, thresholds.get(place), limit, rng, single)
        for place, one in enumerate(features)
    ]
    return pa.RecordBatch.from_arrays(columns, names=[f"c{place}" for place in range(len(columns))]).rename_columns(
        [one.name for one in features]
    )


def _numbers(feature: Feature, known: Floats | None, limit: int, rng: Any, single: bool) -> pa.Array:
    if feature.is_number:
        values = _near(known if known is not None else np.zeros(1), limit, rng, single)
    else:
        codes = np.asarray(feature.categories if feature.categories else range(64), np.float64)
        values = rng.choice(codes, limit)
        odd = rng.choice(np.array([-1.0, codes.max() + 1, 0.5, -0.5, 2.0**24 + 1]), limit)
        values = np.where(rng.random(limit) < 0.05, odd, values)
    values = np.where(rng.random(limit) < 0.05, np.nan, values)
    return pa.array(values, pa.float64(), mask=rng.random(limit) < 0.05)


def _near(known: Floats, limit: int, rng: Any, single: bool) -> Floats:
    """Half of the values are thresholds or neighbours; the others lie around them, a few are odd."""
    kind = np.float32 if single else np.float64
    finite = known[np.isfinite(known)]
    if len(finite) > _PER_FEATURE:
        finite = rng.choice(finite, _PER_FEATURE, replace=False)
    if not len(finite):
        finite = np.zeros(1)
    exact = finite.astype(kind)
    with np.errstate(over="ignore"):
        near = np.concatenate([exact, np.nextafter(exact, kind(-np.inf)), np.nextafter(exact, kind(np.inf))])
        near = np.concatenate([near.astype(np.float64), np.nextafter(finite, -np.inf), np.nextafter(finite, np.inf)])
    low, high = np.quantile(finite, [0.1, 0.9])
    spread = min(max(float(high / 2 - low / 2), abs(float(high)) / 8, 1e-3), 1e30)
    values = rng.choice(finite, limit) + rng.normal(0, spread / 2, limit)
    values = np.where(rng.random(limit) < 0.5, rng.choice(near, limit), values)
    odd = rng.choice(np.array([*_ODD, np.inf, -np.inf, np.nan]), limit)
    found: Floats = np.where(rng.random(limit) < 0.06, odd, values)
    return found


def _texts(feature: Feature, limit: int, rng: Any) -> pa.Array:
    values = rng.choice(np.asarray(feature.categories or ("",), dtype=object), limit)
    values = np.where(rng.random(limit) < 0.05, rng.choice(np.asarray(_TEXTS, dtype=object), limit), values)
    return pa.array(values.tolist(), pa.string(), mask=rng.random(limit) < 0.05)
