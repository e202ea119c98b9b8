"""A session takes SQL and gives rows, Arrow batches and errors with their places."""

from __future__ import annotations

import pytest

from sqlinfer.adapters.spark.adapter import SparkAdapter
from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.errors import AdapterError


@pytest.fixture
def session(adapter: SparkAdapter) -> SparkSqlSession:
    return SparkSqlSession(adapter.settings)


def test_rows_come_in_batches_of_the_size_that_is_asked_for(session: SparkSqlSession) -> None:
    with session.reader("select id, cast(id as string) as s from range(0, 1000, 1, 4)", 100) as reader:
        assert reader.schema.names == ["id", "s"]
        assert max(batch.num_rows for batch in reader) == 100


def test_a_reader_may_be_left_before_its_end(session: SparkSqlSession) -> None:
    with session.reader("select id from range(0, 1000, 1, 4)", 10) as reader:
        assert next(iter(reader)).num_rows == 10
    assert session.value("select count(*) from range(7)") == 7


@pytest.mark.parametrize("sql", ["drop table t", "select 1; select 2", "insert into t values (1)"])
def test_only_a_query_is_described(session: SparkSqlSession, sql: str) -> None:
    session.execute("create table t using parquet as select 1 as x")
    with pytest.raises(AdapterError):
        session.describe(sql)
    assert session.rows("select x from t") == [(1,)]


def test_values_of_rows_stay_out_of_errors(session: SparkSqlSession) -> None:
    session.execute("create table t using parquet as select 'geheim' as x")
    with pytest.raises(AdapterError) as caught:
        session.rows("select cast(x as int) from t")
    assert "geheim" not in str(caught.value)
    assert caught.value.location is not None
