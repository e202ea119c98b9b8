"""The SQL that each rule emits, in each dialect, as text: ``golden/<rule>.sql``.

``SQLINFER_UPDATE_GOLDEN=1 pytest tests/compiler/test_golden.py`` writes the files anew; read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import sqlglot

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.compile import compile_query
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Catalog, Column, Table
from sqlinfer.spec.function import Argument, FunctionContract, Output

GOLDEN = Path(__file__).parent / "golden"
DIALECTS = ("duckdb", "postgres", "spark", "databricks", "snowflake", "bigquery", "redshift")
TYPES = {
    "int": dict.fromkeys(DIALECTS, "INT") | {"bigquery": "INT64"},
    "double": dict.fromkeys(DIALECTS, "DOUBLE")
    | {"bigquery": "FLOAT64", "postgres": "DOUBLE PRECISION", "redshift": "DOUBLE PRECISION"},
    "text": dict.fromkeys(DIALECTS, "VARCHAR") | {"spark": "STRING", "databricks": "STRING", "bigquery": "STRING"},
    "bool": dict.fromkeys(DIALECTS, "BOOLEAN") | {"bigquery": "BOOL"},
}
CUSTOMERS = {"id": "int", "region": "text", "tenure": "int", "charges": "double", "contract": "text", "active": "bool"}
ORDERS = {"order_id": "int", "customer_id": "int", "amount": "double"}
QUERIES = {
    "headline": "select id, predict('score', tenure, charges) as p from customers "
    "where active and predict('score', tenure, charges) > 0.8 order by p desc limit 1000",
    "limit_below": "select id, predict('score', tenure, charges) as p from customers order by id limit 10",
    "guards": "select id, case when tenure < 3 then null else predict('score', tenure, charges) end as p "
    "from customers",
    "merge": "with scored as (select *, predict('score', tenure, charges) as p from customers) "
    "select id, p from scored where region = 'EU'",
    "push_filters": "select * from (select region, predict('spend', avg(charges)) as p from customers "
    "group by region) as r where region = 'EU'",
    "shared_cte": "with scored as (select id, predict('score', tenure, charges) as p from customers) "
    "select a.id, a.p, b.p as q from scored as a join scored as b on a.id = b.id + 1",
    "waves": "select id from customers where predict('score', tenure, charges) > 0.5 "
    "and predict('label', region) = 'x'",
    "aggregates": "select region, predict('spend', avg(charges)) as p from customers group by region "
    "having predict('spend', avg(charges)) > 1",
    "windows": "select id, predict('spend', sum(charges) over (partition by region order by id)) as p from customers",
    "left_join": "select c.id, o.order_id from customers as c "
    "left join orders as o on o.customer_id = c.id and predict('spend', o.amount) > c.charges",
    "nested": "select id, predict('spend', predict('score', tenure, charges)) as p from customers",
    "subquery": "select id from customers where predict('score', tenure, charges) > "
    "(select avg(predict('spend', amount)) from orders)",
    "casts": "select id, predict('score', contract, charges) as p from customers",
    "union": "select id, predict('score', tenure, charges) as p from customers "
    "union all select order_id, predict('spend', amount) from orders",
    "table_form": "select * from predict('spend', (select order_id, amount as charges from orders))",
}


def contract(name: str, cost: float, *arguments: Argument, returns: str = "DOUBLE") -> FunctionContract:
    return FunctionContract(name, name.ljust(64, "0"), arguments, (Output("value", returns),), cost_per_row=cost)


FUNCTIONS = {
    f.name: f
    for f in (
        contract("score", 900.0, Argument("tenure", "INT"), Argument("charges", "DOUBLE", "default", 0.0)),
        contract("spend", 500.0, Argument("charges", "DOUBLE")),
        contract("label", 100.0, Argument("region", "TEXT"), returns="TEXT"),
    )
}


def catalog(dialect: str) -> Catalog:
    fold = str.upper if dialect == "snowflake" else str
    tables = {}
    for name, columns in (("customers", CUSTOMERS), ("orders", ORDERS)):
        relation = Relation(fold(name), fold("shop"), fold("warehouse"))
        typed = tuple(Column(fold(c), TYPES[t][dialect]) for c, t in columns.items())
        tables[relation.folded()] = Table(relation, typed)
    return Catalog(dialect, Relation("", fold("shop"), fold("warehouse")), tables, FUNCTIONS)


def emitted(name: str, dialect: str) -> str:
    plan = compile_query(Source(QUERIES[name]), catalog(dialect), node=name)
    parts = [f"-- {dialect}: {stage.name}\n{stage.sql};\n" for stage in plan.stages]
    return "\n".join([*parts, f"-- {dialect}: result\n{plan.result.sql};\n"])


@pytest.mark.parametrize("name", QUERIES)
def test_emitted_sql_is_what_the_golden_file_says(name: str) -> None:
    text = f"-- {QUERIES[name]}\n\n" + "\n".join(emitted(name, dialect) for dialect in DIALECTS)
    file = GOLDEN / f"{name}.sql"
    if os.environ.get("SQLINFER_UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", QUERIES)
def test_emitted_sql_parses_in_its_own_dialect(name: str, dialect: str) -> None:
    plan = compile_query(Source(QUERIES[name]), catalog(dialect), node=name)
    for sql in (*(stage.sql for stage in plan.stages), plan.result.sql):
        assert len(sqlglot.parse(sql, dialect=dialect)) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_filter_pushed_below_stands_in_the_stage(dialect: str) -> None:
    plan = compile_query(Source(QUERIES["merge"]), catalog(dialect), node="n")
    assert "'EU'" in plan.stages[0].sql
    assert "'EU'" not in plan.result.sql
