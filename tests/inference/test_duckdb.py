"""DuckDB's own streams as input: pulled from another thread, closed when left early."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from sqlinfer.inference import open_session

pytestmark = pytest.mark.timeout(60)

QUERY = "select i as id, (i % 7)::double as a, case when i % 10 <> 0 then i % 3 end::float as b from range({rows}) t(i)"


def test_a_duckdb_stream_is_scored_whole(linear) -> None:
    rows = 400_001
    connection = duckdb.connect()
    reader = connection.sql(QUERY.format(rows=rows)).to_arrow_reader(100_000)
    with open_session(linear(), device="cpu") as session, session.score(reader, ["a", "b"], ["id"]) as scored:
        result = pa.Table.from_batches(scored)
    connection.register("result", result)
    query = f"select count(*), count(value), min(id), max(id) from result r join ({QUERY.format(rows=rows)}) using (id)"
    counted = connection.execute(query + " where value is not distinct from 2 * a + 3 * b").fetchone()
    assert counted == (rows, rows - rows // 10 - 1, 0, rows - 1)
    assert scored.counts.null_inputs == rows // 10 + 1


def test_a_stream_left_early_frees_the_database(linear, tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute(f"create table t as {QUERY.format(rows=500_000)}")
    connection = duckdb.connect(path, read_only=True)
    reader = connection.sql("from t").to_arrow_reader(50_000)
    with open_session(linear(), device="cpu") as session, session.score(reader, ["a", "b"], ["id"]) as scored:
        next(iter(scored))
    connection.close()
    with duckdb.connect(path) as again:
        again.execute("drop table t")


def test_an_error_of_the_database_surfaces(linear) -> None:
    connection = duckdb.connect()
    failing = "case when i = 300000 then error('boom') else '1' end"
    query = f"select i::double as a, ({failing})::float as b from range(400000) t(i)"
    reader = connection.sql(query).to_arrow_reader(10_000)
    with (
        open_session(linear(), device="cpu") as session,
        session.score(reader, ["a", "b"], []) as scored,
        pytest.raises(Exception, match="boom"),
    ):
        list(scored)
