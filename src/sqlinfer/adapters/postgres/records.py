"""Run and error records in PostgreSQL: tables beside the published ones, brought up to date by the names of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.postgres import side
from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.settings import PostgresSettings
from sqlinfer.adapters.postgres.tables import listed, standing
from sqlinfer.adapters.postgres.types import spelled
from sqlinfer.adapters.shared.records import last_run_sql, past_run
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.plan import Owner
from sqlinfer.spec.records import ERRORS, RUNS, PastRun, RecordKind

NO_KEY = "NULL::text"


def record(
    session: PostgresSession, settings: PostgresSettings, kind: RecordKind, target: Relation,
    rows: Sequence[Mapping[str, object]],
) -> None:  # fmt: skip
    table = _beside(settings, target, kind)
    ensure(session, table, kind.columns)
    for row in rows:
        values = ", ".join(f"{value(one)}::{spelled(kind.columns[name])}" for name, one in row.items())
        session.execute(f"INSERT INTO {table.sql()} ({listed(tuple(row))}) VALUES ({values})")


def value(one: object) -> str:
    """A Python value in SQL.

    >>> value(None), value(True), value(2.5), value("it's"), value(["a", "b"])
    ('NULL', 'TRUE', '2.5', "'it''s'", "ARRAY['a', 'b']")
    """
    match one:
        case None:
            return "NULL"
        case bool():
            return str(one).upper()
        case int() | float():
            return repr(one)
        case datetime():
            return literal(one.isoformat(" "))
        case list() | tuple():
            return f"ARRAY[{', '.join(map(value, one))}]"
        case _:
            return literal(str(one).replace("\0", ""))


def ensure(session: PostgresSession, table: Relation, columns: Mapping[str, str]) -> None:
    """Create the table, or add what an older version did not write. What is there stays, columns of others too."""
    there = standing(session, table)
    name = table.sql()
    if there is None:
        wanted = ", ".join(f"{quote(one)} {spelled(kind)}" for one, kind in columns.items())
        session.execute(f"CREATE TABLE IF NOT EXISTS {name} ({wanted})")
        return
    known = {column.name for column in there.columns}
    for one, kind in columns.items():
        if one not in known:
            session.execute(f"ALTER TABLE {name} ADD COLUMN {quote(one)} {spelled(kind)}")


def last_run(
    session: PostgresSession, settings: PostgresSettings, target: Relation, node: str, since: datetime | None
) -> PastRun | None:
    runs = _beside(settings, target, RUNS)
    there = standing(session, runs)
    if there is None:
        return None
    found = session.rows(last_run_sql(runs, node, since, {column.name for column in there.columns}, "postgres"))
    return past_run(found[0]) if found else None


def replace_errors(
    session: PostgresSession, settings: PostgresSettings, how: Materialization, sql: str, owner: Owner, *, failed: bool
) -> None:
    """Records of rows that were replaced go, those of this run come."""
    gathered = side.relation(settings, f"errors__{owner.side}")
    table = _beside(settings, how.target, ERRORS)
    if not failed and standing(session, table) is None:
        return
    ensure(session, table, ERRORS.columns)
    replaced, name = _replaced(how, sql), table.sql()
    if replaced:
        named = f"nullif(unique_id, '') IS NULL AND node = {literal(owner.name)}"  # older records have the name alone
        own = f"(unique_id = {literal(owner.unique_id)} OR ({named}))"
        session.execute(f"DELETE FROM {name} WHERE {own} AND {replaced}")
    if failed:
        names = listed(tuple(ERRORS.columns))
        session.execute(f"INSERT INTO {name} ({names}) SELECT {names} FROM {gathered.sql()}")


def _replaced(how: Materialization, sql: str) -> str | None:
    """SQL condition: records of rows that the published table has no more as they were."""
    if not how.adds:
        return "true"
    if how.strategy == "append" or not how.unique_key:
        return None
    shown = json_of((name, f"q.{quote(name)}") for name in how.unique_key)
    return f"key_columns IN (SELECT {shown} FROM ({sql}) AS q)"


def json_of(values: Iterable[tuple[str, str]]) -> str:
    """SQL for the text of what a record shows: name and SQL of each value, as DuckDB writes it."""
    fields = [f"{literal(_json(name) + ':')} || coalesce(to_json({one})::text, 'null')" for name, one in values]
    comma = " || ',' || "
    return f"('{{' || {comma.join(fields)} || '}}')" if fields else NO_KEY


def _json(name: str) -> str:
    import json

    return json.dumps(name, ensure_ascii=False)


def _beside(settings: PostgresSettings, target: Relation, kind: RecordKind) -> Relation:
    return replace(target, name=kind.table, schema=target.schema or settings.schema, catalog=None)
