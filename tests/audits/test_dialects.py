"""The failing rows of every kind of data test in the words of other warehouses: run where there is a server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlglot

from sqlinfer.audits.base import Audit, Rows, Scoring, Subject
from sqlinfer.audits.queries import all_rows, failing_of_own, failures, some_rows, verdict
from sqlinfer.audits.registry import AUDITS, read
from sqlinfer.relation import Relation
from sqlinfer.testing.postgres_server import Database

TABLE = """create table people as select * from (values
    (1, 'a', 0.5::double precision, date '2026-01-01'), (2, 'it''s', 0.9, date '2026-01-02'),
    (2, null, 'nan'::double precision, null), (7, 'c', 2.0, date '2026-01-03')) as v(id, tag, score, "The Day")"""
TYPES = {"id": "INTEGER", "tag": "TEXT", "score": "DOUBLE PRECISION", "The Day": "DATE"}
CASES = [
    ("unique", "ID", {}, 1),
    ("unique", '"ID"', {}, 1),
    ("unique", "id % 5", {}, 1),
    ("unique", None, {"columns": ["id", "tag"]}, 0),
    ("not_null", "the day", {}, 1),
    ("accepted_values", "tag", {"values": ["a", "it's"]}, 1),
    ("accepted_values", "id", {"values": [1, 2]}, 1),
    ("accepted_values", "The Day", {"values": ["2026-01-01", "2026-01-02"]}, 1),
    ("accepted_range", "score", {"min_value": 0, "max_value": 1}, 2),
    ("accepted_range", "score", {"min_value": 0}, 1),
    ("accepted_range", "id", {"max_value": "score + 1"}, 2),
    ("accepted_range", "The Day", {"min_value": "2026-01-02"}, 1),
    ("relationships", "id", {"to": "parents", "field": "ID"}, 1),
    ("row_count", None, {"min": 5}, 1),
    ("error_rate", "tag", {"max": 0.2}, 1),
    ("error_rate", None, {"max": 0.01}, 1),
    ("expression_is_true", None, {"expression": "id > 1"}, 1),
    ("distribution_shift", "score", {"max": 0.1}, 1),
    ("distribution_shift", "score", {"max": 50}, 0),
    ("distribution_shift", "tag", {"max": 0.1}, 1),
]


@pytest.fixture(scope="module")
def server(postgres_server: Database) -> Iterator[Database]:
    with postgres_server.fresh() as database:
        shifted = "create table shifted as select id, tag || '!' as tag, score + 5 as score from people"
        database.run(TABLE, "create table parents as select * from (values (1), (2)) as v(id)", shifted)
        yield database


def rows_of(name: str, types: dict[str, str], dialect: str) -> Rows:
    return Rows(some_rows(all_rows(Relation(name), dialect), None), types, dialect)


def failing(kind: str, column: str | None, arguments: dict, dialect: str) -> str:
    audit = read(kind, arguments, column)
    assert isinstance(audit, Audit), audit
    rows = rows_of("people", TYPES, dialect)
    on = Subject(
        rows, rows.name(column) if column else None, rows.type_of(column) if column else None,
        published=rows_of("shifted", TYPES, dialect), other=lambda name: rows_of(name, {"id": "INTEGER"}, dialect),
        scoring=Scoring(15, 1000),
    )  # fmt: skip
    return audit.failing(on)


@pytest.mark.parametrize(("kind", "column", "arguments", "expected"), CASES)
def test_postgres_finds_the_same_failing_rows(server, kind: str, column: str, arguments: dict, expected: int) -> None:
    sql = failing(kind, column, arguments, "postgres")
    ((count,),) = server.run(failures(sql, "count(*)", 500))
    assert count == expected


def test_postgres_judges_and_runs_tests_of_the_project(server) -> None:
    assert server.run(verdict(3, "> 5", "!= 0")) == [(False, True)]
    assert server.run(verdict(3, "==3", "= 3")) == [(True, True)]
    source = some_rows(all_rows(Relation("people"), "postgres"), "id > 1")
    ((count,),) = server.run(failures(failing_of_own('select id from "sqlinfer_tested"', source), "count(*)", None))
    assert count == 3


@pytest.mark.parametrize(("kind", "column", "arguments", "expected"), CASES)
def test_spark_reads_what_is_written_for_it(kind: str, column: str, arguments: dict, expected: int) -> None:
    sql = failing(kind, column, arguments, "spark")
    assert '"' not in sql
    assert "DOUBLE PRECISION" not in sql
    sqlglot.parse_one(failures(sql, "count(*)", None), dialect="spark")


def test_no_kind_is_left_out() -> None:
    assert {kind for kind, *_ in CASES} == {audit.kind for audit in AUDITS}
