"""The schema of ours: stages, stores, error records, notes, and who works here. Made by the first run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.settings import LONGEST_NAME, PostgresSettings
from sqlinfer.errors import AdapterError, StoreError
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.names import NoteKind

FORMAT_VERSION = 1
_TABLES = {
    "info": "format_version integer NOT NULL, created_at timestamptz NOT NULL DEFAULT now()",
    "holder": "run_id text, pid bigint, host text, backend integer, started text",
    "notes": "kind text, name text, payload text, number bigint GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (kind, name)",
}


def relation(settings: PostgresSettings, name: str) -> Relation:
    """A relation of ours; a name that is too long is cut, and what tells it apart stays."""
    return Relation(fitted(name), settings.side_schema)


def table(settings: PostgresSettings, name: str) -> str:
    return relation(settings, name).sql()


def fitted(name: str) -> str:
    """
    >>> fitted("short"), len(fitted("x" * 80))
    ('short', 63)
    """
    raw = name.encode()
    if len(raw) <= LONGEST_NAME:
        return name
    tail = hashlib.blake2b(raw, digest_size=8).hexdigest()
    return f"{raw[: LONGEST_NAME - len(tail) - 1].decode(errors='ignore')}_{tail}"


def prepare(session: PostgresSession, settings: PostgresSettings) -> None:
    """Make what is not there yet.

    Raises:
        AdapterError: the role may not create the schema.
        StoreError: a newer version of sqlinfer has written there.
    """
    make_schema(session, settings.side_schema)
    known = {name for (name,) in session.rows(
        "SELECT c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        f"WHERE n.nspname = {literal(settings.side_schema)} AND c.relname IN ('info', 'holder', 'notes')"
    )}  # fmt: skip
    for name, columns in _TABLES.items():
        if name not in known:
            session.execute(f"CREATE TABLE IF NOT EXISTS {table(settings, name)} ({columns})")
    found = session.value(f"SELECT max(format_version) FROM {table(settings, 'info')}")
    if found is None:
        session.execute(f"INSERT INTO {table(settings, 'info')} VALUES ({FORMAT_VERSION})")
    elif found > FORMAT_VERSION:
        raise StoreError(
            f"schema {settings.side_schema} has format {found}, this version of sqlinfer writes {FORMAT_VERSION}",
            hint="upgrade sqlinfer, or drop the schema to score everything again",
        )


def make_schema(session: PostgresSession, name: str) -> None:
    """``IF NOT EXISTS`` alone would want the right to create one that is there."""
    if session.value(f"SELECT count(*) FROM pg_namespace WHERE nspname = {literal(name)}"):
        return
    try:
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(name)}")
    except AdapterError as error:
        hint = f"ask for GRANT CREATE ON DATABASE, or let an owner run CREATE SCHEMA {name} AUTHORIZATION the role"
        raise AdapterError(f"schema {name} cannot be made: {error.message}", hint=hint) from error


def write_note(
    session: PostgresSession, settings: PostgresSettings, kind: NoteKind, name: str, payload: Mapping[str, Any] | None
) -> None:
    notes = table(settings, "notes")
    with session.transaction():
        session.execute(f"DELETE FROM {notes} WHERE kind = {literal(kind)} AND name = {literal(name)}")
        if payload is not None:
            values = ", ".join(map(literal, (kind, name, json.dumps(payload))))
            session.execute(f"INSERT INTO {notes} (kind, name, payload) VALUES ({values})")


def read_notes(session: PostgresSession, settings: PostgresSettings, kind: NoteKind) -> dict[str, dict[str, Any]]:
    notes = table(settings, "notes")
    found = session.rows(f"SELECT name, payload FROM {notes} WHERE kind = {literal(kind)} ORDER BY number")
    return {name: json.loads(payload) for name, payload in found}
