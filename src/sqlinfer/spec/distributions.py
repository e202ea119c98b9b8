"""How the values of a prediction column were spread on one night, as counts that other nights can be compared with.

Numbers fall into 20 bins of one width between two open ends. Their edges are those of the first night that is known, so
that nights compare; where most values have left them, they are drawn anew, and the counts between the old ones are kept
beside, so that the change itself shows. Other values are counted one by one.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

BINS = 20
LABELS = 20
OTHERS = "…"
"""Stands for the labels beyond the most frequent ones."""
SAMPLE = 5_000
"""Rows that are looked at."""
_LONGEST = 80
_LARGEST = 1e300
_OUTSIDE = 0.5
"""Share of the values in the open ends from which on edges are drawn anew."""
_TAIL = 0.01
_FLOOR = 0.0001
"""Share of a bin that is empty on one side, as in the test ``distribution_shift``."""


@dataclass(frozen=True, slots=True)
class Distribution:
    edges: tuple[float, ...] = ()
    """Ascending; empty where labels are counted, or no value was a number yet."""
    counts: tuple[int, ...] = ()
    """One more than edges: the first and the last are the open ends."""
    labels: Mapping[str, int] = field(default_factory=dict)
    nulls: int = 0
    mean: float | None = None
    before: tuple[tuple[float, ...], tuple[int, ...]] | None = None
    """Edges of the night before and tonight's counts between them, where the edges are new."""

    @property
    def known(self) -> int:
        """Values that are not NULL."""
        return sum(self.counts) + sum(self.labels.values())

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"nulls": self.nulls}
        if self.edges:
            found |= {"edges": _ends(self.edges), "counts": self.counts, "mean": self.mean}
        if self.labels:
            found["labels"] = dict(self.labels)
        if self.before is not None:
            found["before"] = (_ends(self.before[0]), self.before[1])
        return found


def of_labels(values: Sequence[object]) -> Distribution:
    """Of a sample: the most frequent values, and all others together."""
    ranked = Counter(_label(value) for value in values if value is not None).most_common()
    labels = dict(ranked[:LABELS])
    rest = sum(count for _, count in ranked[LABELS:])
    if rest:
        labels[OTHERS] = labels.get(OTHERS, 0) + rest
    return Distribution(labels=labels, nulls=len(values) - sum(labels.values()))


def of_numbers(values: Sequence[object], last: Distribution | None = None) -> Distribution:
    """Of a sample. NaN counts as NULL.

    Args:
        last: the night before.
    """
    numbers = sorted(number for number in map(_number, values) if not math.isnan(number))
    nulls = len(values) - len(numbers)
    if not numbers:
        edges = last.edges if last else ()
        return Distribution(edges, (0,) * (len(edges) + 1) if edges else (), nulls=nulls)
    finite = [number for number in numbers if math.isfinite(number)]
    mean = _rounded(math.fsum(finite) / len(finite)) if finite else None
    if last is None or not last.edges:
        edges = edges_of(finite)
        return Distribution(edges, _counted(numbers, edges), nulls=nulls, mean=mean)
    counts = _counted(numbers, last.edges)
    if counts[0] + counts[-1] <= _OUTSIDE * len(numbers):
        return Distribution(last.edges, counts, nulls=nulls, mean=mean)
    edges = edges_of(finite)
    return Distribution(edges, _counted(numbers, edges), nulls=nulls, mean=mean, before=(last.edges, counts))


def edges_of(numbers: Sequence[float]) -> tuple[float, ...]:
    """Of sorted finite numbers: those of a probability where all can be one, else between the outer percentiles.

    >>> edges_of([0.1, 0.2, 0.9])[:3]
    (0.0, 0.05, 0.1)
    """
    if not numbers or (numbers[0] >= 0 and numbers[-1] <= 1):
        return spaced(0.0, 1.0, BINS)
    cut = int(len(numbers) * _TAIL)
    low, high = (max(-_LARGEST, min(number, _LARGEST)) for number in (numbers[cut], numbers[len(numbers) - 1 - cut]))
    if not high - low > max(abs(low), abs(high)) * 1e-9:
        room = max(abs(low), 1.0) / 2
        low, high = low - room, high + room
    return spaced(low, high, BINS)


@lru_cache(maxsize=1024)
def spaced(low: float, high: float, bins: int) -> tuple[float, ...]:
    """Edges of so many bins of one width. Nights have them in common.

    Raises:
        ValueError: there are none.
    """
    found = (*(float(low) + (high - low) * n / bins for n in range(bins)), float(high))
    if not bins or not math.isfinite(high - low) or any(one >= other for one, other in pairwise(found)):
        raise ValueError("no edges")
    return found


def psi(old: Distribution, new: Distribution) -> float | None:
    """Population stability index of two nights, NULL being a bin of its own. None: they have nothing to compare.

    >>> a = Distribution(labels={"yes": 50, "no": 50})
    >>> psi(a, a), round(psi(a, Distribution(labels={"yes": 80, "no": 20})), 3)
    (0.0, 0.416)
    """
    pairs = _aligned(old, new)
    if pairs is None:
        return None
    pairs = [*pairs, (old.nulls, new.nulls)]
    before, after = sum(one for one, _ in pairs), sum(one for _, one in pairs)
    if not before or not after:
        return None
    found = 0.0
    for one, other in pairs:
        if one or other:
            a, b = max(other / after, _FLOOR), max(one / before, _FLOOR)
            found += (a - b) * math.log(a / b)
    return found


def shifts(spread: Sequence[Distribution | None]) -> tuple[float | None, ...]:
    """``psi`` of each night to the one before that is known; None where there is none. For a year of nights at once."""
    known = [one for one in spread if one is not None]
    if known and known[0].edges and all(one.edges == known[0].edges and one.known for one in known):
        moved = iter((None, *_same_edges(known)))
    else:
        moved = iter((None, *(psi(last, one) for last, one in pairwise(known))))
    return tuple(None if one is None else next(moved) for one in spread)


def _same_edges(known: Sequence[Distribution]) -> list[float]:
    import numpy as np

    counts = np.array([(*one.counts, one.nulls) for one in known], dtype=float)
    shares = np.maximum(counts / counts.sum(axis=1, keepdims=True), _FLOOR)
    found: list[float] = (np.diff(shares, axis=0) * np.diff(np.log(shares), axis=0)).sum(axis=1).tolist()
    return found


def to_text(found: Mapping[str, Distribution]) -> str:
    return json.dumps({name: one.as_json() for name, one in found.items()}, ensure_ascii=False, separators=(",", ":"))


def from_text(text: str | None) -> dict[str, Distribution]:
    """Column → its values, from a record. What another version or hand wrote, and does not fit, is left out."""
    try:
        raw = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    found = {}
    for name, one in raw.items() if isinstance(raw, dict) else ():
        try:
            found[str(name)] = _read(one)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            continue
    return found


def _read(raw: Mapping[str, Any]) -> Distribution:
    edges, counts = _bins(raw.get("edges") or (), raw.get("counts") or ())
    labels = {str(name): int(count) for name, count in (raw.get("labels") or {}).items()}
    before = _bins(*raw["before"]) if raw.get("before") else None
    mean = raw.get("mean")
    return Distribution(edges, counts, labels, int(raw.get("nulls", 0)), None if mean is None else float(mean), before)


def _ends(edges: Sequence[float]) -> tuple[float, float]:
    """All that is written of edges: those between have one width."""
    return edges[0], edges[-1]


def _bins(ends: Sequence[float], counts: Sequence[Any]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    found = tuple(map(int, counts))
    if not ends and not found:
        return (), ()
    low, high = ends
    if min(found) < 0:
        raise ValueError("no counts")
    return spaced(low, high, len(found) - 2), found


def _label(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _counted(numbers: Sequence[float], edges: Sequence[float]) -> tuple[int, ...]:
    """The last bin takes its upper edge in, as a probability of 1 is no outlier."""
    counts = [0] * (len(edges) + 1)
    for number in numbers:
        counts[len(edges) - 1 if number == edges[-1] else bisect_right(edges, number)] += 1
    return tuple(counts)


def _rounded(number: float) -> float:
    return float(f"{number:.6g}")


def _aligned(old: Distribution, new: Distribution) -> list[tuple[int, int]] | None:
    if new.before is not None and new.before[0] == old.edges:
        return list(zip(old.counts, new.before[1], strict=True))
    if old.edges and old.edges == new.edges:
        return list(zip(old.counts, new.counts, strict=True))
    if old.edges or new.edges:
        return None
    return [(old.labels.get(name, 0), new.labels.get(name, 0)) for name in {**old.labels, **new.labels}]
