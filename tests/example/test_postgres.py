"""The nightly churn job on PostgreSQL by ``--target postgres`` alone: the same rows as on DuckDB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from sqlinfer.cli.main import invoke
from sqlinfer.testing.postgres_server import Database

SCORES = "select customer_id, region, contract, churn_probability from {}churn_scores order by 1"
CALLS = "select customer_id, call_order, cast(churn_probability as double precision) from {}campaign_list order by 1"


@pytest.fixture
def database(postgres_database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    one = postgres_database
    given = {"PGHOST": one.host, "PGPORT": str(one.port), "PGUSER": one.user, "PGDATABASE": one.name}
    for name, value in given.items():
        monkeypatch.setenv(f"CHURN_{name}", value)
    monkeypatch.setenv("DBT_ENV_SECRET_CHURN_PGPASSWORD", one.password)
    return one


def sqlinfer(project: Path, *words: str) -> None:
    for target in ("dev", "postgres"):
        assert invoke([*words, "--target", target, "--quiet", "--project-dir", str(project)]) == 0


def both(project: Path, database: Database, sql: str) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    with duckdb.connect(str(project / "target" / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(sql.format("")).fetchall(), database.run(sql.format("churn."))


def assert_alike(project: Path, database: Database) -> None:
    for sql in (SCORES, CALLS):
        ours, theirs = both(project, database, sql)
        assert len(ours) == len(theirs) > 300
        for one, other in zip(ours, theirs, strict=True):
            assert one[:-1] == other[:-1]
            assert one[-1] == pytest.approx(other[-1], rel=0, abs=1e-6)


def test_two_nights_give_the_rows_of_duckdb(churn: Path, database: Database) -> None:
    sqlinfer(churn, "build")
    assert_alike(churn, database)
    sqlinfer(churn, "compile", "--estimate", "--vars", "night: 2")
    sqlinfer(churn, "run", "--vars", "night: 2")
    assert_alike(churn, database)
    sqlinfer(churn, "test", "--vars", "night: 2")
    sqlinfer(churn, "preview", "campaign_list", "--limit", "5")
    runs = "select scored, reused from {}sqlinfer_runs where node = 'model.churn.churn_scores' order by started_at"
    ours, theirs = both(churn, database, runs)
    assert ours == theirs
    assert theirs[0][0] > 11_000 > 400 > theirs[1][0] > 0
