"""Each kind of data test: what passes, what fails, and every argument."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from sqlinfer.audits.base import Audit, Rows, Scoring, Subject
from sqlinfer.audits.registry import AUDITS, Problem, find, read
from sqlinfer.errors import RunError

ROWS = """select * from (values
    (1, 'a', 0.5::double, date '2026-01-01'), (2, 'b', 0.9, date '2026-01-02'), (2, null, 'nan'::double, null),
    (7, 'c', 2.0, date '2026-01-03')) as v(id, tag, score, "the day")"""


@pytest.fixture(scope="module")
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(f"create table people as {ROWS}")
        connection.execute("create table parents as select * from (values (1), (2)) as v(id)")
        yield connection


def rows_of(db: duckdb.DuckDBPyConnection, sql: str) -> Rows:
    return Rows(f"({sql})", {row[0]: row[1] for row in db.sql(f"describe {sql}").fetchall()})


def failures(db: duckdb.DuckDBPyConnection, kind: str, column: str | None, arguments: dict, **more: object) -> int:
    audit = read(kind, arguments, column)
    assert isinstance(audit, Audit), audit
    rows = rows_of(db, more.pop("sql", "from people"))
    name = rows.name(column) if column else None
    kind_of = db.sql(f"describe select {name} from {rows.source}").fetchall()[0][1] if name else None
    on = Subject(rows, name, kind_of, other=lambda name: rows_of(db, f"from {name}"), **more)
    return len(db.sql(audit.failing(on)).fetchall())


@pytest.mark.parametrize(
    ("kind", "column", "arguments", "expected"),
    [
        ("unique", "id", {}, 1),
        ("unique", "ID", {}, 1),
        ("unique", "tag", {}, 0),
        ("unique", "id % 5", {}, 1),
        ("unique", '"the day"', {}, 0),
        ("unique", None, {"columns": ["id"]}, 1),
        ("unique", None, {"columns": "id"}, 1),
        ("unique", None, {"columns": ["id", "tag"]}, 0),
        ("dbt_utils.unique_combination_of_columns", None, {"combination_of_columns": ["id", "id"]}, 1),
        ("not_null", "tag", {}, 1),
        ("not_null", "the day", {}, 1),
        ("not_null", "id", {}, 0),
        ("accepted_values", "tag", {"values": ["a", "b"]}, 1),
        ("accepted_values", "tag", {"values": ["a", "b", "c"]}, 0),
        ("accepted_values", "tag", {"values": ["a", "b", None]}, 1),
        ("accepted_values", "id", {"values": [1, 2]}, 1),
        ("accepted_values", "id", {"values": ["1", "2"], "quote": False}, 1),
        ("accepted_values", "the day", {"values": ["2026-01-01", "2026-01-02"]}, 1),
        ("accepted_range", "score", {"min_value": 0, "max_value": 1}, 2),
        ("accepted_range", "score", {"min_value": 0}, 1),
        ("accepted_range", "score", {"max_value": 2}, 1),
        ("accepted_range", "score", {"max_value": 2, "inclusive": False}, 2),
        ("accepted_range", "id", {"min": 1, "max": 7}, 0),
        ("accepted_range", "id", {"min_value": 1, "max_value": 7, "inclusive": False}, 2),
        ("accepted_range", "id", {"max_value": "score + 1"}, 2),
        ("accepted_range", "the day", {"min_value": "2026-01-02"}, 1),
        ("relationships", "id", {"to": "parents", "field": "ID"}, 1),
        ("relationships", "id % 2", {"to": "parents", "field": "id - 1"}, 0),
        ("row_count", None, {"equals": 4}, 0),
        ("row_count", None, {"equals": 5}, 1),
        ("row_count", None, {"equals": 3}, 1),
        ("row_count", None, {"min": 4, "max": 4}, 0),
        ("row_count", None, {"min": 5}, 1),
        ("row_count", None, {"max": 3}, 1),
        ("row_count", None, {"min_value": 5, "max_value": 9}, 1),
        ("row_count", None, {"max": 0}, 1),
        ("error_rate", "tag", {"max": 0.2}, 1),
        ("error_rate", "tag", {"max": 0.25}, 0),
        ("error_rate", "tag", {"max_rate": 0.1}, 1),
        ("error_rate", "id", {}, 0),
        ("expression_is_true", None, {"expression": "id > 1"}, 1),
        ("expression_is_true", "id", {"expression": ">= 1"}, 0),
    ],
)
def test_the_rows_that_fail(db, kind: str, column: str | None, arguments: dict, expected: int) -> None:
    assert failures(db, kind, column, arguments) == expected


@pytest.mark.parametrize(("maximum", "expected"), [(0.01, 1), (0.02, 0)])
def test_an_error_rate_is_that_of_the_run(db, maximum: float, expected: int) -> None:
    assert failures(db, "error_rate", None, {"max": maximum}, scoring=Scoring(15, 1000)) == expected


NUMBERS = "select i::double as v from range(1000) as r(i)"


@pytest.mark.parametrize(
    ("old", "new", "arguments", "expected"),
    [
        (NUMBERS, NUMBERS, {}, 0),
        (NUMBERS, NUMBERS.replace("i::", "(i + 20)::"), {}, 0),
        (NUMBERS, NUMBERS.replace("i::", "(i + 20)::"), {"max": 0.001}, 1),
        (NUMBERS, NUMBERS.replace("i::", "(i + 900)::"), {}, 1),
        (NUMBERS, NUMBERS.replace("i::", "(i + 900)::"), {"max": 50}, 0),
        (NUMBERS, NUMBERS.replace("i::", "(i + 900)::"), {"max_psi": 50}, 0),
        (NUMBERS, "select 500.0::double as v from range(1000)", {"buckets": 4}, 1),
        (NUMBERS, "select case when i % 2 = 0 then i end::double as v from range(1000) as r(i)", {}, 1),
        ("select 0.5 as v from range(10)", "select 0.3 as v from range(10)", {}, 1),
        ("select 0.5 as v from range(10)", "select 0.5 as v from range(10)", {}, 0),
        ("select 'a' as v from range(10)", "select 'b' as v from range(10)", {}, 1),
        ("select 'a' as v from range(10)", "select 'a' as v from range(99)", {"max": 0}, 0),
        (NUMBERS, NUMBERS + " where false", {}, 1),
        (NUMBERS + " where false", NUMBERS, {}, 0),
    ],
)
def test_a_distribution_is_compared_with_the_published_one(db, old: str, new: str, arguments: dict, expected: int):
    published = rows_of(db, old)
    assert failures(db, "distribution_shift", "v", arguments, sql=new, published=published) == expected


def test_more_buckets_see_what_few_do_not(db) -> None:
    new = "select (i // 500 * 500 + i % 500 // 100 * 100)::double as v from range(1000) as r(i)"
    seen = [
        failures(db, "distribution_shift", "v", {"buckets": buckets}, sql=new, published=rows_of(db, NUMBERS))
        for buckets in (2, 50)
    ]
    assert seen == [0, 1]


def test_nothing_published_is_no_shift(db) -> None:
    assert failures(db, "distribution_shift", "v", {}, sql=NUMBERS) == 0


@pytest.mark.parametrize(
    ("kind", "column", "arguments", "message"),
    [
        ("row_count", None, {}, "needs 'equals', 'min' or 'max'"),
        ("row_count", None, {"equal": 3}, "unknown argument 'equal'"),
        ("row_count", None, {"equals": "3"}, "equals is a whole number, found text"),
        ("row_count", None, {"equals": True}, "equals is a whole number, found a boolean"),
        ("row_count", None, {"min": 5, "max": 4}, "min 5 is above max 4"),
        ("row_count", None, {"min": 5, "min_value": 4}, "'min' and 'min_value' are the same"),
        ("row_count", "id", {"min": 5}, "about the table"),
        ("unique", None, {}, "belongs to a column"),
        ("unique", None, {"columns": []}, "columns names no column"),
        ("unique", None, {"columns": 3}, "columns is a list, found 3"),
        ("unique", "id", {"columns": ["id"]}, "this one has a column"),
        ("unique", "id", {"values": [1]}, "unknown argument 'values'"),
        ("not_null", None, {}, "belongs to a column"),
        ("accepted_values", "id", {}, "needs 'values'"),
        ("accepted_values", "id", {"values": []}, "values has no value"),
        ("accepted_values", "id", {"values": [[1]]}, "values is one value, found a list"),
        ("accepted_range", "id", {}, "needs 'min_value' or 'max_value'"),
        ("accepted_range", "id", {"min_value": 2, "max_value": 1}, "min_value 2 is above max_value 1"),
        ("accepted_range", "id", {"min_value": {"a": 1}}, "min_value is one value, found a mapping"),
        ("relationships", "id", {"to": "parents"}, "needs 'field'"),
        ("distribution_shift", "id", {"max": "high"}, "max is a number, found text"),
        ("distribution_shift", "id", {"max": -1}, "max is not below 0"),
        ("distribution_shift", "id", {"buckets": 1}, "buckets is a number from 2"),
        ("distribution_shift", "id", {"bins": 2.5}, "bins is a whole number, found 2.5"),
        ("error_rate", None, {"max": 2}, "between 0 and 1"),
        ("error_rate", None, {"max": float("nan")}, "max is a number"),
        ("expression_is_true", None, {"expression": " "}, "expression is empty"),
        ("not_nul", "id", {}, "unknown test 'not_nul'"),
        ("other_package.unique", "id", {}, "unknown test"),
    ],
)
def test_arguments_that_do_not_fit_are_named(kind: str, column: str | None, arguments: dict, message: str) -> None:
    problem = read(kind, arguments, column)
    assert isinstance(problem, Problem)
    assert message in problem.message


def test_a_name_that_is_no_column_is_an_error_and_an_expression_is_none() -> None:
    rows = Rows("(t)", {"Total Price": "INTEGER", "id": "INTEGER"})
    assert rows.name("total price") == '"total price"'
    assert rows.name('"ID"') == '"ID"'
    assert rows.name("id + 1") == "(id + 1)"
    with pytest.raises(RunError, match="no column 'idd'"):
        rows.name("idd")


def test_every_kind_is_found_by_its_name() -> None:
    assert [find(audit.kind) for audit in AUDITS] == list(AUDITS)
    assert len({audit.kind for audit in AUDITS}) == len(AUDITS)
