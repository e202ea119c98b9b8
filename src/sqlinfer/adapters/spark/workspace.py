"""The working place of one target: a session of Spark, the lock, a schema of ours beside the published one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from sqlinfer.adapters.base import Held, Materialization, Written
from sqlinfer.adapters.shared import queries
from sqlinfer.adapters.shared.compaction import compact
from sqlinfer.adapters.spark import inputs, keeping, notes, records, side
from sqlinfer.adapters.spark.catalog import kind_of
from sqlinfer.adapters.spark.checks import refuse_without_executors
from sqlinfer.adapters.spark.key_sets import SparkKeySets
from sqlinfer.adapters.spark.lock import TargetLock
from sqlinfer.adapters.spark.materialize import materialize
from sqlinfer.adapters.spark.outcome import outcome
from sqlinfer.adapters.spark.preflight import check_place, check_target
from sqlinfer.adapters.spark.publication import Pending
from sqlinfer.adapters.spark.scoring import SparkScoring
from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.errors import RunError
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.names import NoteKind
from sqlinfer.spec.plan import Call, Owner, Plan
from sqlinfer.spec.records import PastRun, RecordKind
from sqlinfer.spec.session import READ_ROWS

if TYPE_CHECKING:
    import pyarrow as pa


class SparkWorkspace(SparkScoring):
    def __init__(
        self, settings: SparkSettings, run_id: str, *, persistent: bool = True, claim: TargetLock | None = None
    ) -> None:
        self.run_id = run_id
        self.dialect = "spark"
        self.persistent = persistent
        self.warnings: list[str] = []
        self.cancel: threading.Event | None = None
        self.settings = settings
        self._claimed = claim is not None
        self._lock = claim if claim is not None else TargetLock(settings, run_id)
        self._own: SparkSqlSession | None = None
        """Of a scratch workspace, which locks nothing."""
        self._depth = 0
        self._pending: Pending | None = None

        self.prepare_scoring()

    def __enter__(self) -> Self:
        if not self.persistent:
            self._own = SparkSqlSession(self.settings, scratch=True)
        elif not self._claimed:
            self._lock.acquire()
        else:
            self._lock.check()
        refuse_without_executors(self.session, self.settings)
        return self

    def __exit__(self, *_: object) -> None:
        if self._own is not None:
            self._own.__exit__()
        elif not self._claimed:
            self._lock.release()

    @property
    def session(self) -> SparkSqlSession:
        return self._own if self._own is not None else self._lock.session

    @property
    def namespace(self) -> Relation:
        return self.settings.namespace

    @property
    def place(self) -> str:
        return f"schema {self.settings.schema} of {self.settings.place}"

    # questions

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.session.rows(sql)

    def sample(self, sql: str, columns: Sequence[str], rows: int) -> list[tuple[Any, ...]]:
        return self.session.rows(queries.sample(columns, sql, rows, self.dialect))

    def describe(self, sql: str) -> tuple[Column, ...]:
        return self.session.describe(sql)

    def header(self, sql: str) -> tuple[str, ...]:
        with self.reader(queries.first_rows(sql, 0), plain=True) as reader:
            return tuple(reader.schema.names)

    def has(self, relation: Relation) -> bool:
        return kind_of(self.session, self.settings, relation) is not None

    def estimate(self, sql: str) -> int | None:
        """Spark's statistics are sizes in bytes."""
        return None

    @contextmanager
    def reader(self, sql: str, rows: int = READ_ROWS, *, plain: bool = False) -> Iterator[pa.RecordBatchReader]:
        with self.session.reader(sql, rows) as reader:
            yield reader

    # the warehouse

    @contextmanager
    def warehouse(self, *, brief: bool = False) -> Iterator[None]:
        """Tables of ours stand still behind their views; of others Spark has no snapshot."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def see_files(self, sql: str) -> None:
        """Files are no relations on Spark."""

    @contextmanager
    def publishing(self, timeout: float, into: Relation | None = None) -> Iterator[None]:
        if self._depth or self._pending is not None:
            raise RunError("publication asked for while the warehouse is being read")
        if self.persistent:
            self._lock.check()
        self._pending = pending = Pending(self.session, self.settings, self.run_id)
        try:
            yield
            if self.persistent:
                self._lock.check()
            self.session.renamed.clear()
            pending.commit()
        except BaseException:
            self.session.renamed.clear()
            pending.undo()
            raise
        finally:
            self._pending = None

    @contextmanager
    def writing(self, timeout: float, into: Relation | None = None) -> Iterator[None]:
        if self.persistent:
            self._lock.check()
        yield

    def linger(self, allowed: bool) -> None:
        """Its session keeps nobody out."""

    def run_statement(self, sql: str) -> None:
        """Inside a publication it waits for its turn in what is shown."""
        if self._pending is None:
            self.session.execute(sql)
        else:
            self._pending.shows.append(lambda: self.session.execute(sql))

    # publication

    def materialize(self, how: Materialization, sql: str) -> Written:
        return materialize(self._publication, how, sql)

    def make_place(self, target: Relation) -> None:
        if side.make_schema(self.session, target.schema or self.settings.schema):
            self.session.use_schema()

    def check_place(self, how: Materialization) -> None:
        check_place(self.settings, how)

    def check_target(self, how: Materialization, columns: Sequence[Column], names: Sequence[str]) -> None:
        if how.indexes:
            self.warnings.append(
                f"{how.target}: tables of Parquet have no indexes; those of the node's config are left out"
            )
        check_target(self.session, self.settings, how, columns, names)

    def outcome(self, how: Materialization, sql: str) -> str | None:
        return outcome(self.session, self.settings, how, sql)

    def record(self, kind: RecordKind, target: Relation, rows: Sequence[Mapping[str, object]]) -> None:
        records.record(self._publication, kind, target, rows)

    def record_errors(self, how: Materialization, sql: str, owner: Owner, *, failed: bool) -> None:
        records.record_errors(self._publication, how, sql, owner, failed=failed)

    def last_run(self, target: Relation, node: str, *, since: datetime | None = None) -> PastRun | None:
        if self._pending is not None and not self._pending.records:
            records.redo(self._pending, target)
        return records.last_run(self.session, self.settings, target, node, since, self._pending)

    @property
    def _publication(self) -> Pending:
        if self._pending is None:
            raise RunError("nothing is published outside of a publication")
        return self._pending

    # what is kept

    def hold(self, plan: Plan, sql: str, *, again: bool, tested: bool) -> Held:
        return keeping.hold(self, plan, sql, again=again, tested=tested)

    def keep(self, held: Held) -> Held:
        return keeping.keep(self, held)

    def load(self, name: str, table: pa.Table, types: Mapping[str, str]) -> Relation:
        return keeping.load(self, name, table, types)

    def compact(self, plan: Plan, *, is_slice: bool) -> None:
        compact(self, SparkKeySets(self), plan, is_slice=is_slice)

    def clear(self, owner: Owner) -> None:
        keeping.clear(self, owner)

    def release(self) -> None:
        """Nothing is kept in memory."""

    # kept inputs

    def keep_inputs(self, name: str, sql: str) -> None:
        inputs.keep(self, name, sql)

    def drop_inputs(self, name: str) -> None:
        inputs.drop(self, name)

    def kept_inputs(self, name: str) -> Relation | None:
        return inputs.kept(self, name)

    def scoring_times(self, call: Call) -> Relation | None:
        return inputs.times(self, call)

    def scoring_span(self, call: Call) -> tuple[float, float] | None:
        return inputs.span(self, call)

    # notes

    def note(self, kind: NoteKind, name: str, payload: Mapping[str, Any] | None) -> None:
        if not self.persistent:
            return
        if self.holding is not None:
            self.holding.held.append((kind, name, payload))
        elif self._pending is None:
            notes.write(self.session, self.settings, kind, name, payload)
        else:
            self._pending.late.append(lambda: notes.write(self.session, self.settings, kind, name, payload))

    def notes(self, kind: NoteKind) -> dict[str, dict[str, Any]]:
        return notes.read(self.session, self.settings, kind) if self.persistent else {}
