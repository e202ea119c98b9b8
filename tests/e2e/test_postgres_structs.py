"""Fields of struct outputs on PostgreSQL, against the server's own composite type in the same queries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sqlinfer.testing import onnx_builder
from sqlinfer.testing.postgres_server import Database
from tests.conftest import Shop

FUNCTION = """functions:
  - name: two
    model: {path: f.onnx, inputs: {features: [a, b]}}
    arguments: [{name: a, data_type: real}, {name: b, data_type: real}]
    returns: {fields: [{name: lo, data_type: real, index: 0}, {name: hi, data_type: real, index: 1}]}
    config: {device: cpu, reuse: true}
"""
SCORED, OWN = "select id, predict('two', a, b) as r from input", "select id, row(lo, hi)::pair as r from plain"
QUERIES = {
    "cte": "with q as ({q}) select id, (r).lo as lo, (q.r).hi as hi from q",
    "derived": "select id, (r).lo as lo from ({q}) as q",
    "ordered": "with q as ({q}) select id, (r).lo as lo from q order by (r).hi desc limit 3",
    "grouped": "with q as ({q}) select (r).lo > 0 as big, count(*) as n, max((r).hi) as m from q group by (r).lo > 0",
    "positions": "with q as ({q}) select round((r).lo::numeric, 1) as v, count(*) as n from q group by 1",
    "chosen": "with q as ({q}) select id % 2 as k, max((r).lo) as m from q group by 1 having max((r).lo) is not null",
    "unions": "with q as ({q}) select id, (r).lo as v from q union all select id, (r).hi as v from q",
    "united": "with q as ({q} where id < 3 union all {q} where id > 5) select id, (r).hi as v from q",
    "starred": "with q as ({q}), p as (select * from q) select id, (r).lo as lo from p",
    "spread": "with q as ({q}) select id, (r).* from q",
    "filtered": "with q as ({q}) select id from q where (r).lo > (r).hi",
    "joined": "with q as ({q} where id < 4) select i.id, (q.r).lo as lo from input as i left join q on q.id = i.id",
    "windowed": "with q as ({q}) select id, row_number() over (order by (r).lo, id) as n from q",
    "lagged": "with q as ({q}) select id, (lag(r) over (order by id)).lo as before from q",
    "coalesced": "with q as ({q}) select id, (coalesce(r, r)).lo as lo, (case when id > 2 then r end).hi as hi from q",
    "chained": "with q as ({q}), p as (select id as i, r as s from q) select i, (s).lo as lo from p",
    "renamed": "with q(i, s) as ({q}) select i, (s).lo as lo from q",
    "beside": "with q as ({q}) select q.id, l.v from q cross join lateral (select (q.r).lo as v) as l",
    "related": "with q as ({q}) select id from input i where exists (select from q where q.id = i.id and (r).lo > 0)",
    "inside": "with q as ({q}) select id, (select max((r).lo) from q) as most from input",
    "distincted": "with q as ({q}) select distinct on ((r).lo) id, (r).lo as lo from q order by (r).lo, id",
    "gathered": "with q as ({q}) select array_agg((r).lo order by id) as v from q",
}  # fmt: skip


@pytest.fixture
def house(tmp_path: Path, postgres_database: Database) -> Shop:
    shop = Shop(tmp_path)
    shop.put("sqlinfer_project.yml", "name: shop\nprofile: shop\n")
    shop.put("profiles.yml", json.dumps({"shop": {"target": "dev", "outputs": {"dev": postgres_database.output()}}}))
    shop.put("functions/f.yml", FUNCTION)
    onnx_builder.mlp([2, 8, 2], path=tmp_path / "functions/f.onnx")
    postgres_database.run(
        "create type pair as (lo real, hi real)",
        "create table input as select i as id, i * 0.1::real as a, (i % 3)::real as b from generate_series(1, 8) as i",
    )
    return shop


def test_fields_are_read_wherever_the_struct_comes_from(house: Shop, postgres_database: Database) -> None:
    plain = "select id, (predict('two', a, b)).lo as lo, (predict('two', a, b)).hi as hi from input"
    for name, sql in {"plain": plain, **QUERIES}.items():
        house.model(sql.replace("{q}", SCORED), name=name)
    code, text = house("run")
    assert code == 0, text
    for name, sql in QUERIES.items():
        postgres_database.run(f"create view own as {sql.replace('{q}', OWN)}")
        assert columns(postgres_database, name) == columns(postgres_database, "own"), name
        found, wanted = (sorted(map(repr, postgres_database.run(f"select * from {r}"))) for r in (name, "own"))
        assert found == wanted, name
        postgres_database.run("drop view own")


def columns(database: Database, relation: str) -> list[tuple[str, str]]:
    return database.run(
        "select attname::text, format_type(atttypid, atttypmod) from pg_attribute "
        f"where attrelid = '{relation}'::regclass and attnum > 0 order by attnum"
    )


@pytest.mark.parametrize(
    "sql",
    [
        "with q as (select id, predict('two', a, b) as r from input) select (r).low as v from q",
        "select (predict('two', a, b)).low as v from input",
    ],
)
def test_a_field_that_the_function_has_not_is_refused_with_its_place(house: Shop, sql: str) -> None:
    house.model(sql)
    code, text = house("run")
    assert code == 1
    assert "two has no field 'low'" in text
    assert "did you mean 'lo'?" in text
    assert "m.sql:1:" in text
