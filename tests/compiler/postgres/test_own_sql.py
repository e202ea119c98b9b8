"""SQL that is PostgreSQL's own, in ``corpus.sql``: a plan gives what SQL functions of the same meaning give."""

from __future__ import annotations

from pathlib import Path

import pytest
from world import PostgresWorld

from sqlinfer.spec.function import Strategy
from sqlinfer.testing.differential import compare

QUERIES = (Path(__file__).parent / "corpus.sql").read_text(encoding="utf-8").split(";\n")
REFERENCES = {
    "select * from predict('f', (select id, x from t)) where f > 3": "select id, x, f(x) as f from t where f(x) > 3",
}


@pytest.mark.parametrize("strategy", ["store", "stream"])
@pytest.mark.parametrize("sql", QUERIES, ids=range(1, len(QUERIES) + 1))
def test_a_plan_gives_what_sql_functions_give(sql: str, strategy: Strategy, world: PostgresWorld) -> None:
    expected = world.expected(REFERENCES.get(sql.strip(), sql))
    outcome = world.outcome(sql, strategy)
    assert compare(outcome, expected, ordered=False) is None
    if "predict(" not in sql:
        assert outcome.columns == expected.columns
