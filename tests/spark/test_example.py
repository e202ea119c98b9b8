"""The nightly churn job on Spark by ``--target spark`` alone: the same rows as on DuckDB."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.cli.main import invoke

EXAMPLE = Path(__file__).parents[2] / "example_project"
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
