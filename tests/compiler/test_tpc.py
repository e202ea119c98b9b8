"""TPC-H and TPC-DS with predict() around random columns give what DuckDB gives with macros of the same meaning.

``SQLINFER_SQLGLOT_CLONE`` is the path of a clone of tobymao/sqlglot, whose fixtures hold texts and tables;
``SQLINFER_TPC_SEEDS`` says at how many seeds (default 1).
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest
import tpc

from sqlinfer import api

CLONE = os.environ.get("SQLINFER_SQLGLOT_CLONE", "")
SEEDS = range(int(os.environ.get("SQLINFER_TPC_SEEDS", "1")))


@pytest.mark.clone
@pytest.mark.skipif(not CLONE, reason="SQLINFER_SQLGLOT_CLONE is not set")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("suite", tpc.SUITES)
@pytest.mark.parametrize("seed", SEEDS)
def test_injected_queries_give_what_duckdb_gives(suite: str, seed: int, tmp_path: Path) -> None:
    clone = Path(CLONE)
    tpc.project(tmp_path / "p", clone, suite, ("stream", "store")[seed % 2])
    connect = api.connect(tmp_path / "p")
    with duckdb.connect() as connection:
        connection.execute(f"set threads = 2; set memory_limit = '{tpc.MEMORY}'")
        tpc.load(connection, clone, suite)
        tpc.macros(connection)
        queries = list(tpc.injected(connection, clone, suite, seed))
        found = [f"{q}: {problem}" for q in queries if (problem := tpc.check(q, connect, connection)[0])]
    assert found == []
    assert len(queries) > 0.9 * tpc.SUITES[suite]
