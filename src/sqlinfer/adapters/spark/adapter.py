"""The Spark adapter: settings plus ways to open sessions and workspaces. Starts no JVM by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import Check, Reads
from sqlinfer.adapters.spark.catalog import columns_of, list_relations
from sqlinfer.adapters.spark.checks import checks
from sqlinfer.adapters.spark.lock import TargetLock
from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.adapters.spark.shadow import SparkShadow
from sqlinfer.adapters.spark.workspace import SparkWorkspace
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Column, Table

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class SparkAdapter:
    settings: SparkSettings
    type: str = "spark"
    dialect: str = "spark"
    _visits: list[SparkSqlSession] = field(default_factory=list, compare=False, repr=False)

    @classmethod
    def from_settings(cls, raw: Mapping[str, object], root: Path) -> SparkAdapter:
        return cls(SparkSettings.parse(raw, root))

    @property
    def default(self) -> Relation:
        return self.settings.default

    @property
    def namespace(self) -> Relation:
        return self.settings.namespace

    def stamp(self) -> None:
        return None

    def limited_to(self, reads: Reads) -> SparkAdapter:
        return self

    def checks(self) -> Iterator[Check]:
        return checks(self.settings)

    def list_relations(self) -> tuple[Table, ...]:
        with self._asking() as session:
            return list_relations(session, self.settings)

    def columns(self, relations: Iterable[Relation]) -> Mapping[Relation, tuple[Column, ...]]:
        with self._asking() as session:
            return columns_of(session, self.settings, relations)

    def describe(self, sql: str) -> tuple[Column, ...]:
        with self._asking() as session:
            return session.describe(sql)

    def query(self, sql: str) -> pa.Table:
        with self._asking() as session:
            return session.table(sql)

    @contextmanager
    def shadow(self) -> Iterator[SparkShadow]:
        """A session of its own, whose temporary views end with it."""
        with SparkSqlSession(self.settings) as session:
            yield SparkShadow(session, self.settings)

    def claim(self, run_id: str) -> TargetLock:
        return TargetLock(self.settings, run_id)

    def workspace(self, run_id: str, claim: TargetLock | None = None) -> SparkWorkspace:
        return SparkWorkspace(self.settings, run_id, claim=claim)

    def scratch(self) -> SparkWorkspace:
        return SparkWorkspace(self.settings, "scratch", persistent=False)

    @contextmanager
    def visit(self) -> Iterator[None]:
        with self._asking() as session:
            self._visits.append(session)
            try:
                yield
            finally:
                self._visits.pop()

    @contextmanager
    def _asking(self) -> Iterator[SparkSqlSession]:
        if self._visits:
            yield self._visits[-1]
            return
        with SparkSqlSession(self.settings) as session:
            yield session
