"""One JVM for all tests of Spark. Without PySpark they are left out, without Java skipped, unless they are required."""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from sqlinfer.adapters.spark.adapter import SparkAdapter
from sqlinfer.adapters.spark.jvm import java, java_version
from sqlinfer.adapters.spark.session import SparkSqlSession

sys.path.insert(0, str(Path(__file__).parent))
from class_archive import QUICK  # isort: skip

MASTER = "SQLINFER_TEST_SPARK_MASTER"
"""A variable: ``local-cluster[2,1,1024]`` has executors that are processes of their own."""
_NUMBERS = itertools.count()
_REQUIRED = os.environ.get("SQLINFER_REQUIRE_SPARK")
collect_ignore_glob = [] if _REQUIRED or importlib.util.find_spec("pyspark") else ["test_*.py"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if _REQUIRED and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Elsewhere than in ``make test-spark`` a skipped test of Spark is no failure."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.extra)


@pytest.fixture(scope="session")
def spark_parameters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """``server_side_parameters`` of the session that all tests share; the JVM ends with them."""
    if java() is None or (java_version() or 0) < 17:
        pytest.skip("no Java 17")
    folder = tmp_path_factory.mktemp("spark")
    yield {
        "spark.master": os.environ.get(MASTER, "local[2]"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:derby:memory:tests;create=true",
        "spark.sql.shuffle.partitions": 2,
        "spark.driver.extraJavaOptions": f"-Dderby.system.durability=test {QUICK}",
        "spark.executor.extraJavaOptions": QUICK,
    }
    from pyspark import SparkContext

    if SparkContext._active_spark_context is not None:
        SparkContext._active_spark_context.stop()


@pytest.fixture
def spark_output(spark_parameters: dict[str, object]) -> dict[str, Any]:
    """An output of profiles.yml, with a schema of its own."""
    schema = f"ml{os.getpid()}_{next(_NUMBERS)}"
    return {"type": "spark", "method": "session", "schema": schema, "server_side_parameters": spark_parameters}


@pytest.fixture
def adapter(spark_output: dict[str, Any], tmp_path: Path) -> Iterator[SparkAdapter]:
    """On an empty schema."""
    found = SparkAdapter.from_settings(spark_output, tmp_path)
    with SparkSqlSession(found.settings) as session:
        session.execute(f"CREATE SCHEMA {found.settings.schema}")
    yield found
    with SparkSqlSession(found.settings) as session:
        for (schema,) in session.rows("SHOW SCHEMAS"):
            if schema != "default":
                session.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def load(adapter: SparkAdapter) -> Callable[[str], None]:
    """Runs a statement that is written for PostgreSQL and DuckDB."""
    import sqlglot

    def run(sql: str) -> None:
        with SparkSqlSession(adapter.settings) as session:
            if sql.startswith("delete from"):  # tables of Parquet have no DELETE
                table, _, condition = sql.removeprefix("delete from ").partition(" where ")
                session.execute(f"CREATE TABLE rest AS SELECT * FROM {table} WHERE NOT ({condition or 'true'})")
                session.execute(f"DROP TABLE {table}")
                session.execute(f"ALTER TABLE rest RENAME TO {table}")
                return
            session.execute(sqlglot.transpile(sql, read="duckdb", write="spark")[0])

    return run
