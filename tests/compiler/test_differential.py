"""Each shape of the corpus, with both strategies, equals ordinary DuckDB with the functions as UDFs."""

from __future__ import annotations

from functools import cache

import pytest
from harness import Shape, shapes, world

from sqlinfer.spec.function import Strategy
from sqlinfer.testing.differential import Expected, compare

SHAPES = list(shapes())


@cache
def answer(sql: str) -> Expected:
    """What DuckDB gives, asked once for both strategies."""
    return world().expected(sql)


def test_the_corpus_is_large() -> None:
    assert len(SHAPES) >= 150


@pytest.mark.parametrize("strategy", ["store", "stream"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.name)
@pytest.mark.thorough("-stream")
def test_a_plan_gives_what_plain_udfs_give(shape: Shape, strategy: Strategy) -> None:
    outcome = world().run(shape.sql, strategy)
    expected = answer(shape.reference or shape.sql)
    assert compare(outcome, expected, ordered=shape.ordered) is None
    if shape.reference is None and "predict(" not in shape.sql:
        assert outcome.columns == expected.columns
    if shape.scored is not None:
        assert {k: v for k, v in outcome.scored.items() if v} == {k: v for k, v in shape.scored.items() if v}
