"""Errors of plan SQL say what the user wrote: no name of a stage, of its columns or of an alias."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sqlinfer.errors import AdapterError, Location, StatementRefused
from sqlinfer.runner.words import in_users_words
from sqlinfer.spec.plan import Call, Plan, Result, Stage

USER = "select\n  id,\n  f(cast(s as int)) as p,\n  cast(d as date) as c\nfrom t"


def _plan() -> Plan:
    call = Call("f", "d" * 64, "store", ("_p1_x",), "_p1", "_p1_key", "_p1_status", "f(cast(s as int))")
    stage_sql = 'SELECT\n  "t"."d" AS "d",\n  CAST("t"."s" AS INT) AS "_p1_x_raw"\nFROM "w"."main"."t" AS "t"'
    from sqlinfer.relation import Relation

    rows, scored = (Relation(f"m__s1{end}", "stage", "sqlinfer_side") for end in ("", "_scored"))
    stage = Stage("s1", rows, scored, stage_sql, ("d",), (call,))
    result = 'SELECT\n  "_s1"."_p1" AS "p",\n  CAST("_s1"."d" AS DATE) AS "c"\nFROM "sqlinfer_side"."stage"."m__s1_scored" AS "_s1"'  # noqa: E501
    return Plan("m", "duckdb", USER, (stage,), Result(result, ("p", "c")))


def _error(message: str, line: str, column: int) -> AdapterError:
    return AdapterError(message, location=Location(line=3, column=column, length=4, text=line))


def test_an_error_while_a_stage_is_read_names_the_call_and_the_users_column() -> None:
    line = '  CAST("t"."s" AS INT) AS "_p1_x_raw"'
    found = in_users_words(_error("DuckDB: Conversion Error: no number", line, 3), _plan())
    assert found.message == "while computing f(cast(s as int)): DuckDB: Conversion Error: no number"
    assert (found.location.line, found.location.column) == (3, 10)  # type: ignore[union-attr]
    assert found.location.text == "  f(cast(s as int)) as p,"  # type: ignore[union-attr]


def test_an_error_of_the_result_has_the_place_in_the_file() -> None:
    line = '  CAST("_s1"."d" AS DATE) AS "c"'
    raw = "{{ config(materialized='table') }}\n" + USER
    found = in_users_words(_error("DuckDB: Conversion Error: no date", line, 3), _plan(), Path("m.sql"), raw)
    assert found.message == "DuckDB: Conversion Error: no date"
    assert str(found.location) == "m.sql:5:8"


def test_an_error_without_a_place_names_the_column_that_it_mentions_or_the_file() -> None:
    raw = "select 1 as one;\n" + USER
    found = in_users_words(StatementRefused("DuckDB: a value cannot be cast (column d)"), _plan(), Path("m.sql"), raw)
    assert str(found.location) == "m.sql:5:8"
    found = in_users_words(StatementRefused("DuckDB: a division by zero"), _plan(), Path("m.sql"), raw)
    assert str(found.location) == "m.sql"
    assert in_users_words(AdapterError("the disk is full"), _plan(), Path("m.sql"), raw).location is None


@pytest.mark.parametrize(("said", "shown"), [
    ('Referenced column "zz" not found\nCandidate bindings: "__sqlinfer_run_id", "_p1"',
     'Referenced column "zz" not found'),
    ('cannot sum "_s1"."d" and "_p1"', 'cannot sum "d" and f(cast(s as int))'),
    ("Table sqlinfer_side.stage.m__s1_scored is gone", "Table the rows of this query is gone"),
    ('"_p1_x_raw" is no number', "argument x of f(cast(s as int)) is no number"),
    ('the column "_private" is the user\'s', 'the column "_private" is the user\'s'),
])  # fmt: skip
def test_names_of_ours_are_said_as_the_user_knows_them(said: str, shown: str) -> None:
    found = in_users_words(AdapterError(said), _plan())
    assert found.message == shown
    assert not re.search(r"sqlinfer_side|_s1|_p1|__", found.message)


def test_a_plan_without_stages_is_the_users_own_text() -> None:
    error = AdapterError('"_s1"."d"', location=Location(line=1, column=1, text="x"))
    plain = Plan("m", "duckdb", "select 1", (), Result("select 1"))
    assert in_users_words(error, plain).message == '"_s1"."d"'
