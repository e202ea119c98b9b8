"""What the catalog builder asks: relations, columns, types. Reads the session catalog, never the data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from sqlinfer.adapters.spark.known import Entry
from sqlinfer.adapters.spark.session import SparkSqlSession, name, table_name, text
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
    listed = asked(session, schema)
    views = {one for one, found in listed.items() if found.is_view}
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


def named_like(session: SparkSqlSession, schema: str, pattern: str) -> list[str]:
    """Tables and views of a schema, in the catalog's spelling. ``pattern``: ``*`` is anything, ``|`` parts several."""
    known = _known(session, schema)
    if known is None:
        return asked_like(session, schema, pattern)
    wanted = re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\|", "|"), re.IGNORECASE)
    return [one for one in known if wanted.fullmatch(one)]


def asked_like(session: SparkSqlSession, schema: str, pattern: str) -> list[str]:
    """As ``named_like``, of the catalog in any case: others may have been there."""
    return [row[1] for row in session.rows(f"SHOW TABLES IN {name(schema)} LIKE {text(pattern)}") if not row[2]]


def asked(session: SparkSqlSession, schema: str) -> dict[str, Entry]:
    """All of a schema, without the queries of views."""
    found = asked_like(session, schema, "*")
    if not found:
        return {}
    views = {row[1] for row in session.rows(f"SHOW VIEWS IN {name(schema)}") if not row[2]}
    return {one: Entry(one in views) for one in found}


def _known(session: SparkSqlSession, schema: str | None) -> dict[str, Entry] | None:
    """What need not be asked for. None: it does."""
    known = session.known
    if known is None or session.is_scratch or not known.covers(schema):
        return None
    if known.entries is None:
        known.entries = {one.casefold(): found for one, found in asked(session, known.schema).items()}
    return known.entries


def entry(session: SparkSqlSession, settings: SparkSettings, relation: Relation) -> Entry | None:
    """None: there is no such relation."""
    return entries(session, settings, (relation,)).get(relation)


def entries(session: SparkSqlSession, settings: SparkSettings, relations: Iterable[Relation]) -> dict[Relation, Entry]:
    """Of those relations that are there, which are of one schema: one question."""
    places = {one: placed(settings, one) for one in relations}
    schema = next((one.schema or "" for one in places.values()), "")
    if session.is_scratch and schema == settings.side_schema:
        return {one: Entry(True) for one, place in places.items() if session.has_temporary(place.name)}
    known = _known(session, schema)
    if known is None:
        found = _extended(session, schema, [place.name for place in places.values()])
        return {one: found[place.name.casefold()] for one, place in places.items() if place.name.casefold() in found}
    there = {one: place.name.casefold() for one, place in places.items() if place.name.casefold() in known}
    lacking = [one for one in there.values() if known[one].is_view and not known[one].query]
    known |= _extended(session, schema, lacking)
    return {one: known[named] for one, named in there.items() if named in known}


def _extended(session: SparkSqlSession, schema: str, wanted: Iterable[str]) -> dict[str, Entry]:
    """By name, in lower case."""
    lowered = {one.casefold() for one in wanted}
    if not lowered:
        return {}
    try:
        pattern = "|".join(map(_like, sorted(lowered)))
        rows = session.rows(f"SHOW TABLE EXTENDED IN {name(schema)} LIKE '{pattern}'")
    except AdapterError as error:
        if getattr(error, "unknown_name", False):
            return {}
        raise
    return {
        named.casefold(): Entry("\nType: VIEW" in told, _query(told))
        for _, named, is_temporary, told in rows
        if named.casefold() in lowered and not is_temporary
    }


def _query(told: str) -> str:
    found = re.search(r"^View Text: (.*?)$(?=\n[A-Z][\w ]+:)", told, re.S | re.M)
    return found[1] if found else ""


def kind_of(session: SparkSqlSession, settings: SparkSettings, relation: Relation) -> TableKind | None:
    """``table``, ``view``; None: there is none. A published view of ours is a view here."""
    place = placed(settings, relation)
    known = _known(session, place.schema)
    found = entry(session, settings, relation) if known is None else known.get(place.name.casefold())
    return None if found is None else "view" if found.is_view else "table"


def drop_any(session: SparkSqlSession, settings: SparkSettings, relation: Relation) -> None:
    kind = kind_of(session, settings, relation)
    if kind is not None:  # a temporary view is dropped like any other
        session.execute(f"DROP {kind.upper()} IF EXISTS {table_name(placed(settings, relation))}")


def _like(named: str) -> str:
    """A pattern of Spark's, in which * and | have a meaning, and so have those of regular expressions."""
    return re.sub(r"[^0-9A-Za-z_]", ".", named)
