"""The schema of ours: stages, stores, error records, notes, and who works here. Made by the first run."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from sqlinfer.adapters.spark.session import SparkSqlSession, name, table_name
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.errors import AdapterError, StoreError
from sqlinfer.relation import Relation

FORMAT_VERSION = 1
_VERSION = "sqlinfer.format_version"


def relation(settings: SparkSettings, named: str) -> Relation:
    """A relation of ours. Names of files and of partitions are made of it, so that it holds nothing special."""
    return Relation(fitted(named), settings.side_schema)


def fitted(named: str) -> str:
    """
    >>> fitted("churn@0123"), fitted("errors__n_1")
    ('churn_0123_4a63ed48', 'errors__n_1')
    """
    plain = re.sub(r"[^0-9A-Za-z_]", "_", named).lower()
    if plain == named and len(named) <= 120:
        return named
    return f"{plain[:110]}_{hashlib.blake2b(named.encode(), digest_size=4).hexdigest()}"


def prepare(session: SparkSqlSession, settings: SparkSettings) -> None:
    """Make what is not there yet.

    Raises:
        AdapterError: nobody may create the schema.
        StoreError: a newer version of sqlinfer has written there.
    """
    make_schema(session, settings.side_schema)
    notes = relation(settings, "notes")
    known = session.properties(notes)
    if not known:
        session.execute(
            f"CREATE TABLE IF NOT EXISTS {table_name(notes)} (nothing int) USING parquet "
            f"TBLPROPERTIES ('{_VERSION}' = '{FORMAT_VERSION}')"
        )
    elif int(known.get(_VERSION, "0")) > FORMAT_VERSION:
        raise StoreError(
            f"schema {settings.side_schema} has format {known[_VERSION]}, this version of sqlinfer writes "
            f"{FORMAT_VERSION}",
            hint="upgrade sqlinfer, or drop the schema to score everything again",
        )


def make_schema(session: SparkSqlSession, schema: str) -> bool:
    """Whether it was made. ``IF NOT EXISTS`` alone would want the right to create one that is there."""
    if schema.casefold() in session.schemas:
        return False
    session.schemas |= schemas(session)
    if schema.casefold() in session.schemas:
        return False
    try:
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {name(schema)}")
    except AdapterError as error:
        raise AdapterError(f"schema {schema} cannot be made: {error.message}",
                           hint="let an owner of the catalog create it") from error  # fmt: skip
    session.schemas.add(schema.casefold())
    return True


def schemas(session: SparkSqlSession) -> set[str]:
    """In lower case."""
    return {one.casefold() for (one,) in session.rows("SHOW SCHEMAS")}


# processes


def is_alive(pid: int) -> bool:
    """Of a process of this machine. One that has died and that nobody has waited for is dead, too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):  # not Linux, or just gone
        return True
    return state not in ("Z", "X")
