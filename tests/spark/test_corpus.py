"""Queries on real Spark: a plan gives what Spark's own functions of the same meaning give.

``corpus.sql`` holds SQL that is Spark's own. Of the compiler's corpus, as sqlglot writes it for Spark, one shape in ten
is run, all of it with ``SQLINFER_SPARK_WHOLE=1`` (a quarter of an hour).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlglot import ErrorLevel
from sqlglot.errors import SqlglotError

from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.parse.parse import parse
from sqlinfer.errors import SqlinferError, UnsupportedQuery
from sqlinfer.spec.function import Strategy
from sqlinfer.testing.differential import compare

sys.path.insert(0, str(Path(__file__).parent))
from spark_world import SparkWorld, of_the_corpus  # isort: skip
from harness import Shape, shapes  # isort: skip

QUERIES = [q.strip() for q in (Path(__file__).parent / "corpus.sql").read_text(encoding="utf-8").split(";\n")]
_LAZY = {q: q.replace("x / y", "try_divide(x, y)") for q in QUERIES if "f(x / y)" in q}
"""Spark computes the arguments of its functions before it looks at the guard around them."""
REFERENCES = {
    **_LAZY,
    "select * from predict('f', (select id, x from t)) where f > 3": "select id, x, f(x) as f from t where f(x) > 3",
    "select * from predict('f', t) where f > 3 order by id limit 4":
        "select *, f(x) as f from t where f(x) > 3 order by id limit 4",
}  # fmt: skip
EVERY = 1 if os.environ.get("SQLINFER_SPARK_WHOLE") else 10
STRATEGIES: tuple[Strategy, ...] = ("store", "stream")
SHAPES = list(shapes())
REFUSED = {
    "forms-159": "cannot be resolved", "forms-248": "cannot be resolved",
    "forms-285": "name the columns", "forms-286": "name the columns", "forms-287": "name the columns",
}  # fmt: skip
"""What DuckDB's own binder is needed for."""
OTHERWISE = {"table_form-7": "Spark names all columns of a relation or none"}


@pytest.fixture(scope="module")
def world(spark_parameters: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkWorld]:
    raw: dict[str, Any] = {"type": "spark", "schema": "default", "server_side_parameters": spark_parameters}
    with SparkSqlSession(SparkSettings.parse(raw, tmp_path_factory.mktemp("corpus"))) as session:
        yield of_the_corpus(session.raw)


def written(sql: str) -> str | None:
    """The query as sqlglot writes it for Spark."""
    try:
        return parse(Source(sql), "duckdb").sql(dialect="spark", unsupported_level=ErrorLevel.RAISE)
    except (SqlglotError, SqlinferError):
        return None


@pytest.mark.parametrize("number", range(len(QUERIES)))
def test_sql_that_is_sparks_own_gives_what_its_functions_give(number: int, world: SparkWorld) -> None:
    sql = QUERIES[number]
    expected = world.expected(REFERENCES.get(sql, sql))
    outcome = world.outcome(sql, STRATEGIES[number % 2])
    assert compare(outcome, expected, ordered=False) is None
    if "predict(" not in sql:
        assert outcome.columns == expected.columns


@pytest.mark.parametrize("number", range(0, len(SHAPES), EVERY), ids=lambda n: SHAPES[n].name)
def test_shapes_of_the_corpus_give_what_functions_give(number: int, world: SparkWorld) -> None:
    shape: Shape = SHAPES[number]
    sql, reference = written(shape.sql), written(shape.reference or shape.sql)
    if sql is None or reference is None or shape.name in OTHERWISE:
        pytest.xfail(OTHERWISE.get(shape.name, "no SQL of Spark"))
    try:
        expected = world.expected(reference)
    except Exception as error:
        pytest.xfail(f"no SQL of Spark: {str(error)[:200]}")
    if shape.name in REFUSED:
        with pytest.raises(UnsupportedQuery) as refused:
            world.outcome(sql)
        assert refused.value.location is not None
        return
    outcome = world.outcome(sql, STRATEGIES[number % 2])
    assert compare(outcome, expected, ordered=shape.ordered) is None


def test_a_call_below_two_queries_is_joined_as_pairs(world: SparkWorld) -> None:
    """Spark refuses subqueries that see two levels up."""
    sql = "select t.id, (select max(g(t.x, u.z)) from u where u.k = t.k) as p from t"
    plan = world.compile(sql)
    assert "JOIN" in plan.result.sql
    assert "ANY_VALUE" in plan.result.sql


@pytest.mark.parametrize(
    ("sql", "message", "column"),
    [
        ("select id, (select case when t.s rlike '^[0-9]+$' then f(reflect('java.lang.Double', 'valueOf', t.s)) end) "
         "as p from t", "may fail for them", 56),
        ("select id, transform(l, e -> f(e)) as p from t", "lambda", 30),
    ],
)  # fmt: skip
def test_what_has_no_form_is_refused_at_its_place(sql: str, message: str, column: int, world: SparkWorld) -> None:
    with pytest.raises(UnsupportedQuery, match=message) as refused:
        world.compile(sql)
    assert refused.value.location is not None
    assert refused.value.location.column == column


def test_cast_fails_and_try_cast_gives_null(world: SparkWorld) -> None:
    plan = world.compile("select cast(s as int) as a, try_cast(s as int) as b, f(x) as p from t")
    assert "TRY_CAST(`_s1`.`s` AS INT)" in plan.result.sql
    assert " CAST(`_s1`.`s` AS INT)" in plan.result.sql
