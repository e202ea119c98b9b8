"""An in-memory DuckDB of the same catalog name with empty tables: finds columns of relations that are not built yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb.catalog import spelled
from sqlinfer.adapters.duckdb.errors import translated
from sqlinfer.adapters.duckdb.result_names import result_names
from sqlinfer.adapters.duckdb.settings import DuckDBSettings
from sqlinfer.errors import AdapterError
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.catalog import Column, Macro
from sqlinfer.spec.names import FILES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace

_MACROS = """
SELECT function_name, schema_name, database_name, parameters, macro_definition, function_type = 'table_macro'
FROM duckdb_functions() WHERE NOT internal AND function_type IN ('macro', 'table_macro')
AND database_name NOT IN ('system', 'temp') ORDER BY function_oid
"""
_ENUMS = """
SELECT schema_name, type_name, labels FROM duckdb_types()
WHERE NOT internal AND logical_type = 'ENUM' AND database_name = current_database()
"""
_DESCRIBE = "DESCRIBE\n"
_QUERIES = ("SELECT", "MULTI")
"""MULTI is what DuckDB calls a PIVOT whose values it has to look up first."""


class DuckDBShadow:
    version: tuple[int, ...] = ()

    def __init__(self, work: DuckDBWorkspace, settings: DuckDBSettings) -> None:
        """Shares the DuckDB of ``work``, since starting one takes 10 ms. ``work`` has the warehouse attached, and must
        have let go of it, whose name is taken here, before the shadow is used."""
        self._settings = settings
        self._schemas = {("main", settings.catalog)}
        self._catalogs = {settings.catalog}
        self.types = work.rows(_ENUMS)
        self._defined: set[Relation] = set()
        self.macros = tuple(
            Macro(Relation(name, schema, database), tuple(parameters), definition, is_table)
            for name, schema, database, parameters, definition, is_table in work.rows(_MACROS)
        )
        self._kept = work.hand_over()
        self._ready = False

    def close(self) -> None:
        self._kept.close()

    @property
    def _connection(self) -> DuckDBPyConnection:
        if not self._ready:
            self._ready = True
            self._prepare()
        return self._kept

    def _prepare(self) -> None:
        full = f"{quote(self._settings.catalog)}.{quote(self._settings.schema)}"
        self._run(f"DETACH DATABASE IF EXISTS {quote(FILES)}")
        self._run(f"ATTACH ':memory:' AS {quote(self._settings.catalog)}")
        self._run(f"CREATE SCHEMA IF NOT EXISTS {full}")
        self._run(f"USE {full}")
        self._copy_definitions()

    def add_table(self, relation: Relation, columns: Iterable[Column]) -> None:
        full = self._place(relation)
        listed = ", ".join(f"{quote(column.name)} {column.data_type}" for column in columns)
        self._run(f"CREATE OR REPLACE TABLE {full.sql()} ({listed})")

    def add_view_as(self, relation: Relation, sql: str) -> tuple[Column, ...]:
        columns = self.describe(sql)
        self.add_table(relation, columns)
        return columns

    def describe(self, sql: str) -> tuple[Column, ...]:
        self._refuse_statements(sql)
        with translated(f"{_DESCRIBE}{sql}", lead=_DESCRIBE):
            rows = self._connection.execute(f"{_DESCRIBE}{sql}").fetchall()
        return tuple(Column(row[0], spelled(row[1])) for row in rows)

    def result_names(self, sql: str) -> Mapping[int, tuple[tuple[int, tuple[str | None, ...]], ...]]:
        return result_names(self._connection, sql)

    def _refuse_statements(self, sql: str) -> None:
        """One query, nothing else: DuckDB would run the statements before the last while describing it."""
        with translated(sql):
            found = [statement.type.name for statement in self._connection.extract_statements(sql)]
        if len(found) != 1:
            what = "holds several statements" if found else "is empty"
            raise AdapterError(f"the SQL {what}", hint="a model is one SELECT")
        if found[0] not in _QUERIES:
            raise AdapterError(f"a model is one SELECT, this is {found[0].replace('_', ' ')}")

    def _copy_definitions(self) -> None:
        """Macros and enum types of the real database. A macro that reads relations waits for them."""
        for schema, name, labels in self.types:
            values = ", ".join(literal(label) for label in labels)
            self._try(Relation(name, schema), f"CREATE TYPE {{}} AS ENUM ({values})")
        for macro in self.macros:
            self.define(macro)

    def define(self, macro: Macro) -> None:
        if macro.relation in self._defined:
            return
        same = [other for other in self.macros if other.relation == macro.relation]
        bodies = []
        for other in same:  # one name may have several numbers of parameters
            listed = ", ".join(quote(parameter) for parameter in other.parameters)
            bodies.append(f"({listed}) AS {f'TABLE {other.definition}' if other.is_table else f'({other.definition})'}")
        if self._try(macro.relation, f"CREATE OR REPLACE MACRO {{}}{', '.join(bodies)}"):
            self._defined.add(macro.relation)

    def tree(self, sql: str) -> str | None:
        with translated(sql):
            found = self._connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
        return str(found[0]) if found else None

    def text_of(self, tree: str) -> str:
        with translated():
            found = self._connection.execute("SELECT json_deserialize_sql(?::JSON)", [tree]).fetchone()
        return str(found[0]) if found else ""

    def remember(self, name: str, columns: tuple[Column, ...]) -> None:
        listed = ", ".join(f"{quote(column.name)} {column.data_type}" for column in columns)
        self._run(f"CREATE OR REPLACE TEMP TABLE {quote(name)} ({listed})")

    def _try(self, relation: Relation, template: str) -> bool:
        with suppress(AdapterError):
            self._run(template.replace("{}", self._place(relation).sql(), 1))
            return True
        return False

    def _place(self, relation: Relation) -> Relation:
        schema, catalog = relation.schema or self._settings.schema, relation.catalog or self._settings.catalog
        if catalog not in self._catalogs:
            self._run(f"ATTACH IF NOT EXISTS ':memory:' AS {quote(catalog)}")
            self._catalogs.add(catalog)
        if (schema, catalog) not in self._schemas:
            self._run(f"CREATE SCHEMA IF NOT EXISTS {quote(catalog)}.{quote(schema)}")
            self._schemas.add((schema, catalog))
        return Relation(relation.name, schema, catalog)

    def _run(self, sql: str) -> None:
        with translated(sql):
            self._connection.execute(sql)
