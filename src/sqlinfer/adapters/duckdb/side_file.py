"""The side file: attached, moved aside where it is damaged, its schemas made, older ones brought up to date."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path

from sqlinfer.adapters.duckdb import notes
from sqlinfer.adapters.duckdb.connection import DuckDBConnection
from sqlinfer.adapters.duckdb.names import ERRORS, META, SIDE, STAGE, STORE
from sqlinfer.adapters.duckdb.place import Place
from sqlinfer.errors import AdapterError, DatabaseLocked, StoreError
from sqlinfer.relation import literal, quote

FORMAT_VERSION = 1
_READER_SECONDS, _PAUSE = 5.0, 0.05
_IS_SYSTEM = re.compile(
    r"Permission denied|Read-only file system|No space left|Disk quota|Input/output error|Too many open files|"
    r"Is a directory|File too large|Operation not permitted",
    re.IGNORECASE,
)
"""What the system refuses: no sign of damage."""


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
    _refuse_foreign(connection)
    _prepare(connection)
    older = notes.older_tables(connection)
    if older:
        with connection.transaction():
            notes.move(connection, older)
    moved = _own(connection)
    return warning or moved


def _refuse_foreign(connection: DuckDBConnection) -> None:
    """A file of the user's choice may be a database of theirs."""
    known = connection.rows(f"SELECT schema_name FROM duckdb_schemas() WHERE database_name = '{SIDE}'")
    if (META,) in known:
        return
    found = connection.rows(f"SELECT table_name FROM duckdb_tables() WHERE database_name = '{SIDE}' LIMIT 1")
    if found:
        raise StoreError(
            f"{connection.settings.side} is a database with tables of its own ({found[0][0]}), no store of sqlinfer",
            hint="name another file, or a folder, under state: of the profile",
        )


def _own(connection: DuckDBConnection) -> str | None:
    """The store belongs to one database: publications that wait in it would go into another's tables.

    A sentence where the database has moved.

    Raises:
        StoreError: it belongs to another, which is still there.
    """
    settings = connection.settings
    own, known = settings.databases[0], notes.read(connection, "target").get("database", {})
    before, is_file = known.get("identity"), bool(known.get("is_file"))
    if before == own.identity:
        return None
    if before is not None and settings.place.chosen and (not is_file or Path(before).exists()):
        raise StoreError(
            f"the store {settings.side} belongs to another database ({before}), this target's is {own.identity}",
            hint="give each target a state: of its own; moved for good, the store can be moved away and is made anew",
        )
    with connection.transaction():
        payload = {"identity": own.identity, "is_file": own.file is not None}
        notes.write(connection, "target", "database", payload)
    if before is None or not settings.place.chosen:
        return None
    return f"the store {settings.side.name} was that of {before}, which is gone; it is now that of {own.identity}"


def _attach(connection: DuckDBConnection) -> str | None:
    side = connection.settings.side
    if side.is_symlink():
        raise StoreError(f"the side file {side.name} is a link", hint="remove it, or move the database instead")
    refuse_closed(connection.settings.place)
    statement = f"ATTACH {literal(str(side))} AS {SIDE}"
    try:
        _execute_patiently(connection, statement)
    except DatabaseLocked as error:
        raise StoreError(f"the side file {side.name} is held by {error.holder or 'another process'}") from error
    except AdapterError as error:
        if "version number" in error.message or "newer version" in error.message:
            raise StoreError(f"the side file {side.name} was written by a newer DuckDB: {error.message}") from error
        if _IS_SYSTEM.search(error.message):
            raise StoreError(f"the side file {side} cannot be opened: {error.message}") from error
        warning = set_aside(side, error.message)
        connection.execute(statement)
        return warning
    return None


def refuse_closed(place: Place, *, make: bool = True) -> None:
    """Only a file that is ours and can be opened may be damaged. ``make``: its folder, where it is not there.

    Raises:
        StoreError: it cannot be opened, or is something else.
    """
    side, chosen = place.side, place.chosen
    try:
        if not side.exists():
            if make:
                side.parent.mkdir(parents=True, exist_ok=True)
            there = next(one for one in side.parents if one.exists())
            closed = not os.access(there, os.W_OK) or not there.is_dir()
        else:
            closed = not os.access(side, os.R_OK | os.W_OK)
        if side.exists() and not side.is_file():
            raise StoreError(f"the side file {side} is no regular file", hint="remove what lies there")
        if chosen and not closed and side.is_file() and side.stat().st_size and not _is_duckdb(side):
            raise StoreError(
                f"{side} is no database of DuckDB's, and no store of sqlinfer",
                hint="name another file, or a folder, under state: of the profile",
            )
    except OSError as error:
        raise StoreError(f"the side file {side} cannot be opened: {error.strerror}") from error
    if closed:
        what = side if side.exists() else there
        raise StoreError(f"the store {side.name} cannot be written: {what} is closed to this user",
                         hint="make it writable, or name another state: in the profile")  # fmt: skip


def _is_duckdb(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(12)[8:] == b"DUCK"


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
