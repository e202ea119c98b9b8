"""The nightly churn job on Spark by ``--target spark`` alone: the same rows as on DuckDB."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.cli.main import invoke

EXAMPLE = Path(__file__).parents[2] / "example_project"
MARTS = ("credit", "demand", "documents", "recommendations", "segments")
SCORES = "select customer_id, region, contract, churn_probability from {}churn_scores order by 1"
CALLS = "select customer_id, call_order, cast(churn_probability as double) from {}campaign_list order by 1"
RUNS = "select scored from churn.sqlinfer_runs where node = 'model.churn.churn_scores' order by started_at"
CHURN = ("--select", "+path:models/churn")


@pytest.fixture
def churn(tmp_path: Path) -> Path:
    """A copy of the example that a test may work in."""
    target = tmp_path / "churn"
    shutil.copytree(EXAMPLE, target, ignore=shutil.ignore_patterns("target", "__pycache__", "logs"))
    return target


def sqlinfer(project: Path, *words: str) -> None:
    for target in ("dev", "spark"):
        assert invoke([*words, "--target", target, "--quiet", "--project-dir", str(project)]) == 0


def assert_alike(project: Path, session: SparkSqlSession) -> None:
    for sql in (SCORES, CALLS):
        with duckdb.connect(str(project / "target" / "warehouse.duckdb"), read_only=True) as connection:
            ours: list[tuple[Any, ...]] = connection.execute(sql.format("")).fetchall()
        theirs = session.rows(sql.format("churn."))
        assert len(ours) == len(theirs) > 300
        for one, other in zip(ours, theirs, strict=True):
            assert one[:-1] == other[:-1]
            assert one[-1] == pytest.approx(other[-1], rel=0, abs=1e-6)


@pytest.mark.timeout(900)
def test_two_nights_give_the_rows_of_duckdb(churn: Path, spark_parameters: dict[str, object]) -> None:
    settings = SparkSettings.parse(
        {"type": "spark", "schema": "churn", "server_side_parameters": spark_parameters}, churn
    )
    with SparkSqlSession(settings) as session:
        try:
            sqlinfer(churn, "build", *CHURN)
            assert_alike(churn, session)
            sqlinfer(churn, "run", "--vars", "night: 2", *CHURN)
            assert_alike(churn, session)
            sqlinfer(churn, "test", "--vars", "night: 2", *CHURN)
            (first, second) = session.rows(RUNS)
            assert first[0] > 11_000 > 400 > second[0] > 0
        finally:
            for schema in ("churn", "churn_sqlinfer"):
                session.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.mark.thorough
@pytest.mark.timeout(1800)
def test_every_other_mart_gives_the_rows_of_duckdb(churn: Path, spark_parameters: dict[str, object]) -> None:
    settings = SparkSettings.parse(
        {"type": "spark", "schema": "churn", "server_side_parameters": spark_parameters}, churn
    )
    with SparkSqlSession(settings) as session:
        try:
            sqlinfer(churn, "build", "--select", *(f"+path:models/{mart}" for mart in MARTS))
            names = relations(churn)
            assert {"credit_scores", "demand_forecast", "document_labels", "recommendations", "segment_sizes"} <= names
            for name in sorted(names):
                assert_same_rows(name, in_duckdb(churn, f"select * from {name}"), in_spark(session, name))
        finally:
            for schema in ("churn", "churn_sqlinfer"):
                session.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def in_duckdb(project: Path, sql: str) -> pa.Table:
    with duckdb.connect(str(project / "target" / "warehouse.duckdb"), read_only=True) as connection:
        return connection.sql(sql).to_arrow_table()


def in_spark(session: SparkSqlSession, name: str) -> pa.Table:
    return session.table(f"select * from churn.{name}")


def relations(project: Path) -> set[str]:
    """Published by the project: records of runs differ, as they should."""
    found = in_duckdb(project, "select table_name as n from information_schema.tables where table_schema = 'main'")
    return {name for name in found["n"].to_pylist() if not name.startswith("sqlinfer_")}


def assert_same_rows(name: str, ours: pa.Table, theirs: pa.Table) -> None:
    """Row for row, in the order of what is no float; floats, and those in lists, within 1e-6. Lineage is of a run."""
    ours, theirs = (
        one.select([c for c in one.column_names if not c.startswith("_sqlinfer_")]) for one in (ours, theirs)
    )
    assert ours.column_names == theirs.column_names, name
    inexact = {one.name for table in (ours, theirs) for one in table.schema if is_inexact(one.type)}
    left, right = ordered(ours, inexact), ordered(theirs, inexact)
    assert len(left) == len(right), name
    for one, other in zip(left, right, strict=True):
        assert one[0] == other[0], name
        assert flat(one[1]) == pytest.approx(flat(other[1]), rel=1e-6, abs=1e-6), f"{name}: {one[0]}"


def is_inexact(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_nested(kind)


def ordered(table: pa.Table, inexact: set[str]) -> list[tuple[tuple[str, ...], tuple[Any, ...]]]:
    rows = []
    for row in table.to_pylist():
        exact = tuple(str(one) for name, one in row.items() if name not in inexact)
        rows.append((exact, tuple(one for name, one in row.items() if name in inexact)))
    return sorted(rows, key=lambda row: (row[0], [round(one, 4) for one in flat(row[1])]))


def flat(values: tuple[Any, ...]) -> list[float]:
    """NULL is a number that no other is."""
    found = (one for value in values for one in (value if isinstance(value, list) else [value]))
    return [-9e99 if one is None else float(one) for one in found]
