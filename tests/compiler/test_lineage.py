"""SQL that tells which run scored a row."""

from __future__ import annotations

import duckdb
import pytest

from sqlinfer.compiler.plan.lineage import refuse_taken_names, with_lineage
from sqlinfer.errors import RunError
from sqlinfer.spec.plan import PassedRows, Plan, Result

SCORED = "SELECT 1 AS a, 2 AS b, 'earlier' AS r, now() AS t UNION ALL SELECT 3, 4, NULL, NULL"
FUNCTIONS = ("f@1", "it's@2")


def plan(sql: str, columns: tuple[str, ...], passed: PassedRows | None = None) -> Plan:
    return Plan("m", "duckdb", "", (), Result(sql, columns, passes_rows_of=passed))


def read(sql: str) -> tuple[list[str], list[tuple[object, ...]]]:
    with duckdb.connect() as connection:
        found = connection.execute(f"CREATE TABLE t AS {sql}").execute("FROM t")
        return [column[0] for column in found.description], found.fetchall()


def test_rows_of_a_scored_relation_name_the_run_that_scored_them() -> None:
    passed = PassedRows("s", f"SELECT a, b, r, t FROM ({SCORED})", "r", "t")
    names, rows = read(with_lineage(plan("", ("a", "B c"), passed), "run9", FUNCTIONS))
    assert names == ["a", "B c", "_sqlinfer_run_id", "_sqlinfer_scored_at", "_sqlinfer_functions"]
    assert [(*row[:3], row[4]) for row in rows] == [(1, 2, "earlier", "f@1, it's@2"), (3, 4, "run9", "f@1, it's@2")]
    assert all(row[3] is not None for row in rows)


def test_two_columns_of_one_name_keep_their_values() -> None:
    passed = PassedRows("s", f"SELECT a, b AS a, r, t FROM ({SCORED})", "r", "t")
    assert [row[:2] for row in read(with_lineage(plan("", ("a", "a"), passed), "r", ()))[1]] == [(1, 2), (3, 4)]


def test_other_rows_name_this_run() -> None:
    names, rows = read(with_lineage(plan("SELECT 7 AS n", ("n",)), "run9", ()))
    assert (names[0], [row[:2] for row in rows]) == ("n", [(7, "run9")])


def test_a_name_that_the_query_has_is_refused() -> None:
    with pytest.raises(RunError, match="_sqlinfer_run_id"):
        refuse_taken_names(plan("", ("_SQLINFER_run_id",)))
