"""The working place of one target: a session that holds its lock, a schema of ours beside the published one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from sqlinfer.adapters.base import Forecast, Held, Materialization, PinOptions, Written
from sqlinfer.adapters.postgres import error_log, inputs, keeping, records, side
from sqlinfer.adapters.postgres.catalog import kind_of
from sqlinfer.adapters.postgres.find import count, find, unscored
from sqlinfer.adapters.postgres.forecast import forecast
from sqlinfer.adapters.postgres.key_sets import PostgresKeySets
from sqlinfer.adapters.postgres.lock import TargetLock
from sqlinfer.adapters.postgres.look_up import look_up, refuse_emptied
from sqlinfer.adapters.postgres.materialize import materialize
from sqlinfer.adapters.postgres.outcome import outcome
from sqlinfer.adapters.postgres.pin import pin
from sqlinfer.adapters.postgres.pinned import PostgresPinned, PostgresTodo
from sqlinfer.adapters.postgres.preflight import check_place, check_target
from sqlinfer.adapters.postgres.score import score
from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.settings import PostgresSettings
from sqlinfer.adapters.postgres.store import StoreTable, forget_errors
from sqlinfer.adapters.shared import queries
from sqlinfer.adapters.shared.compaction import compact
from sqlinfer.errors import AdapterError, RunError
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.names import NoteKind
from sqlinfer.spec.outcome import Reason
from sqlinfer.spec.plan import Call, Counts, Owner, Plan, Stage
from sqlinfer.spec.records import PastRun, RecordKind
from sqlinfer.spec.scorer import Scorer, Tally, Watch
from sqlinfer.spec.session import READ_ROWS

if TYPE_CHECKING:
    import pyarrow as pa


class PostgresWorkspace:
    def __init__(
        self, settings: PostgresSettings, run_id: str, *, persistent: bool = True, claim: TargetLock | None = None
    ) -> None:
        self.run_id = run_id
        self.dialect = "postgres"
        self.persistent = persistent
        self.warnings: list[str] = []
        self.cancel: threading.Event | None = None
        self.settings = settings
        self._claimed = claim is not None
        self._lock = claim if claim is not None else TargetLock(settings, run_id)
        self._own: PostgresSession | None = None
        """Of a scratch workspace, which locks nothing."""
        self._stages: list[PostgresPinned] = []
        self._staged_by: PostgresSession | None = None
        self._depth = 0
        self._snapshot: str | None = None
        self._publishing = False

    def __enter__(self) -> Self:
        if not self.persistent:
            self._own = PostgresSession(self.settings, run_id=self.run_id, scratch=True)
        elif not self._claimed:
            self._lock.acquire()
        else:
            self._lock.check()
        return self

    def __exit__(self, *_: object) -> None:
        if self._own is not None:
            self._own.close()
        elif not self._claimed:
            self._lock.release()

    @property
    def session(self) -> PostgresSession:
        return self._own if self._own is not None else self._lock.session

    @property
    def namespace(self) -> Relation:
        return self.settings.namespace

    @property
    def place(self) -> str:
        return f"database {self.settings.database} on {self.settings.place}"

    # questions

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self._asking() as session:
            return session.rows(sql)

    def sample(self, sql: str, columns: Sequence[str], rows: int) -> list[tuple[Any, ...]]:
        with self.session.attempt():
            return self.session.rows(queries.sample(columns, sql, rows, self.dialect))

    def describe(self, sql: str) -> tuple[Column, ...]:
        return self.session.describe(sql)

    def header(self, sql: str) -> tuple[str, ...]:
        with self.reader(queries.first_rows(sql, 0), plain=True) as reader:
            return tuple(reader.schema.names)

    def has(self, relation: Relation) -> bool:
        return self.kind(relation) is not None

    def estimate(self, sql: str) -> int | None:
        with suppress(AdapterError, ValueError, KeyError, IndexError), self._asking() as session:
            told = session.value(f"EXPLAIN (FORMAT JSON) {sql}")
            return int((json.loads(told) if isinstance(told, str) else told)[0]["Plan"]["Plan Rows"])
        return None

    @contextmanager
    def reader(self, sql: str, rows: int = READ_ROWS, *, plain: bool = False) -> Iterator[pa.RecordBatchReader]:
        """On a session of its own, which sees what has been committed: inside ``warehouse()`` the same snapshot."""
        if self._own is not None or self._publishing:
            with self.session.reader(sql, plain=plain) as reader:
                yield reader
            return
        with (
            PostgresSession(self.settings) as session,
            self._same_snapshot(session),
            session.reader(sql, plain=plain) as reader,
        ):
            yield reader

    @contextmanager
    def _same_snapshot(self, session: PostgresSession) -> Iterator[None]:
        if self._snapshot is None:
            yield
            return
        with session.transaction("ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            session.execute(f"SET TRANSACTION SNAPSHOT '{self._snapshot}'")
            yield

    @contextmanager
    def _asking(self) -> Iterator[PostgresSession]:
        """Inside ``warehouse()`` a question that fails does not end the snapshot."""
        session = self.session
        with session.attempt() if self._depth else nullcontext():
            yield session

    # the warehouse

    @contextmanager
    def warehouse(self, *, brief: bool = False) -> Iterator[None]:
        """One snapshot: a transaction that reads the same whatever others commit."""
        self._depth += 1
        try:
            if self._depth > 1 or self._publishing:
                yield
                return
            with self.session.transaction("ISOLATION LEVEL REPEATABLE READ"):
                if self.persistent:
                    self._snapshot = str(self.session.value("SELECT pg_export_snapshot()"))
                yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._snapshot = None

    def see_files(self, sql: str) -> None:
        """PostgreSQL reads no files."""

    @contextmanager
    def publishing(self, timeout: float, into: Relation | None = None) -> Iterator[None]:
        if self._depth or self._publishing:
            raise RunError("publication asked for while the warehouse is being read")
        session = self.session
        self._publishing = True
        try:
            with session.transaction():
                session.execute(f"SET LOCAL lock_timeout = {_milliseconds(timeout)}")
                session.prepare_heavy()
                if self.persistent:
                    self._lock.check()
                yield
        finally:
            self._publishing = False

    @contextmanager
    def writing(self, timeout: float, into: Relation | None = None) -> Iterator[None]:
        session = self.session
        if self.persistent:
            self._lock.check()
        session.execute(f"SET lock_timeout = {_milliseconds(timeout)}")
        try:
            yield
        finally:
            with suppress(AdapterError):  # a hook may have left a transaction open
                session.execute("ROLLBACK")
            with suppress(AdapterError):
                session.execute("SET lock_timeout = 0")

    def linger(self, allowed: bool) -> None:
        """Its session keeps nobody out."""

    def run_statement(self, sql: str) -> None:
        self.session.execute(sql)

    # publication

    def materialize(self, how: Materialization, sql: str) -> Written:
        self._refuse_emptied()
        return materialize(self.session, self.settings, how, sql)

    def make_place(self, target: Relation) -> None:
        side.make_schema(self.session, target.schema or self.settings.schema)

    def check_place(self, how: Materialization) -> None:
        check_place(self.settings, how)

    def check_target(self, how: Materialization, columns: Sequence[Column], names: Sequence[str]) -> None:
        check_target(self.session, self.settings, how, columns, names)

    def outcome(self, how: Materialization, sql: str) -> str | None:
        return outcome(self.session, self.settings, how, sql)

    def record(self, kind: RecordKind, target: Relation, rows: Sequence[Mapping[str, object]]) -> None:
        records.record(self.session, self.settings, kind, target, rows)

    def record_errors(self, how: Materialization, sql: str, owner: Owner, *, failed: bool) -> None:
        records.replace_errors(self.session, self.settings, how, sql, owner, failed=failed)

    def last_run(self, target: Relation, node: str, *, since: datetime | None = None) -> PastRun | None:
        return records.last_run(self.session, self.settings, target, node, since)

    # scoring

    def pin(self, plan: Plan, stages: Sequence[Stage], options: PinOptions) -> Mapping[str, PostgresPinned]:
        return pin(self, plan, stages, options)

    def find(self, pinned: PostgresPinned, calls: Sequence[Call]) -> PostgresTodo:
        return find(self, pinned, calls)

    def score(self, todo: PostgresTodo, scorer: Scorer, watch: Watch) -> tuple[Tally, ...]:
        return score(self, todo, scorer, watch)

    def look_up(self, pinned: PostgresPinned, calls: Sequence[Call]) -> tuple[Counts, ...]:
        return look_up(self, pinned, calls)

    def unscored(self, pinned: PostgresPinned, calls: Sequence[Call]) -> int:
        return unscored(self, pinned, calls)

    def forecast(self, pinned: PostgresPinned, call: Call) -> Forecast:
        return forecast(self, pinned, call)

    def error_records(self, owner: Owner) -> Relation:
        return error_log.relation(self.settings, owner)

    def error_classes(self, owner: Owner, function: str) -> tuple[tuple[str, int], ...]:
        return error_log.classes(self, owner, function)

    def reasons(self, owner: Owner) -> tuple[Reason, ...]:
        return error_log.reasons(self, owner)

    def forget_errors(self, contract: FunctionContract, error_class: str = "") -> int:
        return forget_errors(self, contract, error_class)

    def remember(self, pinned: Iterable[PostgresPinned]) -> None:
        """Stages that the node at hand reads until it is published."""
        self._stages += pinned
        self._staged_by = self.session

    def _refuse_emptied(self) -> None:
        """A new session may be one of a server that has crashed, which empties unlogged tables."""
        if self.persistent and self._stages and self.session is not self._staged_by:
            for one in self._stages:
                refuse_emptied(one, count(self.session, one.stage.relation))

    @property
    def create_unlogged(self) -> str:
        """How a statement begins that makes a table which a crash may empty."""
        return "CREATE UNLOGGED TABLE" if self.persistent else "CREATE TABLE"

    def kind(self, relation: Relation) -> str | None:
        return kind_of(self.session, self.settings, relation)

    @contextmanager
    def reading(self) -> Iterator[PostgresSession]:
        """For reading while the workspace's own session writes."""
        if self._own is not None:
            yield self._own
            return
        with PostgresSession(self.settings) as session:
            yield session

    def durable_store(self, relation: Relation) -> Relation | None:
        """In the schema of ours, also for a scratch workspace; None where it is not there."""
        with suppress(AdapterError), self._asking() as session, session.durable():
            return relation if kind_of(session, self.settings, relation) else None
        return None  # a schema that the role may not use

    def make_store(self, store: StoreTable, stage: Stage, calls: Sequence[Call], *, remembered: bool) -> None:
        """The table, unless it is there. ``remembered``: in a scratch workspace with what the durable one knows."""
        is_new = self.kind(store.relation) is None
        if is_new:
            store.make(self.session)
        durable = self.durable_store(store.relation) if remembered and not self.persistent else None
        if durable is None:
            return
        mine, rows = (self.session.there(one).sql() for one in (store.relation, stage.relation))
        keys = " UNION ".join(f"SELECT {quote(call.key or '')} FROM {rows}" for call in calls)
        names = ", ".join(map(quote, ("input_key", *store.columns, "error", "scored_at", "run_id")))
        with self._asking() as session, session.durable():
            session.execute(
                f"INSERT INTO {mine} ({names}) SELECT {names} FROM {durable.sql()} AS s WHERE s.input_key IN ({keys}) "
                f"AND NOT EXISTS (SELECT 1 FROM {mine} AS m WHERE m.input_key = s.input_key)"
            )

    # what is kept

    def hold(self, plan: Plan, sql: str, *, again: bool, tested: bool) -> Held:
        self._refuse_emptied()
        return keeping.hold(self, plan, sql, again=again, tested=tested)

    def keep(self, held: Held) -> Held:
        self._refuse_emptied()
        return keeping.keep(self, held)

    def load(self, name: str, table: pa.Table, types: Mapping[str, str]) -> Relation:
        return keeping.load(self, name, table, types)

    def compact(self, plan: Plan, *, is_slice: bool) -> None:
        compact(self, PostgresKeySets(self), plan, is_slice=is_slice)

    def clear(self, owner: Owner) -> None:
        keeping.clear(self, owner)

    def release(self) -> None:
        """Nothing is kept in memory but what is known of the stages."""
        self._stages.clear()

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
        if self.persistent:
            side.write_note(self.session, self.settings, kind, name, payload)

    def notes(self, kind: NoteKind) -> dict[str, dict[str, Any]]:
        return side.read_notes(self.session, self.settings, kind) if self.persistent else {}


def _milliseconds(seconds: float) -> int:
    """Zero would wait for ever."""
    return max(1, int(seconds * 1000))
