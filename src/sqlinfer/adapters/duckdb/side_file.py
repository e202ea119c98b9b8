"""The side file: attached, moved aside where it is damaged, its schemas made, older ones brought up to date."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from sqlinfer.adapters.duckdb import notes
from sqlinfer.adapters.duckdb.connection import DuckDBConnection
from sqlinfer.adapters.duckdb.names import ERRORS, META, SIDE, STAGE, STORE
from sqlinfer.errors import AdapterError, DatabaseLocked, StoreError
from sqlinfer.relation import literal, quote

FORMAT_VERSION = 1
_READER_SECONDS, _PAUSE = 5.0, 0.05


def open_in_memory(connection: DuckDBConnection) -> None:
    """For a scratch workspace."""
    connection.execute(f"ATTACH ':memory:' AS {SIDE}")
    _prepare(connection)


def open_file(connection: DuckDBConnection) -> str | None:
    """What was found wrong and repaired, for people.

    Raises:
        StoreError: somebody holds the file, or a newer version wrote it.
    """
    warning = _attach(connection)
    _prepare(connection)
    older = notes.older_tables(connection)
    if older:
        with connection.transaction():
            notes.move(connection, older)
    return warning


def _attach(connection: DuckDBConnection) -> str | None:
    side = connection.settings.side
    if side.is_symlink():
        raise StoreError(f"the side file {side.name} is a link", hint="remove it, or move the database instead")
    statement = f"ATTACH {literal(str(side))} AS {SIDE}"
    try:
        _execute_patiently(connection, statement)
    except DatabaseLocked as error:
        raise StoreError(f"the side file {side.name} is held by {error.holder or 'another process'}") from error
    except AdapterError as error:
        if "version number" in error.message or "newer version" in error.message:
            raise StoreError(f"the side file {side.name} was written by a newer DuckDB: {error.message}") from error
        warning = set_aside(side, error.message)
        connection.execute(statement)
        return warning
    return None


def _execute_patiently(connection: DuckDBConnection, statement: str) -> None:
    """The target is this run's: who has the file open is a reader that copies something, and leaves."""
    deadline = time.monotonic() + _READER_SECONDS
    while True:
        try:
            connection.execute(statement)
            return
        except DatabaseLocked:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE)


def set_aside(side: Path, reason: str) -> str:
    """Move a damaged file out of the way; a sentence about that."""
    moved = side.with_name(f"{side.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
    side.rename(moved)
    wal = side.with_name(side.name + ".wal")
    if wal.exists():
        wal.rename(moved.with_name(moved.name + ".wal"))
    return f"the side file was damaged and is moved to {moved.name}; it is rebuilt by scoring again ({reason})"


def _prepare(connection: DuckDBConnection) -> None:
    for schema in (STAGE, STORE, ERRORS, META):
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SIDE}.{schema}")
    info = f"{SIDE}.{META}.info"
    connection.execute(f"CREATE TABLE IF NOT EXISTS {info} (format_version INTEGER, created_at TIMESTAMPTZ)")
    found = connection.rows(f"SELECT max(format_version) FROM {info}")[0][0]
    if found is None:
        connection.execute(f"INSERT INTO {info} VALUES ({FORMAT_VERSION}, now())")
    elif found > FORMAT_VERSION:
        raise StoreError(
            f"the store has format {found}, this version of sqlinfer writes format {FORMAT_VERSION}",
            hint="upgrade sqlinfer, or move the side file away to score everything again",
        )
    notes.create(connection)


def copy_store(connection: DuckDBConnection, name: str) -> bool:
    """A store of the side file into memory. Copied, not attached: a reader of the file would keep the nightly run out.

    False where there is none.
    """
    side, held = connection.settings.side, "sqlinfer_remembered"
    if not side.exists():
        return False
    with suppress(AdapterError):
        connection.execute(f"ATTACH {literal(str(side))} AS {held} (READ_ONLY)")
        try:
            connection.execute(f"CREATE TABLE {SIDE}.{STORE}.{quote(name)} AS FROM {held}.{STORE}.{quote(name)}")
            return True
        finally:
            connection.execute(f"DETACH {held}")
    return False
