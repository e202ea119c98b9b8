"""The failing rows of every kind of data test on Spark: as many as elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sqlinfer.adapters.shared.inputs import Comparison, RowInputs, kept_sql, run_sql
from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.audits.queries import TESTED, all_rows, failing_of_own, failures, some_rows, verdict
from sqlinfer.relation import Relation
from sqlinfer.spec.names import ROW_ALIAS

sys.path.insert(0, str(Path(__file__).parent.parent / "audits"))
import test_dialects as elsewhere  # isort: skip

PEOPLE = """create temporary view people as select * from values
    (1, 'a', 0.5D, date '2026-01-01'), (2, 'it\\'s', 0.9D, date '2026-01-02'),
    (2, null, double('nan'), null), (7, 'c', 2.0D, date '2026-01-03') as v(id, tag, score, `The Day`)"""


@pytest.fixture(scope="module")
def session(spark_parameters: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSqlSession]:
    raw: dict[str, Any] = {"type": "spark", "schema": "default", "server_side_parameters": spark_parameters}
    with SparkSqlSession(SparkSettings.parse(raw, tmp_path_factory.mktemp("audits"))) as found:
        found.raw = found.raw.newSession()
        found.execute(PEOPLE)
        found.execute("create temporary view parents as select * from values (1), (2) as v(id)")
        found.execute(
            "create temporary view shifted as select id, tag || '!' as tag, score + 5 as score, `The Day` from people"
        )
        yield found


@pytest.mark.parametrize(("kind", "column", "arguments", "expected"), elsewhere.CASES)
def test_spark_finds_the_same_failing_rows(
    session: SparkSqlSession, kind: str, column: str, arguments: dict[str, Any], expected: int
) -> None:
    sql = elsewhere.failing(kind, column, arguments, "spark")
    ((count,),) = session.rows(failures(sql, "count(*)", 500))
    assert count == expected


def test_spark_judges_and_runs_tests_of_the_project(session: SparkSqlSession) -> None:
    assert session.rows(verdict(3, "> 5", "!= 0")) == [(False, True)]
    source = some_rows(all_rows(Relation("people"), "spark"), "id > 1")
    ((count,),) = session.rows(failures(failing_of_own(f"select id from {TESTED}", source), "count(*)", None))
    assert count == 3


def test_what_rows_were_scored_from_is_compared(session: SparkSqlSession) -> None:
    """``freshness`` and ``lookup``: keys that need quotes, two rows of a stage for one of the result."""
    session.execute(
        "create temporary view published as select * from values (1, 0.5D), (2, 0.7D), (9, 0.1D) as v(`My Id`, p)"
    )
    rows = "(select * from values (1, 'a'), (1, 'b'), (2, 'c') as v(`My Id`, k))"
    now = RowInputs(rows, (f"{ROW_ALIAS}.`My Id`",), (f"{ROW_ALIAS}.k",), True, "spark")
    session.execute(f"create temporary view kept as {kept_sql(now, 1, None)}")
    at = datetime(2026, 1, 2, tzinfo=UTC)
    session.execute(f"create temporary view runs as {run_sql(1, ('f@1',), at, None, 'spark')}")
    later = RowInputs(rows.replace("'c'", "'d'"), now.keys, now.inputs, True, "spark")
    compared = Comparison(Relation("published"), ("My Id",), Relation("kept"), Relation("runs"), later, ("f@1",))
    ((count, stale, unknown, gone, others, oldest, newest),) = session.rows(compared.counts_sql())
    assert (count, stale, unknown, gone, others) == (3, 1, 1, 0, 0)
    assert oldest == newest == at.timestamp()
    assert session.rows(compared.sample_sql(5, 0)) == [(2,)]
