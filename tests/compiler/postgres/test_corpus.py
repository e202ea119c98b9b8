"""The compiler's corpus on a real server: each shape that PostgreSQL understands gives what SQL functions give."""

from __future__ import annotations

import pytest
import sqlglot
from harness import Shape, shapes
from sqlglot import ErrorLevel
from sqlglot.errors import SqlglotError
from world import PostgresWorld

from sqlinfer.testing.differential import compare

SHAPES = list(shapes())


def written(sql: str) -> str | None:
    """The query as sqlglot writes it for PostgreSQL."""
    try:
        return sqlglot.transpile(sql, read="duckdb", write="postgres", unsupported_level=ErrorLevel.RAISE)[0]
    except SqlglotError:
        return None


@pytest.mark.parametrize("strategy", ["store", "stream"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.name)
def test_a_plan_gives_what_sql_functions_give(shape: Shape, strategy: str, world: PostgresWorld) -> None:
    sql = written(shape.sql)
    try:
        expected = world.expected(written(shape.reference or shape.sql) or "none")
    except Exception as error:
        pytest.xfail(f"no SQL of PostgreSQL: {str(error)[:200]}")
    outcome = world.outcome(sql or "", strategy)
    assert compare(outcome, expected, ordered=shape.ordered) is None
