"""The compiler's corpus on a real server: each shape that PostgreSQL understands gives what SQL functions give."""

from __future__ import annotations

from functools import cache

import pytest
from harness import Shape, shapes
from sqlglot import ErrorLevel
from sqlglot.errors import SqlglotError
from world import PostgresWorld

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.parse.parse import parse
from sqlinfer.errors import SqlinferError, UnsupportedQuery
from sqlinfer.spec.function import Strategy
from sqlinfer.testing.differential import Expected, compare

SHAPES = list(shapes())
OTHERWISE = {
    "joins-52": "a column of USING has the type of the left side where PostgreSQL takes the wider one",
    "joins-54": "a column of USING has the type of the left side where PostgreSQL takes the wider one",
    "select_list-18": "a struct is jsonb here, and a composite value there",
    "table_form-13": "VALUES needs an alias before 16",
    "table_form-20": "there is no schema main",
}
"""Shapes whose text is PostgreSQL's, or nearly, and that give something else."""
REFUSED = dict.fromkeys(
    (
        "forms-99",
        "forms-100",
        "forms-103",
        "forms-102",
        "forms-104",
        "forms-157",
        "forms-158",
        "forms-242",
        "forms-243",
    ),
    "is a whole row here",
)


_ANSWERS: dict[str, Expected | Exception] = {}
"""What the server gives for a query, asked once for both strategies."""
_COMPILED: set[str] = set()
"""Texts that had a plan in the tests of this process."""


@cache
def written(sql: str) -> str | None:
    """The query as sqlglot writes it for PostgreSQL."""
    try:
        query = parse(Source(sql), "duckdb")
        return query.sql(dialect="postgres", unsupported_level=ErrorLevel.RAISE)
    except (SqlglotError, SqlinferError):
        return None


def answer(world: PostgresWorld, sql: str) -> Expected | Exception:
    if sql not in _ANSWERS:
        try:
            _ANSWERS[sql] = world.expected(sql)
        except Exception as error:
            _ANSWERS[sql] = error
    return _ANSWERS[sql]


@pytest.mark.parametrize("strategy", ["store", "stream"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.name)
@pytest.mark.thorough("-stream")
def test_a_plan_gives_what_sql_functions_give(shape: Shape, strategy: Strategy, world: PostgresWorld) -> None:
    sql, reference = written(shape.sql), written(shape.reference or shape.sql)
    if sql is None or reference is None or shape.name in OTHERWISE:
        pytest.xfail(OTHERWISE.get(shape.name, "no SQL of PostgreSQL"))
    expected = answer(world, reference)
    if isinstance(expected, Exception):
        pytest.xfail(f"no SQL of PostgreSQL: {str(expected)[:200]}")
    if shape.name in REFUSED:
        with pytest.raises(UnsupportedQuery, match=REFUSED[shape.name]) as refused:
            world.outcome(sql, strategy)
        assert refused.value.location is not None
        return
    outcome = world.outcome(sql, strategy)
    _COMPILED.add(sql)
    assert compare(outcome, expected, ordered=shape.ordered) is None


def test_most_of_the_corpus_is_sql_of_postgresql(world: PostgresWorld) -> None:
    """So that a change that makes shapes xfail is seen."""
    texts = [text for shape in SHAPES if shape.name not in OTHERWISE and (text := written(shape.sql)) is not None]
    ran = 0
    for text in texts:
        if text not in _COMPILED:
            try:
                world.compile(text)
            except Exception:
                continue
        ran += 1
    assert ran >= 440, ran
