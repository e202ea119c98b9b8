"""Constraints of a contract on a PostgreSQL table: declared when the table is made, found again when it stays."""

from __future__ import annotations

from collections.abc import Sequence

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.tables import Standing
from sqlinfer.adapters.shared.constraints import definition
from sqlinfer.errors import AdapterError, PublicationError, StatementRefused
from sqlinfer.relation import Relation, fold
from sqlinfer.spec.catalog import Column

_TRIAL = '"pg_temp"."sqlinfer_trial"'
_KINDS = {"p": "primary_key", "u": "unique", "f": "foreign_key", "c": "check"}


def create(session: PostgresSession, target: Relation, how: Materialization, sql: str) -> int:
    """The table with its constraints and the rows of ``sql``, their number."""
    name, table = target.sql(), "UNLOGGED TABLE" if how.unlogged else "TABLE"
    if not how.constraints:
        lead = f"CREATE {table} {name} AS "
        return session.execute(f"{lead}{sql}", lead)
    session.execute(f"CREATE {table} {name} ({definition(session.describe(sql), how.constraints)})")
    lead = f"INSERT INTO {name} "
    return session.execute(f"{lead}{sql}", lead)


def broken(how: Materialization, error: AdapterError) -> AdapterError | PublicationError:
    """Of a statement that wrote rows: the constraint that they break, else the error itself."""
    if not isinstance(error, StatementRefused) or not error.code.startswith("23"):
        return error
    return PublicationError(
        f"rows of {how.target} break a constraint: {error.message}; the published table is unchanged",
        hint="a data test of the column shows which rows",
    )


def check_constraints(
    session: PostgresSession, how: Materialization, columns: Sequence[Column], there: Standing | None
) -> None:
    """Before scoring. Raises PublicationError: they cannot be declared, or the table that stays lacks one."""
    if not how.constraints:
        return
    own = tuple(one for one in how.constraints if one.kind != "foreign_key")
    try:
        with session.attempt():
            session.execute(f"CREATE TABLE {_TRIAL} ({definition(columns, own)})")
            session.execute(f"DROP TABLE {_TRIAL}")
    except AdapterError as error:
        named = ", ".join(map(str, how.constraints))
        raise PublicationError(f"constraints of {how.target} ({named}) cannot be declared: {error.message}",
                               hint=error.hint, location=how.constraints[0].location) from error  # fmt: skip
    if how.merges and there is not None and there.is_table:
        _refuse_missing(session, how, there)


def _refuse_missing(session: PostgresSession, how: Materialization, there: Standing) -> None:
    found = session.rows(
        "SELECT c.contype::text, array(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = c.conrelid "
        f"AND a.attnum = ANY (c.conkey)) FROM pg_constraint AS c WHERE c.conrelid = {there.oid}"
    )
    held = {(_KINDS.get(kind, kind), frozenset(map(fold, names or ()))) for kind, names in found}
    checks = sum(kind == "check" for kind, _ in held)
    filled = session.rows(
        f"SELECT attname::text FROM pg_attribute WHERE attrelid = {there.oid} AND attnotnull AND NOT attisdropped"
    )
    held |= {("not_null", frozenset((fold(name),))) for (name,) in filled}
    missing = []
    for one in how.constraints:
        match one.kind:
            case "not_null":
                missing += [
                    f"not_null ({name})" for name in one.columns if ("not_null", frozenset((fold(name),))) not in held
                ]
            case "check":
                checks -= 1
                missing += [str(one)] if checks < 0 else []
            case "unique" | "primary_key" | "foreign_key":
                is_held = (one.kind, frozenset(map(fold, one.columns))) in held
                missing += [] if is_held else [str(one)]
            case "custom":
                pass
    if missing:
        raise PublicationError(
            f"{how.target} was published without {', '.join(missing)}; a table that stays gets no new constraint",
            hint="run once with --full-refresh", location=how.constraints[0].location,
        )  # fmt: skip
