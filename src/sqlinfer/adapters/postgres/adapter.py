"""The PostgreSQL adapter: settings plus ways to open sessions and workspaces. Holds no connection itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import Check, Reads
from sqlinfer.adapters.postgres.catalog import columns_of, list_relations
from sqlinfer.adapters.postgres.checks import checks
from sqlinfer.adapters.postgres.lock import TargetLock
from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.settings import PostgresSettings
from sqlinfer.adapters.postgres.shadow import PostgresShadow
from sqlinfer.adapters.postgres.workspace import PostgresWorkspace
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Column, Table

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class PostgresAdapter:
    settings: PostgresSettings
    type: str = "postgres"
    dialect: str = "postgres"
    _visits: list[PostgresSession] = field(default_factory=list, compare=False, repr=False)

    @classmethod
    def from_settings(cls, raw: Mapping[str, object], root: Path) -> PostgresAdapter:
        """``root`` is not needed: paths of certificates are libpq's own."""
        return cls(PostgresSettings.parse(raw))

    @property
    def default(self) -> Relation:
        return self.settings.default

    @property
    def namespace(self) -> Relation:
        return self.settings.namespace

    def stamp(self) -> None:
        return None

    def limited_to(self, reads: Reads) -> PostgresAdapter:
        return self

    def checks(self) -> Iterator[Check]:
        return checks(self.settings)

    def list_relations(self) -> tuple[Table, ...]:
        with self._session() as session:
            return list_relations(session, self.settings)

    def columns(self, relations: Iterable[Relation]) -> Mapping[Relation, tuple[Column, ...]]:
        with self._session() as session:
            return columns_of(session, self.settings, relations)

    def describe(self, sql: str) -> tuple[Column, ...]:
        with self._session() as session:
            return session.describe(sql)

    def query(self, sql: str) -> pa.Table:
        with self._session() as session:
            return session.table(sql, plain=True)

    @contextmanager
    def shadow(self) -> Iterator[PostgresShadow]:
        """A session of its own, whose temporary tables end with it."""
        with PostgresSession(self.settings) as session:
            yield PostgresShadow(session, self.settings)

    def claim(self, run_id: str) -> TargetLock:
        return TargetLock(self.settings, run_id)

    def workspace(self, run_id: str, claim: TargetLock | None = None) -> PostgresWorkspace:
        return PostgresWorkspace(self.settings, run_id, claim=claim)

    def scratch(self) -> PostgresWorkspace:
        return PostgresWorkspace(self.settings, "scratch", persistent=False)

    @contextmanager
    def visit(self) -> Iterator[None]:
        with self._session() as session:
            self._visits.append(session)
            try:
                yield
            finally:
                self._visits.pop()

    @contextmanager
    def _session(self) -> Iterator[PostgresSession]:
        if self._visits:
            yield self._visits[-1]
            return
        with PostgresSession(self.settings) as session:
            yield session
