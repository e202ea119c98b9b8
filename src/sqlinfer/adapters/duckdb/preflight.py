"""What is sure to make a publication fail, found before anything is scored."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.duckdb.constraints import check_constraints
from sqlinfer.adapters.duckdb.settings import DuckDBSettings
from sqlinfer.adapters.duckdb.statements import Statements
from sqlinfer.adapters.schema_change import agree
from sqlinfer.errors import PublicationError
from sqlinfer.spec.catalog import Column

_SYSTEM = ("information_schema", "pg_catalog")


def check_place(settings: DuckDBSettings, how: Materialization) -> None:
    """Without a look into the database. Raises PublicationError."""
    target, own = how.target, settings.catalog
    catalog, schema = target.catalog or own, target.schema or settings.schema
    if catalog.casefold() != own.casefold():
        _refuse_catalog(settings, how, catalog)
    if schema.casefold() in _SYSTEM:
        said = f"{target} cannot be written: {schema} is the warehouse's own"
        raise PublicationError(said, hint="set another schema")
    path = settings.path
    closed = next((one for one in (path, path.parent) if one.exists() and not os.access(one, os.W_OK)), None)
    if closed is not None:
        what = "file" if closed == path else "folder"
        raise PublicationError(f"{target} cannot be written: the {what} {closed} is read-only", hint="make it writable")


def _refuse_catalog(settings: DuckDBSettings, how: Materialization, catalog: str) -> None:
    attached = next((one for one in settings.attach if one.catalog.casefold() == catalog.casefold()), None)
    own = f"sqlinfer publishes into the database of the profile's path, which is {settings.catalog}"
    if attached is None:
        raise PublicationError(f"{how.target} cannot be written: there is no database {catalog}", hint=own)
    kind = f"of type {attached.type}, " if attached.type not in (None, "duckdb") else ""
    said = f"{how.target} cannot be written: database {catalog} is {kind}attached for reading"
    raise PublicationError(said, hint=f"{own}; leave out database:, or make {catalog} the path of a target")


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
