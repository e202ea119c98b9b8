"""How predictions are spread on a night, and how far a night moved from the one before."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from itertools import pairwise

import pytest

from sqlinfer.spec.distributions import (
    BINS,
    LABELS,
    OTHERS,
    Distribution,
    edges_of,
    from_text,
    of_labels,
    of_numbers,
    psi,
    shifts,
    to_text,
)


def by_hand(old: list[float], new: list[float]) -> float:
    """The textbook's sum over shares."""
    return sum((a - b) * math.log(a / b) for a, b in zip(new, old, strict=True))


def test_probabilities_have_bins_of_a_twentieth() -> None:
    found = of_numbers([0.0, 0.04, 0.05, 0.5, 1.0, None])
    assert len(found.counts) == BINS + 2
    assert (found.counts[1], found.counts[2], found.counts[11], found.counts[20], found.nulls) == (2, 1, 1, 1, 1)
    assert (found.counts[0], found.counts[-1]) == (0, 0)
    assert found.mean == pytest.approx(0.318)


def test_psi_is_that_of_the_textbook() -> None:
    old = of_numbers([0.1] * 60 + [0.9] * 40)
    new = of_numbers([0.1] * 30 + [0.9] * 70, old)
    assert psi(old, new) == pytest.approx(by_hand([0.6, 0.4], [0.3, 0.7]))
    assert psi(old, old) == 0.0


def test_nulls_are_a_bin_of_their_own() -> None:
    old, new = of_numbers([0.5] * 90 + [None] * 10), of_numbers([0.5] * 50 + [None] * 50)
    assert psi(old, new) == pytest.approx(by_hand([0.9, 0.1], [0.5, 0.5]))


def test_labels_are_compared_one_by_one() -> None:
    old, new = of_labels(["a"] * 5 + ["b"] * 5), of_labels(["a"] * 8 + ["c"] * 2)
    assert psi(old, new) == pytest.approx(by_hand([0.5, 0.5, 0.0001], [0.8, 0.0001, 0.2]))


def test_two_samples_of_one_distribution_do_not_shift() -> None:
    draw = random.Random(4)
    old = of_numbers([draw.gauss(50, 9) for _ in range(10_000)])
    new = of_numbers([draw.gauss(50, 9) for _ in range(10_000)], old)
    assert new.edges == old.edges
    assert (psi(old, new) or 0) < 0.02


def test_edges_stay_while_most_values_lie_between_them() -> None:
    old = of_numbers([float(n) for n in range(100)])
    new = of_numbers([float(n) + 40 for n in range(100)], old)
    assert new.edges == old.edges
    assert new.before is None


def test_a_jump_out_of_all_bins_shows_and_the_next_night_is_calm() -> None:
    first = of_numbers([n / 100 for n in range(100)])
    second = of_numbers([n / 100 + 500 for n in range(100)], first)
    third = of_numbers([n / 100 + 500 for n in range(100)], second)
    assert second.edges != first.edges
    assert (psi(first, second) or 0) > 1
    assert psi(second, third) == 0.0
    assert max(third.counts) < 20


def test_a_year_at_once_says_the_same_as_night_by_night() -> None:
    draw, nights = random.Random(7), [of_numbers([0.5])]
    for night in range(30):
        nights.append(of_numbers([draw.gauss(night, 3) for _ in range(500)], nights[-1]))
    assert any(one.before for one in nights)
    expected = [psi(a, b) for a, b in pairwise(nights)]
    assert shifts([*nights[:5], None, *nights[5:]]) == (None, *expected[:4], None, *expected[4:])
    assert shifts([None, nights[0]]) == (None, None)


def test_nights_with_the_same_edges_are_compared_together() -> None:
    draw = random.Random(8)
    nights = [of_numbers([draw.betavariate(2 + night / 9, 3) for _ in range(800)]) for night in range(20)]
    assert shifts(nights)[1:] == tuple(pytest.approx(psi(a, b)) for a, b in pairwise(nights))


@pytest.mark.parametrize(
    "values",
    [
        [math.nan, math.inf, -math.inf, 1e308, -1e308],
        [5.0] * 10,
        [0.0],
        [-0.0, 5e-324],
        [Decimal("1.5"), Decimal("2.5")],
        [10**38, -(10**38)],
        [None, None],
        [],
    ],
)
def test_any_numbers_are_counted_and_come_back(values: list[object]) -> None:
    found = of_numbers(values)
    assert found.known + found.nulls == len(values)
    assert from_text(to_text({"p": found})) == {"p": found}
    again = of_numbers(values, found)
    assert psi(found, again) in (0.0, None)


def test_labels_beyond_the_most_frequent_are_counted_together() -> None:
    found = of_labels([f"label {n}" for n in range(50) for _ in range(50 - n)] + [None])
    assert len(found.labels) == LABELS + 1
    assert found.labels[OTHERS] == sum(range(1, 31))
    assert found.nulls == 1


def test_labels_of_others_are_cut() -> None:
    (label,) = of_labels(["x" * 5000]).labels
    assert len(label) == 80


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"p": 3}', '{"p": {"edges": [1, 0], "counts": [1, 2, 3]}}', "[" * 100_000,
     '{"p": {"edges": [0, 1], "counts": [-5, 2, 3]}}', '{"p": {"edges": [0, 1], "counts": "abc"}}',
     '{"p": {"labels": [1]}}', '{"p": {"edges": [0, 1e999], "counts": [1, 2, 3]}}'],
)  # fmt: skip
def test_what_does_not_fit_is_left_out(text: str) -> None:
    assert from_text(text) == {}
    assert from_text(None) == {}


def test_edges_hold_the_middle_of_the_values() -> None:
    edges = edges_of([float(n) for n in range(1000)] + [1e9])
    assert (edges[0], len(edges)) == (10.0, BINS + 1)
    assert edges[-1] < 1000


def test_nothing_and_something_have_no_index() -> None:
    assert psi(Distribution(), of_numbers([0.5])) is None
    assert psi(of_labels(["a"]), of_numbers([0.5])) is None
