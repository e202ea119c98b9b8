"""The working place of one target: sessions of Spark, a schema of ours beside the published one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from sqlinfer.adapters.shared import queries
from sqlinfer.adapters.spark import side
from sqlinfer.adapters.spark.catalog import kind_of
from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.session import READ_ROWS

if TYPE_CHECKING:
    import pyarrow as pa


class SparkWorkspace:
    def __init__(self, settings: SparkSettings, run_id: str, *, persistent: bool = True) -> None:
        self.run_id = run_id
        self.dialect = "spark"
        self.persistent = persistent
        self.warnings: list[str] = []
        self.cancel: threading.Event | None = None
        self.settings = settings
        self._session: SparkSqlSession | None = None

    def __enter__(self) -> Self:
        self._session = SparkSqlSession(self.settings)
        if self.persistent:
            side.make_schema(self._session, self.settings.side_schema)
        return self

    def __exit__(self, *_: object) -> None:
        self._session = None

    @property
    def session(self) -> SparkSqlSession:
        assert self._session is not None, "the workspace is not open"
        return self._session

    @property
    def namespace(self) -> Relation:
        return self.settings.namespace

    @property
    def place(self) -> str:
        return f"schema {self.settings.schema} of {self.settings.place}"

    # questions

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.session.rows(sql)

    def sample(self, sql: str, columns: Sequence[str], share: float) -> list[tuple[Any, ...]]:
        return self.session.rows(queries.sample(columns, sql, share, self.dialect))

    def describe(self, sql: str) -> tuple[Column, ...]:
        return self.session.describe(sql)

    def has(self, relation: Relation) -> bool:
        return kind_of(self.session, self.settings, relation) is not None

    def estimate(self, sql: str) -> int | None:
        return None

    @contextmanager
    def reader(self, sql: str, rows: int = READ_ROWS, *, plain: bool = False) -> Iterator[pa.RecordBatchReader]:
        with self.session.reader(sql, rows) as reader:
            yield reader
