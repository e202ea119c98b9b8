"""random() is drawn once for each row, now() and settings are one value for the whole query."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from harness import SETUP, functions, world

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.compile import compile_query
from sqlinfer.errors import UnsupportedQuery
from sqlinfer.spec.function import Strategy
from sqlinfer.testing.differential import World, multiset

STABLE = [
    "select id, f(x) p from t where d <= current_date and f(x) > 1",
    "select id, f(x) p from t where d <= current_date() and (b or f(x) > 1)",
    "select id, f(x) p from t where d <= today() and d < now() and d < current_timestamp and f(x) > 1",
    "select id, f(x) p from t where k < getvariable('lim') and f(x) > 1",
    "select id, f(x) p from t where case when k < getvariable('lim') then f(x) > 5 else f(x) > 8 end",
    "select current_date, count(*), sum(f(x)) from t group by current_date",
    "select current_date, count(*), sum(f(x)) from t group by all",
    "select current_date, count(*), sum(f(x)) from t where false",
    "select now() = now(), count(*), sum(f(x)) from t group by 1",
    "select k < getvariable('lim') low, avg(f(x)), getvariable('lim') from t group by k < getvariable('lim')",
    "select current_date - d a, max(f(x)) from t group by a having max(f(x)) > getvariable('lim') order by a",
    "select f(avg(x)), current_date, getvariable('lim') from t group by k",
    "select f(avg(x)), k < getvariable('lim') from t group by k, k < getvariable('lim')",
    "select id, sum(f(x)) over (partition by k < getvariable('lim') order by id) from t",
    "select id, f(x) from t qualify row_number() over (partition by k < getvariable('lim') order by f(x), id) = 1",
    "select id, (select max(z) from u where k < getvariable('lim') and f(z) > 1) from t where f(x) > 1",
    "select id from t where id in (select uid from u where f(z) > 1 and uid < getvariable('lim') + 3)",
    "select t.id, f(u.z) from t left join u on t.id = u.uid and u.k < getvariable('lim') and f(u.z) > 1",
    "select count(distinct n), sum(p) from (select now() n, f(x) p from t union all select now(), z from u)",
    "with c as (select id, now() n, f(x) p from t) select sum(a.p), bool_and(a.n = b.n) from c a join c b using (id)",
    "select list_filter(l, lambda e: e < getvariable('lim')), f(x) from t",
    "select sum(case when k < getvariable('lim') then f(x) end), count(*) filter (f(x) > current_date - d) from t",
    "select distinct on (k < getvariable('lim')) k < getvariable('lim'), id from t order by 1, f(x), id",
    "select id from t where f(x) > 3 order by id limit getvariable('lim')",
    "select current_schema, current_user, current_schema() = 'main', user, f(x) from t",
    "select p from (select d, f(x) p from t) where d <= current_date and p > 2",
]
DRAWN = {
    "a filter over the column": "select max(r) < 0.5 and sum(p) > 0 from "
    "(select r, f(x) p from (select random() r, x from t) where r < 0.5)",
    "a filter beside a predicted one": "select max(r) < 0.5 from (select random() r, f(x) p from t) "
    "where r < 0.5 and p > 0",
    "identifiers of rows": "select count(distinct u) = count(*) from (select uuid() u from t where f(x) > 1)",
    "two columns": "select bool_or(a <> b) from (select random() a, random() b, f(x) p from t) where p > 0",
    "a CTE read twice": "with c as (select id, random() r, f(x) p from t) "
    "select bool_and(a.r = b.r) from c a join c b using (id) where a.p > 0",
    "a CTE read twice, scored outside": "with c as (select id, random() r, x from t) "
    "select bool_and(a.r = b.r) from c a join c b using (id) where f(a.x) > 0",
    "two subqueries of one text": "select count(distinct r) = 3 from (select (select random()) r union all "
    "select (select random()) union all select f(1.0))",
    "groups of a coin": "select count(*) = 2 and sum(c) = 30 and sum(s) > 0 from "
    "(select random() < 0.5 g, count(*) c, sum(f(x)) s from t group by random() < 0.5)",
    "a key of coin and prediction": "select sum(c) = 30 from (select case when random() < 0.5 then n(k) end g, "
    "count(*) c from t group by case when random() < 0.5 then n(k) end)",
    "an argument": "select bool_and(p = (r * 3.25 + 1)) from (select r, f(r) p from (select random() r from t))",
}
CLOCK = re.compile(r"(?i)\b(now|today|current_(?!user)\w+|getvariable)\s*\(")


@pytest.fixture(scope="module")
def lim() -> Iterator[World]:
    made = World(SETUP, functions())
    for connection in (made.planned, made.reference):
        connection.execute("set variable lim = 3")
    yield made
    made.close()


@pytest.mark.parametrize("strategy", ["store", "stream"])
@pytest.mark.parametrize("sql", STABLE)
def test_the_clock_and_settings_mean_what_they_mean_in_duckdb(sql: str, strategy: Strategy, lim: World) -> None:
    expected = lim.expected(sql)
    if "now() n" in sql:  # the stages of a run share one transaction
        lim.planned.execute("begin")
    outcome = lim.run(sql, strategy)
    if "now() n" in sql:
        lim.planned.execute("rollback")
    assert outcome.columns == expected.columns
    assert multiset(outcome.rows) == multiset(expected.rows)


@pytest.mark.parametrize("strategy", ["store", "stream"])
@pytest.mark.parametrize("sql", STABLE)
def test_what_runs_after_the_warehouse_was_read_asks_no_clock(sql: str, strategy: Strategy, lim: World) -> None:
    plan = lim.compile(sql, strategy)
    scored = {stage.scored.name for stage in plan.stages if stage.scored}
    late = [plan.result.sql]
    for stage in plan.stages:
        if any(f'"{name}"' in stage.sql for name in scored):
            late.append(stage.sql)
            scored.add(stage.relation.name)
    assert not [sql for sql in late if CLOCK.search(re.sub('"[^"]*"', "", sql))]


@pytest.mark.parametrize("strategy", ["store", "stream"])
@pytest.mark.parametrize("what", DRAWN)
def test_a_coin_is_tossed_once_for_each_row(what: str, strategy: Strategy) -> None:
    assert world().run(DRAWN[what], strategy).rows == [(True,)]


def test_a_filter_over_a_scored_table_by_the_clock_goes_below_the_model() -> None:
    plan = world().compile("select p from (select d, f(x) p from t) where d <= current_date and p > 2")
    assert any("TODAY()" in line for line in plan.stages[0].pushed)


@pytest.mark.parametrize("call", ["nextval('s')", "NEXTVAL('s')", "currval('s')"])
def test_a_sequence_is_refused_at_its_place(call: str) -> None:
    with pytest.raises(UnsupportedQuery, match=r"val\(\) cannot stand in a query with predict") as caught:
        compile_query(Source(f"select f(x), {call} from t"), world().catalog("store"), node="n")
    assert caught.value.location is not None
    assert caught.value.location.column == 14
