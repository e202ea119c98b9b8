"""Run and error records in DuckDB: tables beside the published ones, brought up to date by the names of columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.duckdb.key_columns import json_of
from sqlinfer.adapters.duckdb.statements import Statements
from sqlinfer.adapters.shared.records import last_run_sql, past_run
from sqlinfer.relation import Relation, fold, quote
from sqlinfer.spec.names import CHALLENGE_RECORDS, ERROR_RECORDS, RUN_RECORDS
from sqlinfer.spec.plan import Owner
from sqlinfer.spec.records import ERRORS, RUNS, PastRun, RecordKind

_REPLACED = ("UHUGEINT",)
"""Types of earlier versions that some clients cannot read."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES = (RUN_RECORDS, ERROR_RECORDS, CHALLENGE_RECORDS)


class RecordTables:
    """What is known of record tables while the warehouse is attached, when nobody else writes it: every node asks
    several times, and a thousand nodes have one table."""

    def __init__(self) -> None:
        self._kinds: dict[Relation, str | None] = {}
        self._columns: dict[Relation, Mapping[str, str]] = {}
        """Folded names and types."""
        self._newest: dict[Relation, int | None] = {}
        """When the run started that started last: microseconds since 1970, None where there is none."""

    def forget(self) -> None:
        for known in (self._kinds, self._columns, self._newest):
            known.clear()

    def hear(self, folded: str) -> None:
        """Of a statement that changes what is there."""
        if any(name in folded for name in _NAMES) or "drop schema" in folded:
            self.forget()

    def kind(self, work: Statements, table: Relation, ask: Callable[[Relation], str | None]) -> str | None:
        """As ``ask`` answers of any relation."""
        if table.name not in _NAMES or not work.stands_still(table):
            return ask(table)
        if table not in self._kinds:
            self._kinds[table] = ask(table)
        return self._kinds[table]

    def record(
        self, work: Statements, kind: RecordKind, target: Relation, rows: Sequence[Mapping[str, object]]
    ) -> None:
        table = replace(target, name=kind.table)
        self.ensure(work, table, kind.columns)
        for row in rows:
            told = {name: value for name, value in row.items() if value is not None}
            names, places = ", ".join(map(quote, told)), ", ".join("?" * len(told))
            # not VALUES, which takes a sixth longer
            work.execute(f"INSERT INTO {table.sql()} ({names}) SELECT {places}", tuple(told.values()))
            self._hear_of(table, row.get("started_at"))

    def ensure(self, work: Statements, table: Relation, columns: Mapping[str, str]) -> None:
        """Create the table, or add what an older version did not write. What is there stays, columns of others too."""
        if work.stands_still(table) and work.kind(table) == "table" and _is_whole(self._types(work, table), columns):
            return
        _ensure(work, table, columns)
        self._remember(work, table, _types(work, table))
        if table in self._columns:
            self._kinds[table] = "table"

    def _types(self, work: Statements, table: Relation) -> Mapping[str, str]:
        """``table`` is there."""
        known = self._columns.get(table)
        return self._remember(work, table, _types(work, table)) if known is None else known

    def _remember(self, work: Statements, table: Relation, types: Mapping[str, str]) -> Mapping[str, str]:
        if work.stands_still(table):
            self._columns[table] = types
        return types

    def last_run(self, work: Statements, target: Relation, node: str, since: datetime | None) -> PastRun | None:
        """``work`` has a table of run records beside the target."""
        runs = replace(target, name=RUNS.table)
        if since is not None and self._all_before(work, runs, since):
            return None
        found = work.rows(last_run_sql(runs, node, since, self._types(work, runs), "duckdb"))
        return past_run(found[0]) if found else None

    def _all_before(self, work: Statements, runs: Relation, moment: datetime) -> bool:
        """Whether every recorded run started before; False where that is not known."""
        if not work.stands_still(runs):
            return False
        if runs not in self._newest:
            last = "epoch_us(CAST(max(started_at) AS TIMESTAMPTZ))"
            self._newest[runs] = work.rows(f"SELECT {last} FROM {runs.sql()}")[0][0]
        newest = self._newest[runs]
        return newest is None or newest < _microseconds(moment)

    def _hear_of(self, table: Relation, started: object) -> None:
        if table in self._newest and isinstance(started, datetime):
            self._newest[table] = max(self._newest[table] or 0, _microseconds(started))


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _is_whole(known: Mapping[str, str], columns: Mapping[str, str]) -> bool:
    return all(known.get(fold(name), _REPLACED[0]) not in _REPLACED for name in columns)


def _ensure(work: Statements, table: Relation, columns: Mapping[str, str]) -> None:
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


def replace_errors(work: Statements, how: Materialization, sql: str, owner: Owner, records: Relation | None) -> None:
    """Records of rows that were replaced go, those in ``records`` come. The table of error records is there."""
    table = replace(how.target, name=ERRORS.table)
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
