"""What a plan says of a query: the one table that it scans, and the scored relation whose rows it hands on."""

from __future__ import annotations

import pytest
import sqlglot
from test_golden import catalog

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.compile import compile_query
from sqlinfer.compiler.parse.verbatim import Verbatim
from sqlinfer.compiler.plan.scans import Emitted, scan_of
from sqlinfer.relation import Relation
from sqlinfer.spec.plan import Plan


def planned(sql: str, dialect: str = "duckdb") -> Plan:
    return compile_query(Source(sql), catalog(dialect), node="n")


@pytest.mark.parametrize(("dialect", "row_id"), [("duckdb", "rowid"), ("postgres", "ctid")])
def test_a_stage_names_the_table_that_it_scans_and_its_rows(dialect: str, row_id: str) -> None:
    (stage,) = planned("select id, predict('score', contract, charges) as p from customers as c", dialect).stages
    scan = stage.scan
    assert scan is not None
    assert (scan.table.name, scan.table.schema) == ("customers", "shop")
    assert f'"c"."{row_id}" AS "__sqlinfer_row"' in scan.by_row
    assert sqlglot.parse_one(scan.by_row, dialect=dialect).selects[-1].alias_or_name == "__sqlinfer_row"


def test_the_columns_of_a_scan_are_bounded() -> None:
    (stage,) = planned("select id, predict('score', tenure, charges) as p from customers where active").stages
    assert stage.scan is not None
    assert stage.scan.columns is not None
    assert 4 <= stage.scan.columns <= 8


@pytest.mark.parametrize(
    "sql",
    [
        "select c.id, predict('spend', o.amount) as p from customers as c join orders as o on o.customer_id = c.id",
        "select region, predict('spend', avg(charges)) as p from customers group by region",
        "select id, predict('spend', charges) as p from customers order by id limit 3",
        "select id, predict('spend', x) as p from (select id, unnest([charges, tenure]) as x from customers) as q",
    ],
)
def test_rows_that_are_not_those_of_one_table_have_no_id(sql: str) -> None:
    first = planned(sql).stages[0]
    assert first.scan is None


def test_text_of_the_users_is_counted_and_never_written_anew() -> None:
    tree = sqlglot.parse_one("select id from customers", dialect="duckdb").where(Verbatim(this="x + y > 1"))
    scan = scan_of(Emitted(tree, "select id from customers where x + y > 1", "duckdb"), "rowid")
    assert scan is not None
    assert (scan.table, scan.columns, scan.by_row) == (Relation("customers"), 3, "")


def test_a_stage_of_ours_has_no_row_ids() -> None:
    plan = planned("select id, predict('score', tenure, charges) as p from customers where charges > 1 order by id")
    assert plan.result.scan is None  # ORDER BY
    plan = planned("select id, predict('score', tenure, charges) as p from customers")
    assert plan.result.scan is not None
    assert (plan.result.scan.table, plan.result.scan.by_row) == (plan.stages[0].scored, "")


def test_a_result_says_whose_rows_it_hands_on_and_under_which_names() -> None:
    plan = planned("select id as number, predict('score', tenure, charges) as p, tenure + 1 as t from customers")
    passed, scored = plan.result.passes_rows_of, plan.stages[0].scored
    assert passed is not None
    assert scored is not None
    assert passed.scored == scored.name
    names = [item.alias_or_name for item in sqlglot.parse_one(passed.sql, dialect="duckdb").selects]
    assert names == ["number", "p", "t", passed.scored_by, passed.scored_at]
    assert dict(plan.result.origins)["number"] == "id"
    assert "t" not in dict(plan.result.origins)


@pytest.mark.parametrize(
    "sql",
    [
        "select region, avg(predict('spend', charges)) as p from customers group by region",
        "select distinct predict('spend', charges) as p from customers",
        "select predict('spend', charges) as p from customers union all select 1.0",
    ],
)
def test_rows_that_are_made_anew_are_nobodys(sql: str) -> None:
    assert planned(sql).result.passes_rows_of is None


def test_a_query_says_which_relations_it_reads() -> None:
    plan = planned(
        "select c.id, predict('spend', o.amount) as p from customers as c join orders as o on o.customer_id = c.id"
    )
    assert [stage.reads.relations for stage in plan.stages] == [("warehouse.shop.customers", "warehouse.shop.orders")]
    assert plan.result.reads.relations == ()
