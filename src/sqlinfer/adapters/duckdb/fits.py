"""Values that a published column cannot hold as they are: refused with the column named, never rounded."""

from __future__ import annotations

from collections.abc import Iterable

from sqlinfer.adapters.duckdb.statements import Statements
from sqlinfer.errors import AdapterError, PublicationError
from sqlinfer.relation import Relation, fold, quote
from sqlinfer.spec.catalog import Column

_MOMENTS = ("TIMESTAMP", "DATE", "TIME")


def refuse_unfit(work: Statements, target: Relation, wanted: Iterable[Column], sql: str, *, published: bool = False
                 ) -> None:  # fmt: skip
    """Compare every value of ``sql`` with itself after the cast to the type of ``wanted`` and back.

    ``published``: the values are those of the published table, whose column is to change its type.

    Raises:
        PublicationError: for the first column that holds a value which changes.
    """
    given = {fold(column.name): column.data_type for column in work.describe(sql)}
    for column in wanted:
        found = given.get(fold(column.name))
        if found is None or found == column.data_type:
            continue
        try:
            bad = work.rows(f"SELECT count(*) FROM ({sql}) AS q WHERE {_changes(column, found)}")[0][0]
        except AdapterError:  # there is no cast from the one to the other
            bad = work.rows(f"SELECT count({quote(column.name)}) FROM ({sql}) AS q")[0][0]
        if bad:
            raise _unfit(target, column, found, int(bad), published)


def _changes(column: Column, given: str) -> str:
    """SQL: the value is not the same when the published column gives it back. Both casts may fail: NULL."""
    name = quote(column.name)
    if _has_zone(column.data_type) != _has_zone(given) and _is_moment(column.data_type) and _is_moment(given):
        return f"{name} IS NOT NULL"  # what it becomes depends on the time zone of the session
    return f"TRY_CAST(TRY_CAST({name} AS {column.data_type}) AS {given}) IS DISTINCT FROM {name}"


def _is_moment(data_type: str) -> bool:
    return data_type.upper().startswith(_MOMENTS) and not data_type.endswith("]")


def _has_zone(data_type: str) -> bool:
    return "WITH TIME ZONE" in data_type.upper() or data_type.upper().startswith(("TIMESTAMPTZ", "TIMETZ"))


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
