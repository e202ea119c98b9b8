"""What a query of a plan reads, told from its tree where the tree tells everything, else from its text."""

from __future__ import annotations

import pytest
import sqlglot

from sqlinfer.compiler.parse.verbatim import Verbatim
from sqlinfer.compiler.plan.reading import reads_of, relations_in
from sqlinfer.compiler.plan.scans import Emitted
from sqlinfer.relation import Relation
from sqlinfer.spec.names import NAMESPACE
from sqlinfer.spec.plan import PlanReads

STAGED = f"select s.x from {Relation('m__s1', NAMESPACE.schema, NAMESPACE.catalog).sql()} as s"


@pytest.mark.parametrize(
    ("sql", "stages", "warehouse"),
    [
        (STAGED, {"m__s1"}, False),
        (f"{STAGED} join customers as c on c.x = s.x", {"m__s1"}, True),
        (f"with c as ({STAGED}) select * from c", {"m__s1"}, False),
        ("select * from main.c", set(), True),
        ("with c as (select 1 as x) select * from main.c", set(), True),
        ("select * from read_parquet('x')", set(), True),
        ("select 1", set(), False),
    ],
)
def test_stages_and_the_warehouse_are_told_apart(sql: str, stages: set[str], warehouse: bool) -> None:
    tree = sqlglot.parse_one(sql, dialect="duckdb")
    assert _told(reads_of(Emitted(tree, sql, "duckdb"), NAMESPACE)) == (stages, warehouse)


@pytest.mark.parametrize(
    ("text", "emitted", "warehouse"),
    [("x + 1", f"{STAGED} where x + 1", False), ("(select 1 from t)", f"{STAGED} where (select 1 from t)", True),
     ("x ~~~~ ((", f"{STAGED} where x ~~~~ ((", True)],
)  # fmt: skip
def test_the_users_own_text_in_it_is_read_too(text: str, emitted: str, warehouse: bool) -> None:
    tree = sqlglot.parse_one(STAGED, dialect="duckdb").where(Verbatim(this=text))
    assert _told(reads_of(Emitted(tree, emitted, "duckdb"), NAMESPACE)) == ({"m__s1"}, warehouse)


def test_relations_of_the_warehouse_are_listed_once_in_the_order_of_the_sql() -> None:
    sql = f"with c as ({STAGED}) select * from c join b on true join main.a on true where exists (select 1 from b)"
    tree = sqlglot.parse_one(sql, dialect="duckdb")
    assert reads_of(Emitted(tree, sql, "duckdb"), NAMESPACE).relations == ("b", "main.a")
    assert relations_in("select * from b join main.a using (x)", "duckdb") == ("b", "main.a")
    assert relations_in("select ((", "duckdb") == ()


def _told(reads: PlanReads) -> tuple[set[str], bool]:
    return set(reads.stages), reads.warehouse
