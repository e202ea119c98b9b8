"""What the catalog builder asks: relations, columns, types. Reads the catalog functions of DuckDB, never the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlinfer.adapters.duckdb.names import SCRATCH, SIDE
from sqlinfer.adapters.duckdb.settings import DuckDBSettings
from sqlinfer.errors import ProjectError
from sqlinfer.relation import Relation, fold
from sqlinfer.spec.catalog import Column, Table, TableKind
from sqlinfer.spec.names import FILES
from sqlinfer.types import canonical

_RELATIONS = """
SELECT database_name, schema_name, table_name, 'table' FROM duckdb_tables() WHERE NOT internal
UNION ALL
SELECT database_name, schema_name, view_name, 'view' FROM duckdb_views() WHERE NOT internal
"""
_COLUMNS = """
SELECT database_name, schema_name, table_name, column_name, data_type
FROM duckdb_columns() WHERE NOT internal ORDER BY table_oid, column_index
"""


def list_relations(work: Any, settings: DuckDBSettings) -> tuple[Table, ...]:
    """``work`` is anything with ``rows``, the warehouse attached."""
    found = []
    native = fold(settings.catalog) if settings.default.file is not None else None
    for database, schema, name, kind in work.rows(_RELATIONS):
        if database in (SIDE, SCRATCH, FILES):
            continue
        known: TableKind = kind if kind == "view" or fold(database) == native else "foreign"
        found.append(Table(Relation(name, schema, database), (), known))
    return tuple(found)


def columns_of(
    work: Any, settings: DuckDBSettings, relations: Iterable[Relation]
) -> Mapping[Relation, tuple[Column, ...]]:
    wanted: dict[Relation, list[Relation]] = {}
    for relation in relations:
        full = Relation(
            relation.name, relation.schema or settings.schema, relation.catalog or settings.catalog
        ).folded()
        wanted.setdefault(full, []).append(relation)
    found: dict[Relation, list[Column]] = {}
    for database, schema, table, column, data_type in work.rows(_COLUMNS):
        for relation in wanted.get(Relation(table, schema, database).folded(), ()):
            found.setdefault(relation, []).append(Column(column, spelled(data_type)))
    return {relation: tuple(columns) for relation, columns in found.items()}


def spelled(data_type: str) -> str:
    """The canonical spelling; types that the parser does not know stay as DuckDB names them."""
    try:
        return canonical(data_type)
    except ProjectError:
        return data_type
