"""What reads differently twice is staged once, and the whitelist for skipping the stage is conservative."""

from __future__ import annotations

import pytest
from harness import SETUP, functions, world

from sqlinfer.testing.differential import World

REPRODUCIBLE = [
    "select f(x) from t",
    "select f(x) from t where k = 1",
    "select f(x + 1) from t join u on t.k = u.k",
    "select f(x) from t left join u using (k)",
    "select f(x) from t semi join u using (k)",
    "select f(x) from t where id in (select uid from u)",
    "select f(x) from (select distinct x from t) q",
    "select sum(f(x)) from t",
    "select case when k = 1 then f(x) end from t",
    "select lab(g) from t where lab(s) > 'a'",
]
NOT_REPRODUCIBLE = {
    "a limit": "select f(x) from (select x from t limit 3) q",
    "a limit below": "select f(x) from t limit 3",
    "a sample": "select f(x) from t using sample 5 rows",
    "a sample of a table": "select f(x) from t tablesample 50%",
    "random()": "select f(x) from t where random() < 0.5",
    "random() in an argument": "select f(x + random()) from t",
    "now()": "select f(x) from t where now() > timestamp '2020-01-01'",
    "current_date": "select f(extract(day from current_date)) from t",
    "a macro": "select f(x) from t where flaky()",
    "a macro with an argument": "select f(noisy(x)) from t",
    "avg of doubles": "select f(avg(x)) from t group by k",
    "sum of doubles": "select f(sum(x)) from t",
    "arg_max": "select f(arg_max(x, k)) from t",
    "any_value": "select f(any_value(x)) from t group by k",
    "first": "select f(first(x)) from t group by k",
    "list": "select f(list(x)[1]) from t group by k",
    "distinct on": "select f(x) from (select distinct on (k) x, k from t) q",
    "row_number over ties": "select f(r) from (select row_number() over (order by k) r from t) q",
    "a view": "select f(x) from tv",
    "a file": "select f(column0) from read_csv('{csv}', header = false)",
    "a replacement scan": "select f(column0) from '{csv}'",
    "a table function": "select f(i) from range(5) r(i)",
    "an attached database": "select f(x) from other.main.remote",
}


@pytest.mark.parametrize("sql", REPRODUCIBLE)
def test_scans_filters_and_joins_of_native_tables_need_no_stage(sql: str) -> None:
    assert all(s.reproducible for s in world().compile(sql).stages)


@pytest.fixture(scope="module")
def moody() -> World:
    made = World(SETUP, functions(), {})
    for connection in (made.planned, made.reference):
        connection.execute("create macro flaky() as random() < 0.5; create macro noisy(x) as x + random()")
        connection.execute("attach ':memory:' as other; create table other.main.remote as select 1.0::double as x")
    made.describe("other.main.remote", "foreign")
    return made


@pytest.mark.parametrize("what", NOT_REPRODUCIBLE)
def test_anything_else_is_staged(what: str, moody: World, tmp_path: object) -> None:
    path = f"{tmp_path}/numbers.csv"
    with open(path, "w", encoding="utf-8") as file:
        file.write("1\n2\n3\n")
    plan = moody.compile(NOT_REPRODUCIBLE[what].format(csv=path))
    assert not plan.stages[0].reproducible


@pytest.mark.parametrize(
    "sql",
    [
        "select id, case when random() < 0.5 then f(id) end p, id i from t",
        "select id, coalesce(case when random() < 0.5 then 1.0 end, f(id)) p from t",
        "select id, if(flaky(), f(id), f(id + 1)) p from t",
        "select id, case when random() < 0.5 then g(id, random()) else -1 end p from t",
    ],
)
def test_a_guard_with_a_coin_is_tossed_once(sql: str, moody: World) -> None:
    scored = moody.run(sql)
    values = [row[1] for row in scored.rows]
    assert len(values) == 30
    missing = sum(v is None for v in values)
    expected = scored.statuses.get("skipped", 0) if "case when random() < 0.5 then f(id) end p" in sql else 0
    assert missing == expected


def test_two_coins_are_two_coins(moody: World) -> None:
    rows = moody.run("select f(random()) a, f(random()) b from t").rows
    assert any(a != b for a, b in rows)


def test_the_result_reads_no_table_of_the_warehouse() -> None:
    sql = "select t.id, f(x), u.z, (select max(v) from w) from t left join u on t.k = u.k order by f(x) limit 3"
    plan = world().compile(sql)
    assert '"main"."u"' not in plan.result.sql
    assert '"main"."w"' not in plan.result.sql
