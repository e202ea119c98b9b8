"""Texts that a collation takes for equal are several inputs: each has a result of its own."""

from __future__ import annotations

import pytest
from harness import functions

from sqlinfer.spec.function import Strategy
from sqlinfer.testing.differential import World, compare

SETUP = """
create table t as select i as id, i % 3 as k, ['a', 'A', 'b', 'B', 'a ', null, ''][i % 7 + 1] collate nocase as s
    from range(14) r(i);
create table u as select i as uid, i % 3 as k, ['A', 'a', 'c', null][i % 4 + 1] collate nocase as s from range(9) r(i)
"""


@pytest.mark.parametrize("strategy", ["store", "stream"])
@pytest.mark.parametrize(
    "sql",
    [
        "select id, s, lab(s) as p from t",
        "select id, (select string_agg(lab(u.s || t.s), ',' order by uid) from u where u.k = t.k) as p from t",
        "select id, (select string_agg(case when u.k > 0 then lab(t.s || u.s) end, ',' order by uid) from u) p from t",
        "select id, q.p from t left join lateral (select string_agg(lab(u.s || t.s), ',' order by uid) as p from u) q "
        "on true",
    ],
)
def test_equal_texts_have_results_of_their_own(sql: str, strategy: Strategy) -> None:
    world = World(SETUP, functions())
    try:
        assert compare(world.run(sql, strategy), world.expected(sql), ordered=False) is None
    finally:
        world.close()
