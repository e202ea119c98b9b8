"""Random queries equal ordinary DuckDB. ``SQLINFER_FUZZ_EXAMPLES`` sets how many (default 160, in four parts)."""

from __future__ import annotations

import os
from functools import cache

import duckdb
import pytest
from harness import functions
from hypothesis import HealthCheck, assume, given, seed, settings
from queries import SETUP, Query, queries

from sqlinfer.errors import UnsupportedQuery
from sqlinfer.testing.differential import World, compare

EXAMPLES = int(os.environ.get("SQLINFER_FUZZ_EXAMPLES", "160"))
PARTS = 4
FIRST_SEED = int(os.environ.get("SQLINFER_FUZZ_SEED", "0"))


@cache
def world() -> World:
    return World(SETUP, functions())


def check(query: Query) -> None:
    try:
        expected = world().expected(query.sql)
    except (duckdb.InternalException, duckdb.FatalException):
        world.cache_clear()  # DuckDB's own bug, after which it takes no more queries
        assume(False)
        return
    except duckdb.Error:
        assume(False)  # not a valid query
        return
    assume(len(expected.rows) < 20_000)
    for strategy in ("store", "stream"):
        try:
            outcome = world().run(query.sql, strategy)  # type: ignore[arg-type]
        except UnsupportedQuery as refused:
            assert "correlated" in refused.message, refused  # noqa: PT017
            return
        except (duckdb.InternalException, duckdb.FatalException):
            world.cache_clear()  # DuckDB's own bug again, in the planned SQL this time
            assume(False)
            return
        assert compare(outcome, expected, ordered=query.ordered, typed=False) is None


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_random_query_gives_what_plain_udfs_give(part: int) -> None:
    limits = settings(
        max_examples=EXAMPLES // PARTS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    seed(FIRST_SEED * PARTS + part)(limits(given(queries())(check)))()
