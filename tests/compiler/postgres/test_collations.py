"""Texts that are equal by their type or collation are several inputs: each has a result of its own."""

from __future__ import annotations

import pytest
from world import PostgresWorld

from sqlinfer.spec.function import Strategy
from sqlinfer.testing.differential import compare

SETUP = """
create extension if not exists citext;
create collation if not exists ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create table if not exists collated as select i as id, i % 3 as k, v::citext as c, v collate "ci" as s,
    i::numeric / 10 as n from generate_series(0, 13) as i,
    lateral (select (array['a', 'A', 'b', 'B', 'a ', null, ''])[i % 7 + 1]) as l(v)
"""


@pytest.mark.parametrize("strategy", ["store", "stream"])
@pytest.mark.parametrize("column", ["c", "s"])
@pytest.mark.parametrize(
    "sql",
    [
        "select id, x, lab(x) as p from t",
        "select id, (select string_agg(lab(u.x || t.x), ',' order by u.id) from t as u where u.k = t.k) as p from t",
        "select id, (select string_agg(case when u.k > 0 then lab(u.x || t.x) end, ',' order by u.id) from t as u) "
        "as p from t",
    ],
)
def test_equal_texts_have_results_of_their_own(sql: str, column: str, strategy: Strategy, world: PostgresWorld) -> None:
    world.run(SETUP)
    world.refresh()
    sql = f"with t as (select id, k, {column} as x from collated) {sql}"
    assert compare(world.outcome(sql, strategy), world.expected(sql), ordered=False, typed=False) is None
