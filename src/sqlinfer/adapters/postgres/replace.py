"""Another table in the place of a published one: built beside and renamed, or refilled in place.

A rename needs a moment without readers, and leaves behind what hangs on the old table: views, foreign keys, triggers.
So a table on which something hangs, and one that readers do not let go of, is refilled: rows out, rows in, in the one
transaction. Readers see the old rows until it commits, and views stay as they are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.postgres.constraints import create
from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.side import fitted
from sqlinfer.adapters.postgres.tables import Standing, listed
from sqlinfer.errors import AdapterError, DatabaseLocked, PublicationError
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.catalog import Column

_TRIES, _WAIT, _PAUSE = 4, "500ms", 0.5
"""New readers queue behind a rename that waits: a short wait, a few times."""


def replace_table(session: PostgresSession, target: Relation, there: Standing, how: Materialization, sql: str) -> int:
    """Returns the number of rows.

    Raises:
        DatabaseLocked: readers did not let go of a table whose columns change.
        PublicationError: something hangs on columns that go or change.
    """
    columns = session.describe(sql)
    change = _Change.between(columns, there.columns)
    if not there.dependents and there.kind == "r":
        beside = Relation(fitted(f"sqlinfer_new_{target.name}"), target.schema)
        session.execute(f"DROP TABLE IF EXISTS {beside.sql()}")
        rows = create(session, beside, how, sql)
        _carry(session, there, beside, how, columns)
        if _swapped(session, target, beside, last=not change.is_empty):
            return rows
        session.execute(f"DROP TABLE {beside.sql()}")
    _reshape(session, target, there, how, change)
    return refill(session, target, there, columns, sql)


@dataclass(frozen=True, slots=True)
class _Change:
    """What makes the columns of the published table those of the query."""

    added: tuple[Column, ...]
    dropped: tuple[Column, ...]
    retyped: tuple[Column, ...]

    @classmethod
    def between(cls, new: Sequence[Column], old: Sequence[Column]) -> _Change:
        here, before = {c.name: c for c in new}, {c.name: c for c in old}
        return cls(
            tuple(c for c in new if c.name not in before),
            tuple(c for c in old if c.name not in here),
            tuple(c for c in new if c.name in before and before[c.name].data_type != c.data_type),
        )

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.dropped or self.retyped)


def _swapped(session: PostgresSession, target: Relation, beside: Relation, *, last: bool) -> bool:
    """Whether the new table has taken the name. ``last``: there is no other way, so wait as long as a statement may."""
    name, usual = target.sql(), session.value("SELECT current_setting('lock_timeout')")
    for left in range(_TRIES, -1, -1):
        try:
            with session.attempt():
                if left or not last:
                    session.execute(f"SET LOCAL lock_timeout = '{_WAIT}'")
                session.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
        except DatabaseLocked:
            if not left:
                if last:
                    raise held(session, target) from None
                return False
            time.sleep(_PAUSE)
            continue
        session.execute(f"SET LOCAL lock_timeout = '{usual}'")
        session.execute(f"DROP TABLE {name}")
        session.execute(f"ALTER TABLE {beside.sql()} RENAME TO {quote(target.name)}")
        _rename_parts(session, target)
        return True
    return False


def held(session: PostgresSession, target: Relation) -> DatabaseLocked:
    """Names who holds a lock on the table, as far as the role may know."""
    found = session.rows(
        "SELECT DISTINCT a.pid::bigint, coalesce(nullif(a.application_name, ''), 'unknown program'), "
        "coalesce(a.state, 'active') FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid "
        f"WHERE l.relation = to_regclass({literal(target.sql())}) AND l.granted AND a.pid <> pg_backend_pid() "
        "ORDER BY 1"
    )
    holder = ", ".join(f"process {pid} ({program}, {state})" for pid, program, state in found) or "another process"
    return DatabaseLocked(f"table {target} is held by {holder}", holder=holder, hint="end its transaction, or wait")


def refill(session: PostgresSession, target: Relation, there: Standing, columns: Sequence[Column], sql: str) -> int:
    """Rows out, rows in. Rows to which others refer stay, and get their new values."""
    name, names = target.sql(), listed([column.name for column in columns])
    keys = _referred(session, there)
    if not keys:
        session.execute(f"DELETE FROM {name}")
        return session.execute(f"INSERT INTO {name} ({names}) SELECT {names} FROM ({sql}) AS q")
    session.execute("DROP TABLE IF EXISTS pg_temp.sqlinfer_rows")
    rows = session.execute(f"CREATE TEMP TABLE sqlinfer_rows ON COMMIT DROP AS {sql}")
    same = " AND ".join(f"t.{quote(key)} = n.{quote(key)}" for key in keys)
    others = [quote(c.name) for c in columns if c.name not in keys]
    session.execute(f"DELETE FROM {name} AS t WHERE NOT EXISTS (SELECT 1 FROM pg_temp.sqlinfer_rows AS n WHERE {same})")
    if others:
        values = ", ".join(f"{one} = n.{one}" for one in others)
        session.execute(f"UPDATE {name} AS t SET {values} FROM pg_temp.sqlinfer_rows AS n WHERE {same}")
    session.execute(
        f"INSERT INTO {name} ({names}) SELECT {names} FROM pg_temp.sqlinfer_rows AS n "
        f"WHERE NOT EXISTS (SELECT 1 FROM {name} AS t WHERE {same})"
    )
    return rows


def _referred(session: PostgresSession, there: Standing) -> tuple[str, ...]:
    """Columns that a foreign key of another table refers to."""
    found = session.rows(
        "SELECT a.attname::text FROM pg_constraint AS c JOIN pg_attribute AS a ON a.attrelid = c.confrelid "
        "AND a.attnum = ANY (c.confkey) WHERE c.oid = (SELECT oid FROM pg_constraint WHERE contype = 'f' "
        f"AND confrelid = {there.oid} ORDER BY conname LIMIT 1) ORDER BY a.attnum"
    )
    return tuple(name for (name,) in found)


def _reshape(
    session: PostgresSession, target: Relation, there: Standing, how: Materialization, change: _Change
) -> None:
    if change.is_empty:
        return
    name = target.sql()
    wanted = [f"DROP COLUMN {quote(c.name)}" for c in change.dropped]
    for column in change.retyped:  # the rows go: none has to be converted
        spelt = quote(column.name)
        wanted.append(f"ALTER COLUMN {spelt} TYPE {column.data_type} USING NULL::{column.data_type}")
    wanted += [f"ADD COLUMN {quote(c.name)} {c.data_type}" for c in change.added]
    if change.retyped and not _referred(session, there):
        session.execute(f"DELETE FROM {name}")
    try:
        with session.attempt():
            session.execute(f"ALTER TABLE {name} {', '.join(wanted)}")
    except DatabaseLocked:
        raise
    except AdapterError as error:
        raise PublicationError(
            f"columns of {how.target} change ({'; '.join(wanted)}), and others depend on it: "
            f"{', '.join(there.dependents)}: {error.message}; nothing was changed",
            hint="drop them first, and make them again after the run",
        ) from error


# what goes along with a rename


def _carry(
    session: PostgresSession, there: Standing, beside: Relation, how: Materialization, columns: Sequence[Column]
) -> None:
    """Rights, comments, indexes and constraints of the table that goes; of a full refresh rights and comments alone."""
    names = {column.name for column in columns}
    for statement in _rights(session, there, beside, names) + _comments(session, there, beside, names):
        session.execute(statement)
    if how.full_refresh:
        return
    for statement in _indexes(session, there, beside):
        try:
            with session.attempt():
                session.execute(statement)
        except AdapterError as error:
            if getattr(error, "code", "").startswith("23"):
                raise  # the rows break a key of the published table


def _rights(session: PostgresSession, there: Standing, beside: Relation, names: set[str]) -> list[str]:
    name = beside.sql()
    granted = session.rows(
        "SELECT a.privilege_type, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) "
        f"END, a.is_grantable, NULL::text FROM pg_class AS c, aclexplode(c.relacl) AS a WHERE c.oid = {there.oid} "
        "AND a.grantee <> c.relowner UNION ALL SELECT a.privilege_type, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE "
        "quote_ident(pg_get_userbyid(a.grantee)) END, a.is_grantable, t.attname::text FROM pg_attribute AS t, "
        f"aclexplode(t.attacl) AS a WHERE t.attrelid = {there.oid} AND NOT t.attisdropped"
    )
    found = []
    for right, who, may_grant, column in granted:
        if column is not None and column not in names:
            continue
        of = f" ({quote(column)})" if column else ""
        found.append(f"GRANT {right}{of} ON {name} TO {who}{' WITH GRANT OPTION' if may_grant else ''}")
    return found


def _comments(session: PostgresSession, there: Standing, beside: Relation, names: set[str]) -> list[str]:
    name = beside.sql()
    found = session.rows(
        "SELECT a.attname::text, quote_literal(d.description) FROM pg_description AS d LEFT JOIN pg_attribute AS a "
        "ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0 "
        f"WHERE d.classoid = 'pg_class'::regclass AND d.objoid = {there.oid}"
    )
    return [
        f"COMMENT ON TABLE {name} IS {text}"
        if column is None
        else f"COMMENT ON COLUMN {name}.{quote(column)} IS {text}"
        for column, text in found
        if column is None or column in names
    ]


_NEW = "sqlinfer_new_"


def _indexes(session: PostgresSession, there: Standing, beside: Relation) -> list[str]:
    """Statements for what the new table does not have yet: NOT NULL, constraints, other indexes."""
    name = beside.sql()
    filled = session.rows(
        f"SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = {there.oid} AND attnum > 0 AND attnotnull "
        "AND NOT attisdropped"
    )
    found = [f"ALTER TABLE {name} ALTER COLUMN {column} SET NOT NULL" for (column,) in filled]
    has = f"SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = '{name}'::regclass"
    constraints = session.rows(
        f"SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = {there.oid} "
        f"AND contype IN ('p', 'u', 'f', 'c', 'x') AND pg_get_constraintdef(oid) NOT IN ({has}) ORDER BY conname"
    )
    for one, text in constraints:
        found.append(f"ALTER TABLE {name} ADD CONSTRAINT {quote(fitted(_NEW + one))} {text}")
    indexes = session.rows(
        "SELECT c.relname::text, i.indisunique, pg_get_indexdef(i.indexrelid) FROM pg_index AS i "
        "JOIN pg_class AS c ON c.oid = i.indexrelid "
        f"WHERE i.indrelid = {there.oid} AND NOT EXISTS (SELECT 1 FROM pg_constraint AS k WHERE k.conindid = c.oid)"
    )
    for one, is_unique, text in indexes:
        kind = "UNIQUE INDEX" if is_unique else "INDEX"
        found.append(f"CREATE {kind} {quote(fitted(_NEW + one))} ON {name} USING {text.split(' USING ', 1)[1]}")
    return found


def _rename_parts(session: PostgresSession, target: Relation) -> None:
    """The names that the old table's constraints and indexes had."""
    name = target.sql()
    schema = quote(target.schema or "")
    constraints = session.rows(
        f"SELECT conname::text FROM pg_constraint WHERE conrelid = '{name}'::regclass "
        f"AND starts_with(conname, '{_NEW}')"
    )
    for (one,) in constraints:
        session.execute(f"ALTER TABLE {name} RENAME CONSTRAINT {quote(one)} TO {quote(one.removeprefix(_NEW))}")
    indexes = session.rows(
        "SELECT c.relname::text FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid "
        f"WHERE i.indrelid = '{name}'::regclass AND starts_with(c.relname, '{_NEW}')"
    )
    for (one,) in indexes:
        new = quote(one.removeprefix(_NEW))
        session.execute(f"ALTER INDEX {schema}.{quote(one)} RENAME TO {new}")
