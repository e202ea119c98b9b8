"""Staged rows → published relation. Every statement runs inside the caller's one transaction.

Merging touches changed rows only: one join of the new rows with the published ones finds them; those that left or
differ are deleted, those whose key is then missing are inserted. Keys compare with IS NOT DISTINCT FROM, so a NULL key
is a key like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sqlinfer.adapters.base import LINEAGE, Materialization
from sqlinfer.errors import PublicationError
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.catalog import Column

_CHANGES = "temp.main.sqlinfer_changes"


class Statements(Protocol):
    def execute(self, sql: str, parameters: Sequence[object] = ()) -> None: ...

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]: ...

    def describe(self, sql: str) -> tuple[Column, ...]: ...


def materialize(work: Statements, how: Materialization, sql: str) -> int:
    kind = existing_kind(work, how.target)
    if how.kind == "view":
        _drop(work, how.target, kind if kind != "view" else None)
        work.execute(f"CREATE OR REPLACE VIEW {how.target.sql()} AS {sql}")
        _comment(work, how, "VIEW")
        return 0
    merges = _merges(how, kind)
    if how.unique_key and not (merges and _is_full(how)):
        refuse_duplicates(work, how, sql)
    if merges:
        rows = int(work.rows(f"SELECT count(*) FROM ({sql})")[0][0])
        _incremental(work, how, sql, rows)
    else:
        _drop(work, how.target, "view" if kind == "view" else None)
        work.execute(f"CREATE OR REPLACE TABLE {how.target.sql()} AS {sql}")
        rows = int(work.rows(f"SELECT count(*) FROM {how.target.sql()}")[0][0])
    _comment(work, how, "TABLE")
    return rows


def existing_kind(work: Statements, target: Relation) -> str | None:
    """``table``, ``view`` or None."""
    found = work.rows(
        "SELECT 'table' FROM duckdb_tables() WHERE lower(table_name) = lower(?) AND lower(schema_name) = lower(?) "
        "AND lower(database_name) = lower(coalesce(?, current_database())) "
        "UNION ALL SELECT 'view' FROM duckdb_views() WHERE lower(view_name) = lower(?) "
        "AND lower(schema_name) = lower(?) AND lower(database_name) = lower(coalesce(?, current_database()))",
        (target.name, target.schema or "main", target.catalog) * 2,
    )
    return str(found[0][0]) if found else None


def refuse_duplicates(work: Statements, how: Materialization, sql: str) -> None:
    keys = ", ".join(quote(key) for key in how.unique_key)
    count = work.rows(f"SELECT count(*), sum(n) FROM (SELECT count(*) AS n FROM ({sql}) GROUP BY {keys} HAVING n > 1)")
    if count[0][0]:
        raise PublicationError(
            f"unique_key ({', '.join(how.unique_key)}) is not unique: {count[0][0]} keys occur in {count[0][1]} rows",
            hint="the published table is unchanged; make the query return one row for each key",
        )


def _merges(how: Materialization, kind: str | None) -> bool:
    if how.kind != "incremental" or kind != "table" or how.full_refresh:
        return False
    return bool(how.unique_key) or how.is_slice or how.strategy == "append"


def _drop(work: Statements, target: Relation, kind: str | None) -> None:
    if kind is not None:
        work.execute(f"DROP {kind.upper()} {target.sql()}")


def _incremental(work: Statements, how: Materialization, sql: str, rows: int) -> None:
    table = how.target.sql()
    columns = _agree_on_columns(work, how, sql)
    named = {column.name.casefold() for column in work.describe(sql)}
    given = [column for column in columns if column.name.casefold() in named]
    projection = ", ".join(f"CAST({quote(c.name)} AS {c.data_type}) AS {quote(c.name)}" for c in given)
    names = ", ".join(quote(column.name) for column in given)
    source = f"SELECT {projection} FROM ({sql})"
    if how.strategy == "append" or not how.unique_key:
        work.execute(f"INSERT INTO {table} ({names}) {source}")
        return
    _merge(work, how, source, given)
    if _is_full(how) and int(work.rows(f"SELECT count(*) FROM {table}")[0][0]) != rows:
        refuse_duplicates(work, how, sql)
        # The published table held duplicate keys from elsewhere: take the desired state as it is.
        work.execute(f"DELETE FROM {table}")
        work.execute(f"INSERT INTO {table} ({names}) {source}")


def _merge(work: Statements, how: Materialization, source: str, given: Sequence[Column]) -> None:
    """Duplicate keys among the new rows are found where they change anything; else the count of rows tells."""
    table, names = how.target.sql(), ", ".join(quote(column.name) for column in given)
    work.execute(f"CREATE OR REPLACE TEMP TABLE {_CHANGES} AS {_changes(how, source, given)}")
    keys = ", ".join(quote(key) for key in how.unique_key)
    twice = f"SELECT 1 FROM {_CHANGES} WHERE __sqlinfer_here GROUP BY {keys} HAVING count(*) > 1"
    distinct = ""
    if work.rows(f"SELECT EXISTS ({twice})")[0][0]:
        refuse_duplicates(work, how, source)
        distinct = "DISTINCT "  # it is the published table that holds a key twice: both rows go, the new one comes once
    work.execute(f"DELETE FROM {table} WHERE rowid IN (SELECT __sqlinfer_old FROM {_CHANGES})")
    # A slice must not repeat a key whose published row is right already; a full state is counted afterwards.
    missing = "" if _is_full(how) else f" AND NOT EXISTS (SELECT 1 FROM {table} AS t WHERE {_same_key(how)})"
    work.execute(
        f"INSERT INTO {table} ({names}) SELECT {distinct}{names} FROM {_CHANGES} AS n WHERE __sqlinfer_here{missing}"
    )
    work.execute(f"DROP TABLE {_CHANGES}")


def _is_full(how: Materialization) -> bool:
    return not how.is_slice and how.on_missing == "delete"


def _same_key(how: Materialization) -> str:
    return " AND ".join(f"t.{quote(key)} IS NOT DISTINCT FROM n.{quote(key)}" for key in how.unique_key)


def _changes(how: Materialization, source: str, given: Sequence[Column]) -> str:
    """New rows that differ from the published ones, with the rowid of what they replace; and what they leave behind."""
    skip = {name.casefold() for name in (*how.unique_key, *LINEAGE)}
    compared = [quote(column.name) for column in given if column.name.casefold() not in skip]
    changed = ["t.rowid IS NULL", *(f"t.{name} IS DISTINCT FROM n.{name}" for name in compared)]
    if _is_full(how):
        changed.insert(0, "n.__sqlinfer_here IS NULL")
    join = "FULL JOIN" if _is_full(how) else "LEFT JOIN"
    return (
        f"SELECT t.rowid AS __sqlinfer_old, n.* FROM (SELECT *, TRUE AS __sqlinfer_here FROM ({source})) AS n "
        f"{join} {how.target.sql()} AS t ON {_same_key(how)} WHERE {' OR '.join(changed)}"
    )


def _agree_on_columns(work: Statements, how: Materialization, sql: str) -> tuple[Column, ...]:
    """Columns of the published table after ``on_schema_change`` has been applied to it."""
    new, old = work.describe(sql), work.describe(f"SELECT * FROM {how.target.sql()}")
    new_types = {column.name.casefold(): column.data_type for column in new}
    old_types = {column.name.casefold(): column.data_type for column in old}
    if new_types == old_types or how.on_schema_change == "ignore":
        return old
    if how.on_schema_change == "fail":
        raise PublicationError(
            f"columns of {how.target} changed: {_differences(old_types, new_types)}",
            hint="run once with --full-refresh, or set on_schema_change",
        )
    added = tuple(column for column in new if column.name.casefold() not in old_types)
    kept = old
    if how.on_schema_change == "sync_all_columns":
        kept = tuple(Column(c.name, new_types[c.name.casefold()]) for c in old if c.name.casefold() in new_types)
    parts = [f"CAST({quote(c.name)} AS {c.data_type}) AS {quote(c.name)}" for c in kept]
    parts += [f"CAST(NULL AS {c.data_type}) AS {quote(c.name)}" for c in added]
    # Rebuilt rather than altered: DuckDB refuses some writes to a table altered in the same transaction.
    table = how.target.sql()
    work.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT {', '.join(parts)} FROM {table}")
    return kept + added


def _differences(old: dict[str, str], new: dict[str, str]) -> str:
    said = [f"new {name}" for name in new if name not in old] + [f"gone {name}" for name in old if name not in new]
    said += [f"{name} {old[name]} → {new[name]}" for name in old if name in new and old[name] != new[name]]
    return ", ".join(said)


def _comment(work: Statements, how: Materialization, kind: str) -> None:
    if how.description:
        work.execute(f"COMMENT ON {kind} {how.target.sql()} IS {literal(how.description)}")
    if not how.column_descriptions:
        return
    present = {column.name.casefold() for column in work.describe(f"SELECT * FROM {how.target.sql()}")}
    for name, text in how.column_descriptions:
        if name.casefold() in present and text:
            work.execute(f"COMMENT ON COLUMN {how.target.sql()}.{quote(name)} IS {literal(text)}")
