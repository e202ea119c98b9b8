"""The DuckDB adapter: settings plus ways to open workspaces. Holds no connection itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import Check, Reads
from sqlinfer.adapters.duckdb.catalog import columns_of, list_relations, spelled
from sqlinfer.adapters.duckdb.lock import TargetLock
from sqlinfer.adapters.duckdb.settings import DuckDBSettings
from sqlinfer.adapters.duckdb.shadow import DuckDBShadow
from sqlinfer.adapters.duckdb.side_file import refuse_closed
from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace, claim_of
from sqlinfer.errors import SqlinferError
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Column, Table
from sqlinfer.spec.names import NAMESPACE

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.adapters.duckdb.bucket_state import BucketState


@dataclass(frozen=True, slots=True)
class DuckDBAdapter:
    settings: DuckDBSettings
    lock_wait: float = 10.0
    """Seconds to wait for a writer to leave before the database is read."""
    type: str = "duckdb"
    dialect: str = "duckdb"
    namespace: Relation = NAMESPACE
    _visits: list[DuckDBWorkspace] = field(default_factory=list, compare=False, repr=False)

    @classmethod
    def from_settings(cls, raw: Mapping[str, object], root: Path) -> DuckDBAdapter:
        return cls(DuckDBSettings.parse(raw, root))

    def stamp(self) -> object:
        """Size and time of the databases and their write-ahead logs. None where one is not a file of this machine."""
        found = []
        for database in self.settings.databases:
            if database.file is None:
                return None
            for path in (database.file, database.file.with_name(database.file.name + ".wal")):
                with suppress(OSError):
                    state = path.stat()
                    found.append((str(path), state.st_mtime_ns, state.st_size, state.st_ino))
        return tuple(found)

    def limited_to(self, reads: Reads) -> DuckDBAdapter:
        return replace(self, settings=replace(self.settings, reads=reads))

    @property
    def default(self) -> Relation:
        return Relation("", self.settings.schema, self.settings.catalog)

    def checks(self) -> Iterator[Check]:
        """Where the store lies. (``check_place`` says before anything is scored which database cannot be written.)"""
        place = self.settings.place
        try:
            if place.folder is not None:
                place.folder.below("state.json").read()
            else:
                refuse_closed(place, make=False)
            where = place.side if place.folder is None else place.folder.url
            yield Check("state", True, str(where))
        except SqlinferError as error:
            yield Check("state", False, str(error))

    def list_relations(self) -> tuple[Table, ...]:
        with self._reading() as work:
            return list_relations(work, self.settings)

    def columns(self, relations: Iterable[Relation]) -> Mapping[Relation, tuple[Column, ...]]:
        with self._reading() as work:
            return columns_of(work, self.settings, relations)

    def describe(self, sql: str) -> tuple[Column, ...]:
        with self._reading() as work:
            return tuple(Column(column.name, spelled(column.data_type)) for column in work.describe(sql))

    def query(self, sql: str) -> pa.Table:
        with self._reading() as work, work.reader(sql, plain=True) as reader:
            return reader.read_all()

    @contextmanager
    def shadow(self) -> Iterator[DuckDBShadow]:
        with self._reading() as work:
            shadow = DuckDBShadow(work, self.settings)
        try:
            yield shadow
        finally:
            shadow.close()

    def claim(self, run_id: str) -> TargetLock | BucketState:
        return claim_of(self.settings, run_id)

    def workspace(self, run_id: str, claim: TargetLock | BucketState | None = None) -> DuckDBWorkspace:
        return DuckDBWorkspace(self.settings, run_id, lock_wait=self.lock_wait, claim=claim)

    def scratch(self) -> DuckDBWorkspace:
        return DuckDBWorkspace(self.settings, "scratch", persistent=False, lock_wait=self.lock_wait)

    @contextmanager
    def visit(self) -> Iterator[None]:
        with self._reading() as work:
            self._visits.append(work)
            try:
                yield
            finally:
                self._visits.pop()

    @contextmanager
    def _reading(self) -> Iterator[DuckDBWorkspace]:
        if self._visits:
            yield self._visits[-1]
            return
        with self.scratch() as work, work.warehouse():
            yield work
