"""The schema of ours: stages, stores, error records, notes, and who works here. Made by the first run."""

from __future__ import annotations

from sqlinfer.adapters.spark.session import SparkSqlSession, name
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.errors import AdapterError
from sqlinfer.relation import Relation


def relation(settings: SparkSettings, named: str) -> Relation:
    """A relation of ours."""
    return Relation(named, settings.side_schema)


def make_schema(session: SparkSqlSession, schema: str) -> None:
    """``IF NOT EXISTS`` alone would want the right to create one that is there."""
    if has_schema(session, schema):
        return
    try:
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {name(schema)}")
    except AdapterError as error:
        raise AdapterError(f"schema {schema} cannot be made: {error.message}",
                           hint="let an owner of the catalog create it") from error  # fmt: skip


def has_schema(session: SparkSqlSession, schema: str) -> bool:
    return any(one.casefold() == schema.casefold() for (one,) in session.rows("SHOW SCHEMAS"))
