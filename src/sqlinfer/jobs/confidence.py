"""How sure a share is that was counted in a sample: the exact interval of Clopper and Pearson. Pure."""

from __future__ import annotations

from math import exp, lgamma, log, log1p

LEVEL = 0.95
_TINY, _STEPS = 1e-300, 400


def share_interval(found: int, sampled: int, of: int, level: float = LEVEL) -> tuple[float, float]:
    """Bounds of the share in all ``of`` rows, where ``found`` of ``sampled`` have what was looked for.

    It covers the true share in at least ``level`` of all samples, whatever the share is. Where every row was looked at
    the share is known.

    >>> low, high = share_interval(61, 2_000, 1_000_000)
    >>> round(low, 4), round(high, 4)
    (0.0234, 0.039)
    >>> share_interval(3, 10, 10)
    (0.3, 0.3)
    """
    if sampled == 0:
        return 0.0, 1.0 if of else 0.0
    if sampled >= of:
        return found / sampled, found / sampled
    tail = (1 - level) / 2
    low = 0.0 if found == 0 else _quantile(tail, found, sampled - found + 1)
    high = 1.0 if found == sampled else _quantile(1 - tail, found + 1, sampled - found)
    return low, high


def _quantile(share: float, a: int, b: int) -> float:
    """Of the beta distribution, by halving."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _beta(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta(x: float, a: int, b: int) -> float:
    """The regularised incomplete beta function."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    return front * _fraction(x, a, b)


def _fraction(x: float, a: int, b: int) -> float:
    """Its continued fraction, by Lentz's method."""
    c, d = 1.0, 1 / _off_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d, c = 1 / _off_zero(1 + step * d), _off_zero(1 + step / c)
            value *= d * c
        if abs(d * c - 1) < 1e-14:
            break
    return value


def _off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
