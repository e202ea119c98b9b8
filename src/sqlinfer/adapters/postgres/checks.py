"""What a run needs of a server, for ``sqlinfer debug``: its version, rights of the role, sessions of one's own."""

from __future__ import annotations

from collections.abc import Iterator

from sqlinfer.adapters.base import Check
from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.settings import PostgresSettings
from sqlinfer.errors import AdapterError
from sqlinfer.relation import literal

OLDEST = 14
_NAME = "warehouse"
_TEMP, _CREATE = "'TEMP'", "'CREATE'"


def checks(settings: PostgresSettings) -> Iterator[Check]:
    with PostgresSession(settings) as session:
        yield _version(session)
        yield _is_primary(session)
        yield from _rights(session, settings)
        with PostgresSession(settings) as other:
            yield _sessions(session, other)


def _version(session: PostgresSession) -> Check:
    number, text, role = session.rows(
        "SELECT current_setting('server_version_num')::int / 10000, current_setting('server_version'), "
        "current_user::text"
    )[0]
    said = f"PostgreSQL {text}, role {role}"
    if number < OLDEST:
        return Check(_NAME, False, f"{said}: sqlinfer needs {OLDEST} or newer")
    return Check(_NAME, True, said)


def refuse_unfit(session: PostgresSession, settings: PostgresSettings) -> None:
    """Raises AdapterError where no run can work: nothing can be written there, or sessions are shared."""
    with PostgresSession(settings) as other:
        found = (_is_primary(session), _sessions(session, other))
    for check in found:
        if not check.ok:
            raise AdapterError(f"{settings.place}: {check.detail}", hint="`sqlinfer debug` checks a server")


def _is_primary(session: PostgresSession) -> Check:
    name = f"{_NAME} takes writes"
    if session.value("SELECT pg_is_in_recovery()"):
        return Check(name, False, "this server is a replica: it is read only; name the primary's host in the profile")
    if session.value("SELECT current_setting('transaction_read_only') = 'on'"):
        return Check(name, False, "default_transaction_read_only is on for this role or database")
    return Check(name, True)


def _rights(session: PostgresSession, settings: PostgresSettings) -> Iterator[Check]:
    database = "has_database_privilege(current_database(), {})"
    temporary, may_create = session.rows(f"SELECT {database.format(_TEMP)}, {database.format(_CREATE)}")[0]
    way = "GRANT TEMPORARY ON DATABASE to the role: columns are found with empty tables"
    yield Check(f"{_NAME} temporary tables", bool(temporary), "" if temporary else way)
    for schema in (settings.schema, settings.side_schema):
        inside = session.value(
            "SELECT has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE') FROM pg_namespace "
            f"WHERE nspname = {literal(schema)}"
        )
        yield _schema(schema, inside, bool(may_create))


def _schema(schema: str, inside: bool | None, may_create: bool) -> Check:
    name = f"{_NAME} schema {schema}"
    if inside is None:
        way = f"GRANT CREATE ON DATABASE to the role, or let an owner run CREATE SCHEMA {schema} AUTHORIZATION the role"
        return Check(name, may_create, "the first run makes it" if may_create else f"it is not there: {way}")
    return Check(name, inside, "" if inside else f"GRANT USAGE, CREATE ON SCHEMA {schema} to the role")


def _sessions(one: PostgresSession, other: PostgresSession) -> Check:
    """Two connections of a pool that shares server sessions between transactions have one server process."""
    name = f"{_NAME} sessions"
    pids = [session.value("SELECT pg_backend_pid()") for session in (one, other, one, other)]
    if pids[0] == pids[1] or pids[0] != pids[2] or pids[1] != pids[3]:
        said = "a pooler shares them between transactions (PgBouncer's pool_mode = transaction): locks and temporary "
        way = "tables get lost; connect to the server itself, or to a pool with pool_mode = session"
        return Check(name, False, said + way)
    return Check(name, True)
