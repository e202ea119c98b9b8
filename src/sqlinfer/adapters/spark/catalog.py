"""What the catalog builder asks: relations, columns, types. Reads the session catalog, never the data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlinfer.adapters.spark.session import SparkSqlSession, name, table_name
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.errors import AdapterError
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Column, Table, TableKind

_BEHIND = "__v_"
VERSION = re.compile(rf"(?P<name>.+){_BEHIND}[0-9A-Za-z_]+")


def version_name(named: str, run: str) -> str:
    """The table behind a published view, one for each run that wrote it.

    >>> version_name("scores", "2026-03-01T02:00")
    'scores__v_2026_03_01t02_00'
    """
    return f"{named}{_BEHIND}{re.sub(r'[^0-9A-Za-z]', '_', run).lower()}"


def list_relations(session: SparkSqlSession, settings: SparkSettings) -> tuple[Table, ...]:
    """Tables and views of all schemas but ours. A view that we published over a table of ours is a table."""
    found: list[Table] = []
    for (schema,) in session.rows("SHOW SCHEMAS"):
        if schema.casefold() != settings.side_schema.casefold():
            found += _of_schema(session, schema)
    return tuple(found)


def _of_schema(session: SparkSqlSession, schema: str) -> list[Table]:
    listed = [row[1] for row in session.rows(f"SHOW TABLES IN {name(schema)}") if not row[2]]
    views = {row[1] for row in session.rows(f"SHOW VIEWS IN {name(schema)}") if not row[2]}
    versions = {one: found["name"] for one in listed if (found := VERSION.fullmatch(one)) and found["name"] in views}
    published = set(versions.values())
    kinds: dict[str, TableKind] = {
        one: "view" if one in views and one not in published else "table" for one in sorted(listed)
    }
    return [Table(Relation(one, schema), (), kind) for one, kind in kinds.items() if one not in versions]


def columns_of(
    session: SparkSqlSession, settings: SparkSettings, relations: Iterable[Relation]
) -> Mapping[Relation, tuple[Column, ...]]:
    answer = {}
    for relation in dict.fromkeys(relations):
        if (columns := columns_of_one(session, settings, relation)) is not None:
            answer[relation] = columns
    return answer


def columns_of_one(session: SparkSqlSession, settings: SparkSettings, relation: Relation) -> tuple[Column, ...] | None:
    """None: there is no such relation."""
    try:
        return session.describe(placed(settings, relation).query("spark"))
    except AdapterError as error:
        if getattr(error, "unknown_name", False):
            return None
        raise


def placed(settings: SparkSettings, relation: Relation) -> Relation:
    """With its schema."""
    return Relation(relation.name, relation.schema or settings.schema, relation.catalog)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalog holds of a relation."""

    is_view: bool
    query: str = ""
    """Of a view."""
    told: str = ""


def entry(session: SparkSqlSession, settings: SparkSettings, relation: Relation) -> Entry | None:
    """One question; None: there is no such relation."""
    place = placed(settings, relation)
    if session.is_scratch and place.schema == settings.side_schema:
        return Entry(True) if session.has_temporary(place.name) else None
    try:
        rows = session.rows(f"SHOW TABLE EXTENDED IN {name(place.schema or '')} LIKE {_like(place.name)}")
    except AdapterError as error:
        if getattr(error, "unknown_name", False):
            return None
        raise
    for _, named, is_temporary, told in rows:
        if named.casefold() == place.name.casefold() and not is_temporary:
            query = re.search(r"^View Text: (.*?)$(?=\n[A-Z][\w ]+:)", told, re.S | re.M)
            return Entry("\nType: VIEW" in told, query[1] if query else "", told)
    return None


def kind_of(session: SparkSqlSession, settings: SparkSettings, relation: Relation) -> TableKind | None:
    """``table``, ``view``; None: there is none. A published view of ours is a view here."""
    found = entry(session, settings, relation)
    return None if found is None else "view" if found.is_view else "table"


def drop_any(session: SparkSqlSession, settings: SparkSettings, relation: Relation) -> None:
    kind = kind_of(session, settings, relation)
    if kind is not None:  # a temporary view is dropped like any other
        session.execute(f"DROP {kind.upper()} IF EXISTS {table_name(placed(settings, relation))}")


def _like(named: str) -> str:
    """A pattern of Spark's, in which * and | have a meaning, and so have those of regular expressions."""
    return "'" + re.sub(r"[^0-9A-Za-z_]", ".", named) + "'"
