"""Every row of a stage once through the sessions, in order, into the scored table in chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb import error_log
from sqlinfer.adapters.duckdb.categories import as_enums, select
from sqlinfer.adapters.duckdb.key_columns import NO_KEY
from sqlinfer.adapters.duckdb.lookups import lookup_columns
from sqlinfer.adapters.duckdb.names import SCRATCH
from sqlinfer.adapters.duckdb.pinned import DuckDBPinned, DuckDBTodo
from sqlinfer.adapters.duckdb.scratch import make_scratch, scratch
from sqlinfer.adapters.shared import error_rows
from sqlinfer.adapters.shared.chunks import run_pass
from sqlinfer.adapters.shared.groups import is_in_parts
from sqlinfer.adapters.shared.tallies import Counting
from sqlinfer.errors import RunError
from sqlinfer.failpoints import fail_point
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.names import error_column
from sqlinfer.spec.plan import Call, Stage
from sqlinfer.spec.scorer import Scorer, Tally, Watch, stop_if

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace


@dataclass(frozen=True, slots=True)
class _Stream:
    """One pass over a stage."""

    pinned: DuckDBPinned
    stage: Stage
    calls: tuple[Call, ...]
    source: str
    """SQL with every column that is read, results of look-ups included."""
    table: Relation
    """Made and filled here."""
    columns: tuple[str, ...]
    """Columns handed on to it."""
    total: int | None

    @property
    def kept(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.columns, *(call.status for call in self.calls if call.status))))


def score_stream(work: DuckDBWorkspace, todo: DuckDBTodo, scorer: Scorer, watch: Watch) -> tuple[Tally, ...]:
    pinned = todo.pinned
    stage = pinned.part_of(todo.calls[0])[1] if is_in_parts(pinned.stage) else pinned.stage
    if stage.scored is None:
        raise RunError(f"stage {stage.name} has calls but no scored relation")
    stream = (_unread if pinned.unread else _staged)(pinned, stage, todo)
    if pinned.unread:
        make_scratch(work)
        with work.warehouse(), _low_memory(work, stage):
            tallies = _run(work, stream, scorer, watch)
        work.execute(f"CREATE OR REPLACE VIEW {stage.scored.sql()} AS FROM {stream.table.sql()}")
    else:
        tallies = _run(work, stream, scorer, watch)
    pinned.streamed |= {call.output for call in todo.calls}
    return tallies


def _low_memory(work: DuckDBWorkspace, stage: Stage) -> AbstractContextManager[None]:
    scanned = stage.scan.columns if stage.reproducible and stage.scan is not None else None
    return nullcontext() if scanned is None else work.low_memory_scan(scanned)


def _unread(pinned: DuckDBPinned, stage: Stage, todo: DuckDBTodo) -> _Stream:
    names = ", ".join(quote(name) for name in _read(stage, todo.calls))
    source = f"SELECT {names} FROM ({stage.sql})"
    return _Stream(pinned, stage, todo.calls, source, scratch(stage), stage.columns, todo.wanted)


def _staged(pinned: DuckDBPinned, stage: Stage, todo: DuckDBTodo) -> _Stream:
    stored = () if is_in_parts(pinned.stage) else tuple(pinned.looked_up.values())
    known = tuple(one.call.output for one in stored)
    items, tables = lookup_columns(stage, stored, [name for name in _read(stage, todo.calls) if name not in known])
    source = f"SELECT {', '.join(items)} FROM {tables}"
    assert stage.scored is not None
    return _Stream(pinned, stage, todo.calls, source, stage.scored, (*stage.columns, *known), todo.wanted)


def _read(stage: Stage, calls: Sequence[Call]) -> tuple[str, ...]:
    """Columns of the stage that are read."""
    read = dict.fromkeys(stage.columns)
    for call in calls:
        read |= dict.fromkeys((*call.arguments, *((call.status,) if call.status else ())))
    return tuple(read)


def _run(work: DuckDBWorkspace, stream: _Stream, scorer: Scorer, watch: Watch) -> tuple[Tally, ...]:
    """Fill the table.

    Raises:
        RunError: rows were lost on the way.
    """
    filling = _Filling(work, stream, watch, tuple(Counting(call, place) for place, call in enumerate(stream.calls)))
    contracts = [function.contract for function in scorer.functions]
    with scorer.opened() as sessions:
        source = _with_enums(work, stream, sessions.categories)
        with (
            work.reader(source, watch.limits.read_rows(contracts)) as reader,
            sessions.score(reader, stream.kept, total=stream.total, cancel=watch.cancel) as scored,
            work.uncompressed(stream.total),
        ):
            _create(work, stream, [contract.return_type for contract in contracts])
            rows = run_pass(scored, watch, stream.total, filling.commit)
            nulls = [part.counts.null_inputs for part in scored.parts]
    stop_if(watch.cancel)
    written = filling.written
    if written != rows or (stream.total is not None and rows != stream.total):
        raise RunError(f"{stream.total} rows were staged, {rows} came back from the session, {written} were written")
    return tuple(one.tally(null) for one, null in zip(filling.countings, nulls, strict=True))


def _with_enums(work: DuckDBWorkspace, stream: _Stream, categories: Mapping[str, Sequence[str]]) -> str:
    enums = as_enums(work, categories, stream.kept)
    if not enums:
        return stream.source
    arguments = [name for call in stream.calls for name in call.arguments]
    names = dict.fromkeys((*stream.columns, *arguments, *stream.kept))
    return f"SELECT {select(names, enums)} FROM ({stream.source})"


def _create(work: DuckDBWorkspace, stream: _Stream, result_types: Sequence[str]) -> None:
    """The empty table, under its final name: it counts only once the node goes on to its result."""
    types = {c.name: c.data_type for c in work.describe(stream.source)}
    columns = [f"{quote(name)} {types[name]}" for name in stream.columns]
    columns += [f"{quote(call.output)} {kind}" for call, kind in zip(stream.calls, result_types, strict=True)]
    work.execute(f"CREATE OR REPLACE TABLE {stream.table.sql()} ({', '.join(columns)})")


@dataclass(slots=True)
class _Filling:
    work: DuckDBWorkspace
    stream: _Stream
    watch: Watch
    countings: tuple[Counting, ...]
    written: int = 0
    """Rows, as DuckDB counts what it commits."""

    def commit(self, chunk: pa.Table) -> None:
        """Rows and error records in one transaction, where they go to one database."""
        work, stream = self.work, self.stream
        names = (*stream.columns, *(call.output for call in stream.calls))
        bad = [counting.add(chunk) for counting in self.countings]
        insert = f"INSERT INTO {stream.table.sql()} SELECT {', '.join(quote(name) for name in names)} FROM chunk"
        written = 0
        if stream.table.catalog == SCRATCH:  # one transaction cannot write two databases
            written = work.insert(insert, chunk)
        with work.transaction():
            if stream.table.catalog != SCRATCH:
                written = work.insert(insert, chunk)
            for position, rows in enumerate(bad):
                if rows is not None:
                    self._record(position, rows)
            self.watch.committing(self.countings[0].rows)
            fail_point("before_append_commit")
        self.written += written

    def _record(self, position: int, rows: pa.Table) -> None:
        work, stage, owner, call = self.work, self.stream.stage, self.stream.pinned.owner, self.stream.calls[position]
        types = work.describe(f"SELECT * FROM {self.stream.table.sql()}")
        shown = error_log.shown_as_json(self.stream.pinned.options.shown, stage, call, types, "e")
        said = error_rows.from_either(call.status, f"e.{quote(error_column(position))}", "e")
        select = error_rows.records(owner, call, stage, work.run_id, NO_KEY, shown, said, "chunk AS e")
        error_log.add(work, owner, select, rows)
