"""Questions to the tables of records, in the words of each warehouse."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlglot import exp, parse_one

from sqlinfer.adapters.shared.records import last_run_sql, past_run
from sqlinfer.relation import Relation
from sqlinfer.spec.records import ERRORS, RUNS, PastRun

SINCE = datetime(2026, 3, 1, 2, 0, 0, 125, tzinfo=UTC)


@pytest.mark.parametrize(
    ("dialect", "moment"),
    [
        ("duckdb", "CAST('2026-03-01 02:00:00.000125+00:00' AS TIMESTAMPTZ)"),
        ("postgres", "CAST('2026-03-01 02:00:00.000125+00:00' AS TIMESTAMPTZ)"),
        ("spark", "CAST('2026-03-01 02:00:00.000125+00:00' AS TIMESTAMP)"),
    ],
)
def test_the_last_run_is_asked_in_every_dialect(dialect: str, moment: str) -> None:
    sql = last_run_sql(Relation("sqlinfer_runs", "ml"), "model.shop.it's", SINCE, ("run_id", "rows"), dialect)
    assert moment in sql
    tree = parse_one(sql, dialect=dialect)
    assert [literal.this for literal in tree.find_all(exp.Literal) if "shop" in literal.this] == ["model.shop.it's"]
    assert [type(item) for item in tree.selects] == [exp.Column, exp.Column, exp.Null, exp.Null, exp.Null]


def test_a_record_of_an_older_version_has_no_numbers() -> None:
    assert past_run(("r1", 7, None, None, None)) == PastRun("r1", 7, 0, 0)


@pytest.mark.parametrize("kind", [RUNS, ERRORS])
@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "spark"])
def test_every_warehouse_has_the_types_of_records(kind, dialect: str) -> None:
    for data_type in kind.columns.values():
        assert exp.DataType.build(data_type, dialect="duckdb").sql(dialect=dialect)
