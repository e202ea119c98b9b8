"""Staged rows → a published table that stays: MERGE, or an append. Inside the caller's one transaction.

The query's columns of rows that differ are updated, other columns and rows keep their values. A NULL key is a key like
any other; PostgreSQL joins on equal keys quickly and on ``IS NOT DISTINCT FROM`` row by row, so that rows with a NULL
in their key, few as a rule, are merged by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlinfer.adapters.base import Materialization, Written
from sqlinfer.adapters.postgres.fits import refuse_unfit
from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.tables import Standing, listed, standing
from sqlinfer.adapters.schema_change import Agreement, agree
from sqlinfer.errors import AdapterError, DatabaseLocked, PublicationError
from sqlinfer.relation import Relation, fold, quote

_ROWS = '"pg_temp"."sqlinfer_rows"'
_UNEQUAL = ("json", "xml", "point", "box", "polygon", "path", "line", "lseg", "circle", "citext", "interval")
"""Types that PostgreSQL has no equality for, or not the usual one: a month is 30 days."""
_COLLATED = ("text", "character varying")
"""Types whose equality is that of a collation, which may take some texts for equal."""


def merge(session: PostgresSession, target: Relation, there: Standing, how: Materialization, sql: str) -> Written:
    """Raises PublicationError: duplicate keys, a change of columns that is not allowed, a value that does not fit."""
    session.execute(f"DROP TABLE IF EXISTS {_ROWS}")
    session.execute(f"CREATE TEMP TABLE sqlinfer_given ON COMMIT DROP AS {sql}")
    given = "SELECT * FROM pg_temp.sqlinfer_given"
    found = agree(how, session.describe(given), there.columns)
    refuse_unfit(session, how.target, found.written, given)
    items = ", ".join(f"CAST({_name(c.name)} AS {c.data_type}) AS {_name(c.name)}" for c in found.written)
    rows = session.execute(
        f"CREATE TEMP TABLE sqlinfer_rows ON COMMIT DROP AS SELECT {items} FROM pg_temp.sqlinfer_given"
    )
    session.execute("DROP TABLE pg_temp.sqlinfer_given")
    if how.unique_key:
        refuse_duplicates(session, how, f"SELECT * FROM {_ROWS}")
    session.execute(f"ANALYZE {_ROWS}")
    _reshape(session, target, how, found)
    written = _written(session, target, how, found, rows)
    session.execute(f"DROP TABLE {_ROWS}")
    return written


def _written(session: PostgresSession, target: Relation, how: Materialization, found: Agreement, rows: int) -> Written:
    table, names = target.sql(), [column.name for column in found.written]
    if how.strategy == "append" or not how.unique_key:
        session.execute(f"INSERT INTO {table} ({listed(names)}) SELECT {listed(names)} FROM {_ROWS}")
        return Written(rows)
    keys = [next(name for name in names if fold(name) == fold(key)) for key in how.unique_key]
    some_null = " OR ".join(f"{_name(key)} IS NULL" for key in keys)
    nulls = int(session.value(f"SELECT count(*) FROM {_ROWS} WHERE {some_null}"))
    for has_null in (False, True) if nulls else (False,):
        _merge_some(session, table, how, found, keys, has_null=has_null, split=bool(nulls))
    if how.is_slice:
        return Written(rows)
    if how.on_missing == "keep":
        there = int(session.value(f"SELECT count(*) FROM {table}"))
        return Written(rows, max(0, there - rows))
    _delete_missing(session, table, keys, some_null, nulls)
    if int(session.value(f"SELECT count(*) FROM {table}")) != rows:
        _take_once(session, table, keys)
    return Written(rows)


def _merge_some(
    session: PostgresSession, table: str, how: Materialization, found: Agreement, keys: Sequence[str], *,
    has_null: bool, split: bool,
) -> None:  # fmt: skip
    """The rows whose key has a NULL, or those whose key has none."""
    names = [column.name for column in found.written]
    types = {column.name: column.data_type for column in found.written}
    others = [name for name in names if name not in keys]
    compared = [name for name in others if fold(name) not in {*how.uncompared}]
    source = _ROWS
    if split:
        some = " OR ".join(f"{_name(key)} IS NULL" for key in keys)
        source = f"(SELECT * FROM {_ROWS} WHERE {some if has_null else f'NOT ({some})'})"
    same, differs = _same(keys, has_null), " OR ".join(_differs(name, types[name]) for name in compared)
    values = ", ".join([*(f"{_name(name)} = n.{_name(name)}" for name in others),
                        *(f"{_name(column.name)} = NULL" for column in found.forgotten)])  # fmt: skip
    if compared:
        session.execute(f"UPDATE {table} AS o SET {values} FROM {source} AS n WHERE {same} AND ({differs})")
    session.execute(
        f"INSERT INTO {table} ({listed(names)}) SELECT {listed(names)} FROM {source} AS n "
        f"WHERE NOT EXISTS (SELECT 1 FROM {table} AS o WHERE {same})"
    )


def _same(keys: Iterable[str], has_null: bool) -> str:
    sign = "IS NOT DISTINCT FROM" if has_null else "="
    return " AND ".join(f"o.{_name(key)} {sign} n.{_name(key)}" for key in keys)


def _differs(name: str, data_type: str) -> str:
    base = data_type.partition("(")[0].partition("[")[0].rpartition(".")[2]
    exact = "::text" if base in _UNEQUAL else ""
    if base in _UNEQUAL or base in _COLLATED:
        exact += ' COLLATE "C"'
    return f"o.{_name(name)}{exact} IS DISTINCT FROM n.{_name(name)}{exact}"


def _delete_missing(session: PostgresSession, table: str, keys: Sequence[str], some_null: str, nulls: int) -> None:
    there = f"SELECT 1 FROM {_ROWS} AS n WHERE"
    filled = " AND ".join(f"o.{_name(key)} IS NOT NULL" for key in keys)
    session.execute(f"DELETE FROM {table} AS o WHERE {filled} AND NOT EXISTS ({there} {_same(keys, False)})")
    session.execute(f"DELETE FROM {table} AS o WHERE NOT ({filled}) AND NOT EXISTS ({there} {_same(keys, True)})")


def refuse_duplicates(session: PostgresSession, how: Materialization, sql: str) -> None:
    keys = listed(how.unique_key)
    twice = f"SELECT count(*) AS n FROM ({sql}) AS q GROUP BY {keys} HAVING count(*) > 1"
    count, rows = session.rows(f"SELECT count(*), sum(d.n)::bigint FROM ({twice}) AS d")[0]
    if count:
        raise PublicationError(
            f"unique_key ({', '.join(how.unique_key)}) is not unique: {count} keys occur in {rows} rows",
            hint="the published table is unchanged; make the query return one row for each key",
        )


def _reshape(session: PostgresSession, target: Relation, how: Materialization, found: Agreement) -> None:
    """Altered, so that constraints, comments and the values of every other column stay."""
    if found.retyped:
        there = standing(session, target)
        old = {fold(column.name) for column in there.columns} if there else set()
        kept = [column for column in found.retyped if fold(column.name) in old]
        refuse_unfit(session, how.target, kept, _left(target, how, found), published=True)
        if how.unique_key and how.strategy != "append":
            keys = [next(c.name for c in found.written if fold(c.name) == fold(key)) for key in how.unique_key]
            if not any(fold(column.name) in {fold(key) for key in keys} for column in found.retyped):
                session.execute(f"DELETE FROM {target.sql()} AS o USING {_ROWS} AS n WHERE {_same(keys, True)}")
    for column in found.retyped:
        name, kind = _name(column.name), column.data_type
        _alter(session, target, how, f"ALTER COLUMN {name} TYPE {kind} USING {name}::{kind}",
               f"give column '{column.name}' the type {kind}")  # fmt: skip
    for column in found.added:
        _alter(session, target, how, f"ADD COLUMN {_name(column.name)} {column.data_type}",
               f"add column '{column.name}'")  # fmt: skip
    for column in found.dropped:
        _alter(session, target, how, f"DROP COLUMN {_name(column.name)}", f"drop column '{column.name}'")


def _alter(session: PostgresSession, target: Relation, how: Materialization, change: str, meant: str) -> None:
    try:
        with session.attempt():
            session.execute(f"ALTER TABLE {target.sql()} {change}")
    except DatabaseLocked:
        raise
    except AdapterError as error:
        raise PublicationError(
            f"on_schema_change: {how.on_schema_change} would {meant} of {how.target}, and the warehouse refuses: "
            f"{error.message}; the published table is unchanged",
            hint="change it by hand, or run once with --full-refresh",
        ) from error


def _left(target: Relation, how: Materialization, found: Agreement) -> str:
    """SQL: the published rows that the query does not replace, and that stay."""
    table = target.sql()
    if how.strategy == "append" or not how.unique_key:
        return f"SELECT * FROM {table}"
    if not how.is_slice and how.on_missing == "delete":
        return f"SELECT * FROM {table} LIMIT 0"
    keys = [next(c.name for c in found.written if fold(c.name) == fold(key)) for key in how.unique_key]
    same = " AND ".join(f"o.{_name(key)}::text IS NOT DISTINCT FROM n.{_name(key)}::text" for key in keys)
    return f"SELECT * FROM {table} AS o WHERE NOT EXISTS (SELECT 1 FROM {_ROWS} AS n WHERE {same})"


def _take_once(session: PostgresSession, table: str, keys: Sequence[str]) -> None:
    """The published table held a key twice, from elsewhere: the desired state has it once."""
    numbered = f"SELECT ctid, row_number() OVER (PARTITION BY {listed(keys)}) AS n FROM {table}"
    session.execute(f"DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM ({numbered}) AS q WHERE n > 1)")


def _name(name: str) -> str:
    return quote(name)
