"""Empty temporary views in a session of their own: columns of relations that are not built yet. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlinfer.adapters.spark.renaming import renamed
from sqlinfer.adapters.spark.session import SparkSqlSession, name, text
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.adapters.spark.spelling import spelled
from sqlinfer.errors import AdapterError
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Column, Macro


class SparkShadow:
    """A relation of the profile's schema is a temporary view of its own name, one of another schema has a number."""

    macros: tuple[Macro, ...] = ()
    version: tuple[int, ...] = ()

    def __init__(self, session: SparkSqlSession, settings: SparkSettings) -> None:
        self._session = session
        self._settings = settings
        self._places: dict[Relation, str] = {}

    def add_table(self, relation: Relation, columns: Iterable[Column]) -> None:
        nulls = ", ".join(f"CAST(NULL AS {spelled(c.data_type)}) AS {name(c.name)}" for c in columns)
        place = name(self._place(relation))
        self._session.execute(f"CREATE OR REPLACE TEMPORARY VIEW {place} AS SELECT {nulls or text('')} LIMIT 0")

    def add_view_as(self, relation: Relation, sql: str) -> tuple[Column, ...]:
        columns = self.describe(sql)
        self.add_table(relation, columns)
        return columns

    def remember(self, named: str, columns: tuple[Column, ...]) -> None:
        self.add_table(Relation(named), columns)

    def describe(self, sql: str) -> tuple[Column, ...]:
        if not sql.strip().rstrip(";").strip():
            raise AdapterError("the SQL is empty", hint="a model is one SELECT")
        moved = renamed(sql, lambda found: self._places.get(self._full(found)))
        try:
            return self._session.describe(moved.sql)
        except AdapterError as error:
            error.location = moved.original(error.location, sql)
            raise

    def result_names(self, sql: str) -> Mapping[int, tuple[tuple[int, tuple[str | None, ...]], ...]]:
        return {}

    def define(self, macro: Macro) -> None:
        """Spark has functions instead, which are there."""

    def tree(self, sql: str) -> str | None:
        return None

    def text_of(self, tree: str) -> str:
        raise AdapterError("Spark writes no SQL of a parse tree")

    def _place(self, relation: Relation) -> str:
        full = self._full(relation)
        if full not in self._places:
            own = full.schema == self._settings.schema.casefold()
            self._places[full] = relation.name if own else f"sqlinfer_shadow_{len(self._places)}"
        return self._places[full]

    def _full(self, relation: Relation) -> Relation:
        return replace(relation, schema=relation.schema or self._settings.schema, catalog=None).folded()
