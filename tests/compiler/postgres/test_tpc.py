"""TPC-H and TPC-DS on PostgreSQL, with predict() around random columns, against SQL functions of the same meaning.

``SQLINFER_SQLGLOT_CLONE`` is the path of a clone of tobymao/sqlglot, whose fixtures hold texts and tables;
``SQLINFER_TPC_SEEDS`` says at how many seeds (default 1).
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import tpc
from test_corpus import written
from world import PostgresWorld

from sqlinfer.spec.function import Argument, FunctionContract, Output
from sqlinfer.testing.differential import PythonFunction, compare
from sqlinfer.testing.postgres_server import Database

CLONE = os.environ.get("SQLINFER_SQLGLOT_CLONE", "")
SEEDS = range(int(os.environ.get("SQLINFER_TPC_SEEDS", "1")))
TYPES = {"as_double": ("DOUBLE", "float8"), "as_bigint": ("BIGINT", "bigint"), "as_text": ("TEXT", "text")}
FUNCTIONS = "".join(
    f"create function {name}(x anyelement) returns {kind} language sql immutable strict as 'select x::{kind}';\n"
    for name, (_, kind) in TYPES.items()
)
FUNCTIONS += "create function as_text(x text) returns text language sql immutable strict as 'select x'"


def models() -> list[PythonFunction]:
    return [
        PythonFunction(
            FunctionContract(name, name.ljust(64, "0"), (Argument("x", kind),), (Output("value", kind),)), lambda x: x
        )
        for name, (kind, _) in TYPES.items()
    ]


@pytest.mark.clone
@pytest.mark.skipif(not CLONE, reason="SQLINFER_SQLGLOT_CLONE is not set")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("suite", tpc.SUITES)
@pytest.mark.parametrize("seed", SEEDS)
def test_injected_queries_give_what_postgresql_gives(suite: str, seed: int, postgres_database: Database) -> None:
    clone = Path(CLONE)
    with duckdb.connect() as source, postgres_database.connected() as connection:
        tpc.load(source, clone, suite)
        _copy(source, connection)
        tpc.macros(source)
        world = PostgresWorld.of(postgres_database, connection, models(), "set jit = off", FUNCTIONS)
        world.run("set statement_timeout = '60s'")
        ran, wrong = 0, []
        for query in tpc.injected(source, clone, suite, seed):
            problem = _problem(world, query, ("stream", "store")[query.number % 2])
            if problem is None or problem:
                ran += 1
                wrong += [f"{query}: {problem}"] if problem else []
    assert wrong == []
    assert ran > 0.7 * tpc.SUITES[suite]


def _problem(world: PostgresWorld, query: tpc.Injected, strategy: str) -> str | None:
    """None: nothing is wrong; empty: it is no SQL of PostgreSQL."""
    plain = written(tpc.unlimited(query.plain))
    if plain is None:
        return ""
    try:
        expected = world.expected(plain)
    except Exception:
        return ""
    try:
        outcome = world.outcome(tpc.spelled(plain), strategy)  # type: ignore[arg-type]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return compare(outcome, expected, ordered=False, typed=False)


def _copy(source: duckdb.DuckDBPyConnection, connection: object) -> None:
    for (name,) in source.execute("select table_name from duckdb_tables()").fetchall():
        table = source.sql(f"from {name}").to_arrow_table()
        with closing(connection.cursor()) as cursor:  # type: ignore[attr-defined]
            cursor.adbc_ingest(name, pa.table(table), mode="create")
