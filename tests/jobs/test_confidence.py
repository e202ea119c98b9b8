"""The interval of a share covers the truth as often as it says, and never pretends to know more than the sample."""

from __future__ import annotations

import random

import pytest

from sqlinfer.jobs.confidence import share_interval


@pytest.mark.parametrize(("share", "sampled"), [(0.003, 500), (0.03, 200), (0.25, 100), (0.5, 40), (0.97, 300)])
def test_it_covers_the_truth_at_a_thousand_seeds(share: float, sampled: int) -> None:
    rows = 4_000
    flips = round(rows * share)
    truth, covered = flips / rows, 0
    for seed in range(1_000):
        found = sum(row < flips for row in random.Random(seed).sample(range(rows), sampled))
        low, high = share_interval(found, sampled, rows)
        covered += low <= truth <= high
    assert covered >= 950


@pytest.mark.parametrize(
    ("found", "sampled", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (5, 10, 0.1871, 0.8129), (61, 2000, 0.02341, 0.03901),
     (1, 1_000_000, 2.53e-8, 5.572e-6)],
)  # fmt: skip
def test_its_bounds_are_those_of_clopper_and_pearson(found: int, sampled: int, low: float, high: float) -> None:
    assert share_interval(found, sampled, 10**9) == pytest.approx((low, high), rel=2e-3)


def test_where_every_row_was_looked_at_the_share_is_known() -> None:
    assert share_interval(3, 12, 12) == (0.25, 0.25)
    assert share_interval(0, 0, 0) == (0.0, 0.0)
