"""Run and error records in DuckDB: tables beside the published ones, brought up to date by the names of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.duckdb.key_columns import json_of
from sqlinfer.adapters.duckdb.statements import Statements
from sqlinfer.adapters.shared.records import last_run_sql, past_run
from sqlinfer.relation import Relation, fold, quote
from sqlinfer.spec.plan import Owner
from sqlinfer.spec.records import ERRORS, RUNS, PastRun, RecordKind

_REPLACED = ("UHUGEINT",)
"""Types of earlier versions that some clients cannot read."""


def record(work: Statements, kind: RecordKind, target: Relation, rows: Sequence[Mapping[str, object]]) -> None:
    table = replace(target, name=kind.table)
    ensure(work, table, kind.columns)
    for row in rows:
        names, places = ", ".join(map(quote, row)), ", ".join("?" * len(row))
        work.execute(f"INSERT INTO {table.sql()} ({names}) VALUES ({places})", tuple(row.values()))


def ensure(work: Statements, table: Relation, columns: Mapping[str, str]) -> None:
    """Create the table, or add what an older version did not write. What is there stays, columns of others too."""
    listed = ", ".join(f"{quote(name)} {kind}" for name, kind in columns.items())
    work.execute(f"CREATE TABLE IF NOT EXISTS {table.sql()} ({listed})")
    there = _types(work, table)
    for name, kind in columns.items():
        column = quote(name)
        if fold(name) not in there:
            work.execute(f"ALTER TABLE {table.sql()} ADD COLUMN {column} {kind}")
        elif there[fold(name)] in _REPLACED:
            work.execute(
                f"ALTER TABLE {table.sql()} ALTER COLUMN {column} SET DATA TYPE {kind} USING CAST({column} AS {kind})"
            )


def last_run(work: Statements, target: Relation, node: str, since: datetime | None) -> PastRun | None:
    """``work`` has a table of run records beside the target."""
    runs = replace(target, name=RUNS.table)
    found = work.rows(last_run_sql(runs, node, since, _types(work, runs), "duckdb"))
    return past_run(found[0]) if found else None


def replace_errors(work: Statements, how: Materialization, sql: str, owner: Owner, records: Relation | None) -> None:
    """Records of rows that were replaced go, those in ``records`` come. Both or the table of error records is there."""
    table = replace(how.target, name=ERRORS.table)
    ensure(work, table, ERRORS.columns)
    replaced = _replaced(how, sql)
    own = "(unique_id = ? OR (nullif(unique_id, '') IS NULL AND node = ?))"  # older records have the name alone
    names = (owner.unique_id, owner.name)
    if replaced and work.rows(f"SELECT 1 FROM {table.sql()} WHERE {own} LIMIT 1", names):
        work.execute(f"DELETE FROM {table.sql()} WHERE {own} AND {replaced}", names)
    if records is not None:
        work.execute(f"INSERT INTO {table.sql()} BY NAME FROM {records.sql()}")


def _replaced(how: Materialization, sql: str) -> str | None:
    """SQL condition: records of rows that the published table has no more as they were."""
    if not how.adds:
        return "true"
    if how.strategy == "append" or not how.unique_key:
        return None
    shown = json_of((name, f"q.{quote(name)}") for name in how.unique_key)
    return f"key_columns IN (SELECT {shown} FROM ({sql}) AS q)"


def _types(work: Statements, table: Relation) -> Mapping[str, str]:
    return {fold(column.name): column.data_type for column in work.describe(f"SELECT * FROM {table.sql()}")}
