"""Values that a published column cannot hold as they are: refused with the column named, never rounded or cut."""

from __future__ import annotations

from collections.abc import Iterable

from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.errors import AdapterError, PublicationError
from sqlinfer.relation import Relation, fold, quote
from sqlinfer.spec.catalog import Column

_MOMENTS = ("timestamp", "date", "time")


def refuse_unfit(
    session: PostgresSession, target: Relation, wanted: Iterable[Column], sql: str, *, published: bool = False
) -> None:
    """Compare every value of ``sql`` with itself after the cast to the type of ``wanted`` and back.

    ``published``: the values are those of the published table, whose column is to change its type.

    Raises:
        PublicationError: for the first column that holds a value which changes.
    """
    given = {fold(column.name): column for column in session.describe(sql)}
    for column in wanted:
        found = given.get(fold(column.name))
        if found is None or found.data_type == column.data_type:
            continue
        bad = _changed(session, sql, found, column.data_type)
        if bad:
            raise _unfit(target, column, found.data_type, bad, published)


def _changed(session: PostgresSession, sql: str, given: Column, wanted: str) -> int:
    """How many values change; all of them where one cannot be cast, since PostgreSQL tells of the first alone."""
    name = quote(given.name)
    changes = f"({name}::{wanted})::{given.data_type} IS DISTINCT FROM {name}"
    if _is_moment(wanted) and _is_moment(given.data_type) and _has_zone(wanted) != _has_zone(given.data_type):
        changes = f"{name} IS NOT NULL"  # what it becomes depends on the time zone of the session
    try:
        with session.attempt():
            return int(session.value(f"SELECT count(*) FROM ({sql}) AS q WHERE {changes}"))
    except AdapterError:
        return int(session.value(f"SELECT count({name}) FROM ({sql}) AS q"))


def _is_moment(data_type: str) -> bool:
    return data_type.startswith(_MOMENTS) and not data_type.endswith("]")


def _has_zone(data_type: str) -> bool:
    return "with time zone" in data_type


def _unfit(target: Relation, column: Column, given: str, count: int, published: bool) -> PublicationError:
    values = "1 value" if count == 1 else f"{count:,} values"
    do = "does" if count == 1 else "do"
    whose = f"published, {given}, which the query does not replace" if published else f"of the query, {given},"
    return PublicationError(
        f"column '{column.name}' of {target} {'becomes' if published else 'is'} {column.data_type}: {values} {whose} "
        f"{do} not fit without being changed; the published table is unchanged",
        hint="run once with --full-refresh" if published else
        f"cast '{column.name}' in the query, set on_schema_change='sync_all_columns', or run once with --full-refresh",
    )  # fmt: skip
