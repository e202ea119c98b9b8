"""The working place of one target: the verbs of ``adapters.base.Workspace``, answered by DuckDB (design 2.1).

Verbs are imported when they are used: a look-up needs none of those that score and publish.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlinfer.adapters.base import Forecast, Held, Materialization, Pinned, PinOptions, Todo, Written
from sqlinfer.adapters.duckdb import error_log, inputs, keeping, notes, records, side_file
from sqlinfer.adapters.duckdb.damage import is_damaged
from sqlinfer.adapters.duckdb.lock import TargetLock
from sqlinfer.adapters.duckdb.names import ERRORS, SIDE
from sqlinfer.adapters.duckdb.preflight import check_place, check_target
from sqlinfer.adapters.duckdb.scratch import MAKING, drop_scratch
from sqlinfer.adapters.duckdb.settings import DuckDBSettings
from sqlinfer.adapters.duckdb.visits import WarehouseConnection
from sqlinfer.adapters.shared import queries
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.names import NAMESPACE, NoteKind, store_name
from sqlinfer.spec.outcome import Reason
from sqlinfer.spec.plan import Call, Counts, Owner, Plan, Stage
from sqlinfer.spec.records import ERRORS as ERROR_RECORDS
from sqlinfer.spec.records import RUNS, PastRun, RecordKind
from sqlinfer.spec.scorer import Scorer, Tally, Watch

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.adapters.duckdb.bucket_state import BucketState
    from sqlinfer.adapters.duckdb.pinned import DuckDBPinned, DuckDBTodo


class DuckDBWorkspace(WarehouseConnection):
    """A context manager. Not for several threads, except that readers may be drained in another thread."""

    dialect = "duckdb"

    def __init__(
        self,
        settings: DuckDBSettings,
        run_id: str,
        *,
        persistent: bool = True,
        lock_wait: float = 10.0,
        claim: TargetLock | BucketState | None = None,
    ) -> None:
        """``claim``: the target's lock, held by the caller; without it the workspace takes the lock itself."""
        self.run_id = run_id
        self.namespace = NAMESPACE
        self.persistent = persistent
        self.warnings: list[str] = []
        self._claimed, self._looked = claim is not None, False
        self._lock = claim or claim_of(settings, run_id)
        self.staged = keeping.Staged(self.namespace)
        self._noted = notes.Noted()
        self.has_scratch = False
        """Whether the node at hand holds something in memory."""
        self._one_pass: int | None = None
        """Columns of a result that is streamed from memory into its table."""
        super().__init__(
            settings, settings.side.name if persistent else "", self._lock if persistent else None, lock_wait
        )

    def __enter__(self) -> DuckDBWorkspace:
        if self.persistent and not self._claimed:
            self._lock.acquire()
        try:
            self.open()
            if self.persistent:
                warning = side_file.open_file(self)
                self.warnings += [warning] if warning else []
                if (bucket := self._bucket) is not None:
                    bucket.replay_into(self)
                self.staged.find(self)
            else:
                side_file.open_in_memory(self)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):
            self.let_go()
        self.close()
        side = self.settings.side
        if self.suspect and self.persistent and side.exists() and is_damaged(side):
            self.warnings.append(side_file.set_aside(side, "a block did not read back"))
        if self.persistent and not self._claimed:
            self._lock.release()

    def _hear(self, sql: str) -> None:
        super()._hear(sql)
        self.staged.hear(sql)
        self.has_scratch = self.has_scratch or sql == MAKING

    @property
    def place(self) -> str:
        return self.settings.side.name if self.persistent else "memory"

    def note(self, kind: NoteKind, name: str, payload: Mapping[str, Any] | None) -> None:
        if payload is None and name not in self._noted.of(self, kind):
            return
        self._noted.write(self, kind, name, payload)
        if kind == "scoring":  # what a crash is blamed on must outlive the machine
            self.journal({"kind": "note", "note": kind, "name": name, "payload": payload})

    def journal(self, header: Mapping[str, Any], rows: pa.Table | None = None) -> None:
        """Where the state lies in a bucket: what was just committed, so that a killed run loses nothing of it."""
        if self.persistent and (bucket := self._bucket) is not None:
            bucket.journal(header, rows)

    @property
    def _bucket(self) -> BucketState | None:
        """What holds the target, where the state lies in a bucket."""
        return None if isinstance(self._lock, TargetLock) else self._lock

    def notes(self, kind: NoteKind) -> dict[str, dict[str, Any]]:
        return dict(self._noted.of(self, kind))

    def _undone(self) -> None:
        super()._undone()
        self._noted.forget()

    def sample(self, sql: str, columns: Sequence[str], rows: int) -> list[tuple[Any, ...]]:
        return self.rows(queries.sample(columns, sql, rows, self.dialect))

    # scoring

    def pin(self, plan: Plan, stages: Sequence[Stage], options: PinOptions) -> Mapping[str, DuckDBPinned]:
        from sqlinfer.adapters.duckdb.pin import pin

        return pin(self, plan, stages, options)

    def find(self, pinned: Pinned, calls: Sequence[Call]) -> DuckDBTodo:
        from sqlinfer.adapters.duckdb.find import find
        from sqlinfer.adapters.duckdb.pinned import DuckDBPinned

        assert isinstance(pinned, DuckDBPinned)
        return find(self, pinned, calls)

    def score(self, todo: Todo, scorer: Scorer, watch: Watch) -> tuple[Tally, ...]:
        from sqlinfer.adapters.duckdb.pinned import DuckDBTodo
        from sqlinfer.adapters.duckdb.scoring_store import score_into_store
        from sqlinfer.adapters.duckdb.scoring_stream import score_stream

        assert isinstance(todo, DuckDBTodo)
        if todo.store is None:
            return score_stream(self, todo, scorer, watch)
        return score_into_store(self, todo, todo.store, scorer, watch)

    def look_up(self, pinned: Pinned, calls: Sequence[Call]) -> tuple[Counts, ...]:
        from sqlinfer.adapters.duckdb.look_up import look_up
        from sqlinfer.adapters.duckdb.pinned import DuckDBPinned

        assert isinstance(pinned, DuckDBPinned)
        return look_up(self, pinned, calls)

    def unscored(self, pinned: Pinned, calls: Sequence[Call]) -> int:
        from sqlinfer.adapters.duckdb.forecast import unscored
        from sqlinfer.adapters.duckdb.pinned import DuckDBPinned

        assert isinstance(pinned, DuckDBPinned)
        return unscored(self, pinned, calls)

    def forecast(self, pinned: Pinned, call: Call) -> Forecast:
        from sqlinfer.adapters.duckdb.forecast import forecast
        from sqlinfer.adapters.duckdb.pinned import DuckDBPinned

        assert isinstance(pinned, DuckDBPinned)
        return forecast(self, pinned, call)

    def error_records(self, owner: Owner) -> Relation:
        return error_log.relation(owner)

    def error_classes(self, owner: Owner, function: str) -> tuple[tuple[str, int], ...]:
        return error_log.classes(self, owner, function)

    def reasons(self, owner: Owner) -> tuple[Reason, ...]:
        return error_log.reasons(self, owner)

    def forget_errors(self, contract: FunctionContract, error_class: str = "") -> int:
        from sqlinfer.adapters.duckdb.store import forget_errors

        return forget_errors(self, contract, error_class)

    # what is kept between scoring and publishing, and between runs

    def hold(self, plan: Plan, sql: str, *, again: bool, tested: bool) -> Held:
        held = keeping.hold(self, plan, sql, again=again, tested=tested)
        # Lower the limit only for streams; keyed stages stay resident and would spill.
        streams = all(call.strategy == "stream" for call in plan.calls)
        if not held.lasts and streams and plan.result.scan is not None:
            self._one_pass = plan.result.scan.columns
        return held

    def keep(self, held: Held) -> Held:
        return keeping.keep(self, held)

    def load(self, name: str, table: pa.Table, types: Mapping[str, str]) -> Relation:
        return keeping.load(self, name, table, types)

    def compact(self, plan: Plan, *, is_slice: bool) -> None:
        from sqlinfer.adapters.duckdb.key_sets import DuckDBKeySets
        from sqlinfer.adapters.shared import compaction

        compaction.compact(self, DuckDBKeySets(self, self.run_id), plan, is_slice=is_slice)

    def clear(self, owner: Owner) -> None:
        keeping.clear(self, owner)

    def release(self) -> None:
        self._one_pass = None
        drop_scratch(self)

    def load_store(self, name: str) -> bool:
        """In a scratch workspace: the predictions that a durable store remembers. False where there are none."""
        if self.persistent:
            return False
        self._look()
        return side_file.copy_store(self, name)

    def _look(self) -> None:
        """A scratch workspace reads a copy of what a bucket holds."""
        place = self.settings.place
        if place.folder is not None and not self._looked:
            from sqlinfer.adapters.duckdb.bucket_state import look

            self._looked = True
            look(place, place.folder)

    # kept inputs

    def keep_inputs(self, name: str, sql: str) -> None:
        inputs.keep(self, name, sql)

    def drop_inputs(self, name: str) -> None:
        inputs.drop(self, name)

    def kept_inputs(self, name: str) -> Relation | None:
        if self.persistent:
            return inputs.kept(name) if self.has(inputs.kept(name)) else None
        return self._side_file.copy_kept(self, name)

    def scoring_times(self, call: Call) -> Relation | None:
        return self._side_file.copy_times(self, store_name(call.function, call.digest))

    def scoring_span(self, call: Call) -> tuple[float, float] | None:
        return self._side_file.span(self, store_name(call.function, call.digest))

    @property
    def _side_file(self) -> inputs.SideFile:
        self._look()
        return inputs.SideFile(self.settings.side, self._lock_wait)

    # publishing

    def run_statement(self, sql: str) -> None:
        self._changes.hear_foreign()
        self._undone()
        self.execute(sql)

    def materialize(self, how: Materialization, sql: str) -> Written:
        from sqlinfer.adapters.duckdb.materialize import materialize

        with nullcontext() if self._one_pass is None or how.kind != "table" else self.low_memory_scan(self._one_pass):
            return materialize(self, how, sql)

    def make_place(self, target: Relation) -> None:
        if target.schema:
            place = Relation(target.schema, target.catalog)
            if place.folded() not in self._schemas:
                self.execute(f"CREATE SCHEMA IF NOT EXISTS {place.sql()}")
                self._schemas.add(place.folded())

    def record(self, kind: RecordKind, target: Relation, rows: Sequence[Mapping[str, object]]) -> None:
        self._records.record(self, kind, target, rows)

    def record_errors(self, how: Materialization, sql: str, owner: Owner, *, failed: bool) -> None:
        table = replace(how.target, name=ERROR_RECORDS.table)
        if failed or self.has(table):
            self._records.ensure(self, table, ERROR_RECORDS.columns)
            found = Relation(owner.side, ERRORS, SIDE) if failed else None
            records.replace_errors(self, how, sql, owner, found)

    def last_run(self, target: Relation, node: str, *, since: datetime | None = None) -> PastRun | None:
        if not self.has(replace(target, name=RUNS.table)):
            return None
        return self._records.last_run(self, target, node, since)

    def check_place(self, how: Materialization) -> None:
        check_place(self.settings, how)

    def check_target(self, how: Materialization, columns: Sequence[Column], records: Sequence[str]) -> None:
        check_target(self, how, columns, records)

    def outcome(self, how: Materialization, sql: str) -> str | None:
        from sqlinfer.adapters.duckdb.outcome import outcome

        return outcome(self, how, sql)


def claim_of(settings: DuckDBSettings, run_id: str) -> TargetLock | BucketState:
    folder = settings.place.folder
    if folder is None:
        return TargetLock(settings.lock, run_id)
    from sqlinfer.adapters.duckdb.bucket_state import BucketState

    return BucketState(settings.place, folder, run_id)
