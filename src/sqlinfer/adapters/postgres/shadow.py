"""Empty temporary tables in a session of their own: columns of relations that are not built yet. Nothing is locked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlinfer.adapters.postgres.renaming import Text, renamed
from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.settings import PostgresSettings
from sqlinfer.adapters.postgres.types import spelled
from sqlinfer.errors import AdapterError, Location
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.catalog import Column, Macro

_TEMP = "pg_temp"


class PostgresShadow:
    """A relation of the profile's schema has its own name among the temporary tables, so that it is found without its
    schema too; one of another schema has a number."""

    macros: tuple[Macro, ...] = ()

    def __init__(self, session: PostgresSession, settings: PostgresSettings) -> None:
        self._session = session
        self._settings = settings
        self._places: dict[Relation, Relation] = {}
        number = int(session.value("SELECT current_setting('server_version_num')"))
        self.version: tuple[int, ...] = (number // 10000, number % 10000)

    def add_table(self, relation: Relation, columns: Iterable[Column]) -> None:
        place = self._place(relation)
        listed = ", ".join(f"{quote(c.name)} {spelled(c.data_type)}" for c in columns)
        name = place.sql()
        with self._session.transaction():
            self._session.execute(f"DROP TABLE IF EXISTS {name}")
            self._session.execute(f"CREATE TABLE {name} ({listed})")

    def add_view_as(self, relation: Relation, sql: str) -> tuple[Column, ...]:
        columns = self.describe(sql)
        self.add_table(relation, columns)
        return columns

    def remember(self, name: str, columns: tuple[Column, ...]) -> None:
        self.add_table(Relation(name), columns)

    def describe(self, sql: str) -> tuple[Column, ...]:
        text = renamed(sql, self._settings.database, lambda found: self._places.get(self._full(found)))
        if not sql.strip().rstrip(";").strip():
            raise AdapterError("the SQL is empty", hint="a model is one SELECT")
        try:
            return self._session.describe(text.sql)
        except AdapterError as error:
            error.location = _moved(error.location, text, sql)
            raise

    def result_names(self, sql: str) -> Mapping[int, tuple[tuple[int, tuple[str | None, ...]], ...]]:
        return {}

    def define(self, macro: Macro) -> None:
        """PostgreSQL has functions instead, which are there."""

    def tree(self, sql: str) -> str | None:
        return None

    def text_of(self, tree: str) -> str:
        raise AdapterError("PostgreSQL writes no SQL of a parse tree")

    def _place(self, relation: Relation) -> Relation:
        full = self._full(relation)
        if full not in self._places:
            own = full.schema == self._settings.schema
            name = full.name if own else f"sqlinfer_shadow_{len(self._places)}"
            self._places[full] = Relation(name, _TEMP)
        return self._places[full]

    def _full(self, relation: Relation) -> Relation:
        return replace(relation, schema=relation.schema or self._settings.schema, catalog=None)


def _moved(place: Location | None, text: Text, original: str) -> Location | None:
    if place is None or place.line is None or place.column is None:
        return place
    at = sum(len(line) for line in text.sql.splitlines(keepends=True)[: place.line - 1]) + place.column - 1
    start, end = text.before(at), text.before(at + place.length)
    return Location.in_source(original, start, max(end, start + 1))
