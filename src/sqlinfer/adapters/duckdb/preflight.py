"""What is sure to make a publication fail, found before anything is scored."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.duckdb.constraints import check_constraints
from sqlinfer.adapters.duckdb.databases import Database
from sqlinfer.adapters.duckdb.settings import DuckDBSettings
from sqlinfer.adapters.duckdb.statements import Statements
from sqlinfer.adapters.schema_change import agree
from sqlinfer.errors import PublicationError
from sqlinfer.spec.catalog import Column

_SYSTEM = ("information_schema", "pg_catalog")


def check_place(settings: DuckDBSettings, how: Materialization) -> None:
    """Without a look into the database. Raises PublicationError."""
    target = how.target
    database = writable(settings, str(target), target.catalog or settings.catalog)
    schema = target.schema or settings.schema
    if schema.casefold() in _SYSTEM:
        said = f"{target} cannot be written: {schema} is the warehouse's own"
        raise PublicationError(said, hint="set another schema")
    if database.local is None:
        return
    path = database.local
    closed = next((one for one in (path, path.parent) if one.exists() and not os.access(one, os.W_OK)), None)
    if closed is not None:
        what = "file" if closed == path else "folder"
        raise PublicationError(f"{target} cannot be written: the {what} {closed} is read-only", hint="make it writable")


def writable(settings: DuckDBSettings, target: str, catalog: str) -> Database:
    """The database of that name. Raises PublicationError: there is none, or nothing is published there."""
    found = settings.database(catalog)
    if found is None:
        names = [one.name for one in settings.databases if one.why_not is None]
        hint = f"databases that are published into: {', '.join(names)}; others are named under attach: of the profile"
        raise PublicationError(f"{target} cannot be written: there is no database {catalog}", hint=hint)
    if found.why_not is not None:
        said = f"{target} cannot be written: database {catalog} is {found.why_not}"
        raise PublicationError(said, hint=f"leave out database:, or make {catalog} a database that is written")
    return found


def check_target(work: Statements, how: Materialization, columns: Sequence[Column], records: Sequence[str]) -> None:
    """Inside ``warehouse()``. Raises PublicationError.

    Args:
        columns: of the query, lineage included.
        records: names of our own tables beside the target.
    """
    for name in records:
        place = replace(how.target, name=name)
        if work.kind(place) == "view":
            said = f"{place} is a view, and the run is recorded there"
            raise PublicationError(said, hint="give the view another name")
    check_constraints(work, how, columns)
    if how.merges and work.kind(how.target) == "table":
        agree(how, columns, work.describe(f"SELECT * FROM {how.target.sql()}"))
