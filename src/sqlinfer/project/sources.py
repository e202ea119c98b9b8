"""Tables of ``sources:`` → Source. A table's own settings win over those of the source that holds it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sqlinfer.errors import SqlinferError
from sqlinfer.project.properties import DescribedTable
from sqlinfer.project.schema import FreshnessProps, SourceProps, TableProps, Threshold
from sqlinfer.project.values import Freshness, Project, Source
from sqlinfer.relation import Relation
from sqlinfer.spec.names import FILES
from sqlinfer.storage import Access, is_url


def source_of(project: Project, name: tuple[str, str], entry: DescribedTable) -> Source:
    outer, table = entry.source, entry.table
    place = _place(project, entry)
    relation = Relation(table.identifier or table.name, outer.schema_ or outer.name,
                        FILES if place else outer.database or project.profile.database)  # fmt: skip
    levels = (outer, outer.config, table, table.config)
    tags = [tag for level in levels if level is not None for tag in level.tags or ()]
    meta = {key: value for level in levels if level is not None for key, value in (level.meta or {}).items()}
    return Source(
        f"source.{project.name}.{name[0]}.{name[1]}", name[0], name[1], relation,
        table.description or outer.description, tags=tuple(dict.fromkeys(tags)), meta=meta,
        location=entry.file.locate((*entry.keys, "name"), value=True), fqn=(project.name, *name),
        freshness=freshness(entry), event_time=_event_time(table, outer), place=place,
    )  # fmt: skip


def _place(project: Project, entry: DescribedTable) -> str | None:
    """Where the rows of a source lie as Parquet: ``external: {location: …}`` of the table, or dbt-duckdb's
    ``external_location`` in ``meta:`` or ``config:``. None: in the database.

    Raises:
        ProjectError: the place cannot be opened.
    """
    if project.profile.type != "duckdb":
        return None
    table, outer = entry.table, entry.source
    given = _location(table) or _location(outer)
    if given is None or re.match(r"\s*\w+\s*\(", given):  # a call of DuckDB's, for dbt alone
        return None
    name = given.replace("{name}", table.name).replace("{identifier}", table.identifier or table.name)
    if is_url(name):
        try:
            Access().checked(name)
        except SqlinferError as error:
            raise entry.file.error(f"'{outer.name}.{table.name}': {error.message}", (*entry.keys, "name"), value=True,
                                   hint=error.hint) from error  # fmt: skip
        return name
    end = "/" if name.endswith("/") else ""
    return str(project.root / Path(name).expanduser()) + end


def _location(props: SourceProps | TableProps) -> str | None:
    external = props.external if isinstance(props, TableProps) else None
    if isinstance(external, Mapping) and isinstance(external.get("location"), str):
        return str(external["location"])
    config = props.config
    for meta in (config.meta if config is not None else None, props.meta):
        if meta and isinstance(meta.get("external_location"), str):
            return str(meta["external_location"])
    return config.external_location if config is not None else None


def _event_time(*owners: SourceProps | TableProps) -> str | None:
    found = next((one.config.event_time for one in owners if one.config is not None and one.config.event_time), None)
    return str(found) if found else None


def freshness(entry: DescribedTable) -> Freshness | None:
    """dbt's rule: each limit of the table, else of the source; ``freshness: null`` turns it off for a table.

    Raises:
        ProjectError: two ways to the time of loading.
    """
    outer, table = entry.source, entry.table
    below = _given(table)
    if below is not None and below[0] is None:
        return None
    above = _given(outer)
    levels = [one[0] for one in (below, above) if one is not None and one[0] is not None]
    if not levels:
        return None
    field, query = _loaded_at(entry, table, outer)
    chosen = next((one.filter for one in levels if one.filter), None)
    if query and chosen:
        raise entry.file.error(f"'filter' of '{outer.name}.{table.name}' does not go with loaded_at_query",
                               (*entry.keys, "name"), value=True, hint="write it into the query")  # fmt: skip
    return Freshness(
        _first(*(_limit(one.warn_after) for one in levels)),
        _first(*(_limit(one.error_after) for one in levels)),
        chosen, field, query,
    )  # fmt: skip


def _given(props: SourceProps | TableProps) -> tuple[FreshnessProps | None] | None:
    """What is said about freshness, under ``config:`` or beside it; None where nothing is said."""
    for level in (props.config, props):
        if level is not None and "freshness" in level.model_fields_set:
            return (level.freshness,)
    return None


def _loaded_at(entry: DescribedTable, *owners: SourceProps | TableProps) -> tuple[str | None, str | None]:
    """The field or the query of the innermost level that names one."""
    for props in owners:
        levels = [level for level in (props.config, props) if level is not None]
        field = next((level.loaded_at_field for level in levels if level.loaded_at_field), None)
        query = next((level.loaded_at_query for level in levels if level.loaded_at_query), None)
        if field and query:
            raise entry.file.error(f"'{props.name}' has loaded_at_field and loaded_at_query",
                                   (*entry.keys, "name"), value=True, hint="leave one of them out")  # fmt: skip
        if field or query:
            return field, query
    return None, None


def _first(*limits: tuple[int, str] | None) -> tuple[int, str] | None:
    return next((limit for limit in limits if limit is not None), None)


def _limit(given: Threshold | None) -> tuple[int, str] | None:
    return (given.count, given.period) if given is not None else None
