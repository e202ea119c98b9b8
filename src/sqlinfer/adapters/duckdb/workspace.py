"""The durable working place of one target: side file, lock, and short visits to the warehouse file (design 2.1)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlinfer.adapters.base import Forecast, Held, Materialization, Pinned, PinOptions, Todo, Written
from sqlinfer.adapters.duckdb import error_log, file_stamp, keeping, notes, records
from sqlinfer.adapters.duckdb.damage import is_damaged, looks_damaged
from sqlinfer.adapters.duckdb.errors import is_streamed, streamed, translated
from sqlinfer.adapters.duckdb.find import find
from sqlinfer.adapters.duckdb.forecast import forecast, unscored
from sqlinfer.adapters.duckdb.key_sets import DuckDBKeySets
from sqlinfer.adapters.duckdb.lock import TargetLock
from sqlinfer.adapters.duckdb.look_up import look_up
from sqlinfer.adapters.duckdb.materialize import existing_kind, materialize
from sqlinfer.adapters.duckdb.names import ERRORS, META, SIDE, STAGE, STORE
from sqlinfer.adapters.duckdb.outcome import outcome
from sqlinfer.adapters.duckdb.pin import pin
from sqlinfer.adapters.duckdb.pinned import DuckDBPinned, DuckDBTodo
from sqlinfer.adapters.duckdb.preflight import check_place, check_target
from sqlinfer.adapters.duckdb.scoring_store import score_into_store
from sqlinfer.adapters.duckdb.scoring_stream import score_stream
from sqlinfer.adapters.duckdb.scratch import drop_scratch
from sqlinfer.adapters.duckdb.settings import DuckDBSettings, default_memory, open_memory, thread_count
from sqlinfer.adapters.duckdb.store import forget_errors
from sqlinfer.adapters.shared import compaction
from sqlinfer.errors import AdapterError, DatabaseLocked, RunError, StoreError
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.names import NAMESPACE, NoteKind
from sqlinfer.spec.outcome import Reason
from sqlinfer.spec.plan import Call, Counts, Owner, Plan, Stage
from sqlinfer.spec.records import ERRORS as ERROR_RECORDS
from sqlinfer.spec.records import RUNS, PastRun, RecordKind
from sqlinfer.spec.scorer import Scorer, Tally, Watch
from sqlinfer.spec.session import READ_ROWS

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

FORMAT_VERSION = 1
SCAN_MEMORY, COLUMN_MEMORY = 128 << 20, 512 << 10
"""For a scan whose rows are read once: all of it, and each column of each thread (a block of 256 KiB, and what is read
ahead). Measured on 420 MB: a tenth faster than with room for all of it."""
_FIRST_WAIT, _LONGEST_WAIT = 0.02, 0.2
"""Readers that come and go leave gaps of milliseconds, so ask often."""


class DuckDBWorkspace:
    """A context manager. Not for several threads, except that readers may be drained in another thread."""

    dialect = "duckdb"

    def __init__(
        self,
        settings: DuckDBSettings,
        run_id: str,
        *,
        persistent: bool = True,
        lock_wait: float = 10.0,
        claim: TargetLock | None = None,
    ) -> None:
        """``claim``: the target's lock, held by the caller; without it the workspace takes the lock itself."""
        self.run_id = run_id
        self.namespace = NAMESPACE
        self.persistent = persistent
        self.warnings: list[str] = []
        self.cancel: threading.Event | None = None
        self._settings = settings
        self._lock_wait = lock_wait
        self._claimed = claim is not None
        self._lock = claim or TargetLock(settings.lock, run_id)
        self._depth = 0
        self._suspect = False
        self._in_transaction = False
        self._read_file = False
        self._one_pass: int | None = None
        """Columns of a result that is streamed from memory into its table."""
        self._stamps: DuckDBPyConnection | None = None

    def __enter__(self) -> DuckDBWorkspace:
        if self.persistent and not self._claimed:
            self._lock.acquire()
        try:
            self._memory = open_memory(self._settings)
            self._writer = self._memory.cursor()
            self._attach_side()
            self._prepare_side()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in ("_stamps", "_writer", "_memory"):
            connection = getattr(self, name, None)
            if connection is not None:
                with suppress(Exception):
                    connection.close()
        if self._suspect and self.persistent and self._settings.side.exists() and is_damaged(self._settings.side):
            self._set_aside(self._settings.side, "a block did not read back")
        if not self._claimed:
            self._lock.release()

    @property
    def place(self) -> str:
        return self._settings.side.name if self.persistent else "memory"

    def hand_over(self) -> DuckDBPyConnection:
        """The connection that keeps this DuckDB, for the caller to close: it lives on when the workspace is closed."""
        kept, self._memory = self._memory, self._memory.cursor()
        return kept

    # statements

    @contextmanager
    def _statement(self, sql: str) -> Iterator[None]:
        self._provide(sql)
        try:
            with self._watched(), translated(sql):
                yield
        except BaseException:
            if not self._in_transaction:  # an error may leave one that DuckDB began by itself, aborted
                with suppress(Exception):
                    self._writer.execute("ROLLBACK")
            raise

    def _provide(self, sql: str) -> None:
        """Functions of ours are made when they are first needed: making one imports numpy, a fifth of a second."""
        if self._stamps is None and file_stamp.is_asked_for(sql):
            self._stamps = self._memory.cursor()  # the others may be in the middle of a result
            file_stamp.register(self._stamps, self._settings.root)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Remember that something did not read back: the side file is looked at when the workspace closes."""
        try:
            yield
        except Exception as error:
            if looks_damaged(error):
                self._suspect = True
                if isinstance(error, AdapterError) and self.persistent:
                    error.hint = f"if it is {self.place} that is damaged, it is now moved aside: run again"
            raise

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> None:
        with self._statement(sql):
            self._writer.execute(sql, list(parameters)) if parameters else self._writer.execute(sql)

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._statement(sql):
            done = self._writer.execute(sql, list(parameters)) if parameters else self._writer.execute(sql)
            return done.fetchall()

    def insert(self, sql: str, chunk: pa.Table) -> None:
        with self._statement(sql):
            self._writer.register("chunk", chunk)
            try:
                self._writer.execute(sql)
            finally:
                self._writer.unregister("chunk")

    @contextmanager
    def reader(self, sql: str, rows: int = READ_ROWS, *, plain: bool = False) -> Iterator[pa.RecordBatchReader]:
        self._provide(sql)
        cursor = self._memory.cursor()
        reader = None
        try:
            with translated(sql):
                if plain:
                    cursor.execute("SET SESSION arrow_lossless_conversion = false")
                if self._depth:
                    cursor.execute(self._use())
                reader = cursor.sql(sql).to_arrow_reader(rows)
            with self._watched():
                yield from self._streaming(reader, sql)
        finally:
            if reader is not None:
                with suppress(Exception):
                    reader.close()
            del reader
            cursor.close()

    @staticmethod
    def _streaming(reader: pa.RecordBatchReader, sql: str) -> Iterator[pa.RecordBatchReader]:
        import pyarrow as pa

        try:
            yield reader
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and not is_streamed(error):
                raise
            raise streamed(error, sql) from None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._in_transaction = True
        try:
            self.execute("BEGIN")
            yield
            self.execute("COMMIT")
        except BaseException:
            with suppress(Exception):
                self._writer.execute("ROLLBACK")
            raise
        finally:
            self._in_transaction = False

    @contextmanager
    def uncompressed(self) -> Iterator[None]:
        """Tables written inside are dropped soon: analysing and compressing floats takes a third of the time of writing
        them."""
        with suppress(AdapterError):
            self.execute("SET force_compression = 'uncompressed'")
        try:
            yield
        finally:
            with suppress(AdapterError):
                self.execute("RESET force_compression")

    @contextmanager
    def low_memory_scan(self, columns: int, keep: int = 0) -> Iterator[None]:
        """Lower the memory limit during a scan that reads rows of so many columns once: blocks are evicted early, so
        that their pages are used again. ``keep``: bytes that what is made of them takes.
        """
        threads = thread_count(self._writer)
        usual, room = default_memory(threads), SCAN_MEMORY + keep + columns * threads * COLUMN_MEMORY
        if self._settings.memory_limit is not None or room >= usual:
            yield
            return
        with suppress(AdapterError):
            self.execute(f"SET memory_limit = '{room}B'")
        try:
            yield
        finally:
            with suppress(AdapterError):
                self.execute(f"SET memory_limit = '{usual}B'")

    def describe(self, sql: str) -> tuple[Column, ...]:
        return tuple(Column(row[0], row[1]) for row in self.rows(f"DESCRIBE {sql}"))

    def has(self, relation: Relation) -> bool:
        return self._kind(relation) is not None

    def _kind(self, relation: Relation) -> str | None:
        schema, catalog = relation.schema or self._settings.schema, relation.catalog or self._settings.catalog
        return existing_kind(self, Relation(relation.name, schema, catalog))

    def has_row_ids(self, relation: Relation) -> bool:
        """Of the warehouse's own tables; an attached database may change while it is read."""
        if (relation.catalog or self._settings.catalog).casefold() != self._settings.catalog.casefold():
            return False
        names = {column.name.casefold() for column in self.describe(f"SELECT * FROM {relation.sql()}")}
        return self._kind(relation) == "table" and "rowid" not in names

    def estimate(self, sql: str) -> int | None:
        with suppress(AdapterError, ValueError, KeyError, IndexError, TypeError):
            plan = json.loads(self.rows(f"EXPLAIN (FORMAT json) {sql}")[0][1])
            node = plan[0] if isinstance(plan, list) else plan
            while True:
                guess = node.get("extra_info", {}).get("Estimated Cardinality")
                if guess is not None:
                    return int(str(guess).lstrip("~"))
                node = node["children"][0]
        return None

    # the warehouse

    @contextmanager
    def warehouse(self) -> Iterator[None]:
        self._depth += 1
        try:
            if self._depth == 1:
                self._wait(self._attach_readonly, self._lock_wait)
                self.execute(self._use())
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._detach()

    @contextmanager
    def publishing(self, timeout: float) -> Iterator[None]:
        with self._opened(timeout):
            with self.transaction():
                if self.persistent:
                    self._lock.check()
                yield
            self._checkpoint()

    @contextmanager
    def writing(self, timeout: float) -> Iterator[None]:
        with self._opened(timeout):
            if self.persistent:
                self._lock.check()
            try:
                yield
            finally:
                with suppress(Exception):  # a hook may have left a transaction open
                    self._writer.execute("ROLLBACK")
            self._checkpoint()

    @contextmanager
    def _opened(self, timeout: float) -> Iterator[None]:
        """The warehouse attached for writing."""
        if self._depth:
            raise RunError("publication asked for while the warehouse is being read")
        self._depth = 1
        try:
            self._refuse_gone()
            self._wait(lambda: self.execute(f"ATTACH {self._path()} AS {self._catalog()}"), timeout)
            self.execute(f"CREATE SCHEMA IF NOT EXISTS {self._catalog()}.{quote(self._settings.schema)}")
            self._attach_others()
            self.execute(self._use())
            yield
        finally:
            self._depth = 0
            self._detach()

    def _refuse_gone(self) -> None:
        """A database that was read and is gone is not made anew with nothing but our table in it."""
        if self._read_file and not self._settings.path.exists():
            raise AdapterError(
                f"database {self._settings.path.name} was there when its rows were read and is gone; nothing was "
                "published",
                hint="put it back, then `sqlinfer retry` publishes without scoring again",
            )

    def _checkpoint(self) -> None:
        """The commit stands in the write-ahead log already: what fails here is done at the next opening."""
        with suppress(AdapterError):
            self.execute(f"CHECKPOINT {self._catalog()}")

    def run_statement(self, sql: str) -> None:
        self.execute(sql)

    def materialize(self, how: Materialization, sql: str) -> Written:
        with nullcontext() if self._one_pass is None or how.kind != "table" else self.low_memory_scan(self._one_pass):
            return materialize(self, how, sql)

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
        compaction.compact(self, DuckDBKeySets(self, self.run_id), plan, is_slice=is_slice)

    def clear(self, owner: Owner) -> None:
        keeping.clear(self, owner)

    def release(self) -> None:
        self._one_pass = None
        drop_scratch(self)

    def make_place(self, target: Relation) -> None:
        if target.schema:
            place = Relation(target.schema, target.catalog)
            self.execute(f"CREATE SCHEMA IF NOT EXISTS {place.sql()}")

    def record(self, kind: RecordKind, target: Relation, rows: Sequence[Mapping[str, object]]) -> None:
        records.record(self, kind, target, rows)

    def record_errors(self, how: Materialization, sql: str, owner: Owner, *, failed: bool) -> None:
        if failed or self.has(replace(how.target, name=ERROR_RECORDS.table)):
            found = Relation(owner.side, ERRORS, SIDE) if failed else None
            records.replace_errors(self, how, sql, owner, found)

    def last_run(self, target: Relation, node: str, *, since: datetime | None = None) -> PastRun | None:
        if not self.has(replace(target, name=RUNS.table)):
            return None
        return records.last_run(self, target, node, since)

    def check_place(self, how: Materialization) -> None:
        check_place(self._settings, how)

    def check_target(self, how: Materialization, columns: Sequence[Column], records: Sequence[str]) -> None:
        check_target(self, how, columns, records)

    def outcome(self, how: Materialization, sql: str) -> str | None:
        return outcome(self, how, sql)

    def load_store(self, name: str) -> bool:
        """Copied, not attached: a reader of the side file would keep the nightly run out."""
        if self.persistent or not self._settings.side.exists():
            return False
        held = "sqlinfer_remembered"
        with suppress(AdapterError):
            self.execute(f"ATTACH {literal(str(self._settings.side))} AS {held} (READ_ONLY)")
            try:
                self.execute(f"CREATE TABLE {SIDE}.{STORE}.{quote(name)} AS FROM {held}.{STORE}.{quote(name)}")
                return True
            finally:
                self.execute(f"DETACH {held}")
        return False

    # scoring

    def pin(self, plan: Plan, stages: Sequence[Stage], options: PinOptions) -> Mapping[str, DuckDBPinned]:
        return pin(self, plan, stages, options)

    def find(self, pinned: Pinned, calls: Sequence[Call]) -> DuckDBTodo:
        assert isinstance(pinned, DuckDBPinned)
        return find(self, pinned, calls)

    def score(self, todo: Todo, scorer: Scorer, watch: Watch) -> tuple[Tally, ...]:
        assert isinstance(todo, DuckDBTodo)
        if todo.store is None:
            return score_stream(self, todo, scorer, watch)
        return score_into_store(self, todo, todo.store, scorer, watch)

    def look_up(self, pinned: Pinned, calls: Sequence[Call]) -> tuple[Counts, ...]:
        assert isinstance(pinned, DuckDBPinned)
        return look_up(self, pinned, calls)

    def unscored(self, pinned: Pinned, calls: Sequence[Call]) -> int:
        assert isinstance(pinned, DuckDBPinned)
        return unscored(self, pinned, calls)

    def forecast(self, pinned: Pinned, call: Call) -> Forecast:
        assert isinstance(pinned, DuckDBPinned)
        return forecast(self, pinned, call)

    def error_records(self, owner: Owner) -> Relation:
        return error_log.relation(owner)

    def error_classes(self, owner: Owner, function: str) -> tuple[tuple[str, int], ...]:
        return error_log.classes(self, owner, function)

    def reasons(self, owner: Owner) -> tuple[Reason, ...]:
        return error_log.reasons(self, owner)

    def forget_errors(self, contract: FunctionContract, error_class: str = "") -> int:
        return forget_errors(self, contract, error_class)

    # attaching

    def _catalog(self) -> str:
        return quote(self._settings.catalog)

    def _path(self) -> str:
        return literal(str(self._settings.path))

    def _use(self) -> str:
        """The profile's schema, or main where the schema is first made by a publication."""
        known = self.rows(
            "SELECT count(*) FROM duckdb_schemas() "
            "WHERE lower(database_name) = lower(?) AND lower(schema_name) = lower(?)",
            (self._settings.catalog, self._settings.schema),
        )
        return f"USE {self._catalog()}.{quote(self._settings.schema if known[0][0] else 'main')}"

    def _attach_readonly(self) -> None:
        if self._settings.path.exists():
            self.execute(f"ATTACH {self._path()} AS {self._catalog()} (READ_ONLY)")
            self._read_file = True
        else:
            self.execute(f"ATTACH ':memory:' AS {self._catalog()}")
        self._attach_others()

    def _attach_others(self) -> None:
        for other in self._settings.attach:
            self.execute(other.sql())

    def _detach(self) -> None:
        with suppress(AdapterError):
            self.execute("USE memory")
        for name in (self._settings.catalog, *(other.catalog for other in self._settings.attach)):
            with suppress(AdapterError):
                self.execute(f"DETACH DATABASE IF EXISTS {quote(name)}")

    def _wait(self, attach: Callable[[], None], timeout: float) -> None:
        deadline, pause = time.monotonic() + timeout, _FIRST_WAIT
        while True:
            try:
                attach()
                return
            except DatabaseLocked:
                self._detach()
                stopped = self.cancel is not None and self.cancel.is_set()
                if stopped or time.monotonic() >= deadline:
                    raise
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 2, _LONGEST_WAIT)

    # the side file

    def note(self, kind: NoteKind, name: str, payload: Mapping[str, Any] | None) -> None:
        with nullcontext() if self._in_transaction else self.transaction():
            notes.write(self, kind, name, payload)

    def notes(self, kind: NoteKind) -> dict[str, dict[str, Any]]:
        return notes.read(self, kind)

    def _attach_side(self) -> None:
        if not self.persistent:
            self.execute(f"ATTACH ':memory:' AS {SIDE}")
            return
        side = self._settings.side
        if side.is_symlink():
            raise StoreError(f"the side file {side.name} is a link", hint="remove it, or move the database instead")
        statement = f"ATTACH {literal(str(side))} AS {SIDE}"
        try:
            self.execute(statement)
        except DatabaseLocked as error:
            raise StoreError(f"the side file {side.name} is held by {error.holder or 'another process'}") from error
        except AdapterError as error:
            if "version number" in error.message or "newer version" in error.message:
                raise StoreError(f"the side file {side.name} was written by a newer DuckDB: {error.message}") from error
            self._set_aside(side, error.message)
            self.execute(statement)

    def _set_aside(self, side: Path, reason: str) -> None:
        moved = side.with_name(f"{side.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
        side.rename(moved)
        wal = side.with_name(side.name + ".wal")
        if wal.exists():
            wal.rename(moved.with_name(moved.name + ".wal"))
        self.warnings.append(
            f"the side file was damaged and is moved to {moved.name}; it is rebuilt by scoring again ({reason})"
        )

    def _prepare_side(self) -> None:
        for schema in (STAGE, STORE, ERRORS, META):
            self.execute(f"CREATE SCHEMA IF NOT EXISTS {SIDE}.{schema}")
        info = f"{SIDE}.{META}.info"
        self.execute(f"CREATE TABLE IF NOT EXISTS {info} (format_version INTEGER, created_at TIMESTAMPTZ)")
        found = self.rows(f"SELECT max(format_version) FROM {info}")[0][0]
        if found is None:
            self.execute(f"INSERT INTO {info} VALUES ({FORMAT_VERSION}, now())")
        elif found > FORMAT_VERSION:
            raise StoreError(
                f"the store has format {found}, this version of sqlinfer writes format {FORMAT_VERSION}",
                hint="upgrade sqlinfer, or move the side file away to score everything again",
            )
        notes.create(self)
        older = notes.older_tables(self) if self.persistent else ()
        if older:
            with self.transaction():
                notes.move(self, older)
