"""What is to be scored, in slices, through the sessions and back in committed chunks: into a store, or into a table of
results that are told by the number of their row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlinfer.adapters.postgres.pin import drop_any
from sqlinfer.adapters.postgres.pinned import PostgresTodo
from sqlinfer.adapters.postgres.slices import sliced
from sqlinfer.adapters.postgres.store import StoreTable, fitting
from sqlinfer.adapters.postgres.types import spelled
from sqlinfer.adapters.shared.chunks import run_pass
from sqlinfer.adapters.shared.tallies import Counting
from sqlinfer.errors import RunError
from sqlinfer.failpoints import fail_point
from sqlinfer.relation import quote
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.names import ROW, error_column
from sqlinfer.spec.scorer import Scorer, Tally, Watch, stop_if

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.adapters.postgres.workspace import PostgresWorkspace

_ANALYZE_ROWS, _ANALYZE_SHARE = 10_000, 0.1
"""So many new rows, and such a share of those before, make the server's estimates of a store worth renewing."""


def score(work: PostgresWorkspace, todo: PostgresTodo, scorer: Scorer, watch: Watch) -> tuple[Tally, ...]:
    contracts = [function.contract for function in scorer.functions]
    filling = _into_store(work, todo, watch) if todo.store else _into_results(work, todo, scorer, watch)
    with scorer.opened() as sessions, work.reading() as session:
        reader = sliced(
            session, todo.source, filling.read, todo.wanted,
            batch_rows=watch.limits.read_rows(contracts), batch_bytes=watch.limits.read_bytes,
        )  # fmt: skip
        with sessions.score(reader, filling.kept, total=todo.inputs, cancel=watch.cancel) as scored:
            done = run_pass(scored, watch, todo.wanted, filling.commit)
            nulls = [part.counts.null_inputs for part in scored.parts]
    stop_if(watch.cancel)
    if done != todo.wanted:
        raise RunError(f"{todo.wanted} inputs were to be scored, {done} came back from the session")
    if todo.store:
        drop_any(work, todo.source)
    if done >= max(_ANALYZE_ROWS, _ANALYZE_SHARE * todo.progress):
        work.session.analyze(todo.sink)
    return tuple(one.tally(null) for one, null in zip(filling.countings, nulls, strict=True))


@dataclass(frozen=True, slots=True)
class _Filling:
    work: PostgresWorkspace
    todo: PostgresTodo
    watch: Watch
    read: tuple[str, ...]
    kept: tuple[str, ...]
    """Columns that come back from the session as they were, the first of them tells the row."""
    countings: tuple[Counting, ...]
    store: StoreTable | None = None
    contracts: tuple[FunctionContract, ...] = ()

    def commit(self, chunk: pa.Table) -> None:
        rows = self._rows(chunk)
        with self.work.session.transaction():
            self.work.session.append(self.todo.sink, rows)
            for counting in self.countings:
                counting.add(chunk)
            self.watch.committing(self.todo.progress + self.countings[0].rows)
            fail_point("before_append_commit")

    def _rows(self, chunk: pa.Table) -> pa.Table:
        import pyarrow as pa

        if self.store is not None:
            return self.store.rows(chunk, self.todo.calls[0].output)
        columns, names = [chunk.column(ROW)], [ROW]
        for position, (call, contract) in enumerate(zip(self.todo.calls, self.contracts, strict=True)):
            result = chunk.column(call.output)
            columns += _fields(result, contract)
            columns.append(chunk.column(error_column(position)))
            names += [*result_columns(position, contract), error_column(position)]
        return fitting(pa.table(columns, names=names))


def _fields(result: pa.ChunkedArray, contract: FunctionContract) -> list[pa.ChunkedArray]:
    if not contract.is_struct:
        return [result]
    import pyarrow.compute as pc

    return [pc.struct_field(result, [position]) for position in range(len(contract.outputs))]


def result_columns(position: int, contract: FunctionContract) -> tuple[str, ...]:
    """Of the table of results, one for each output. ``position``: of the call in its group."""
    return tuple(f"c{position}_{number}" for number in range(len(contract.outputs)))


def _into_store(work: PostgresWorkspace, todo: PostgresTodo, watch: Watch) -> _Filling:
    (call,) = todo.calls
    read = tuple(dict.fromkeys((call.key or "", *call.arguments)))
    return _Filling(work, todo, watch, read, read[:1], (Counting(call),), todo.store)


def _into_results(work: PostgresWorkspace, todo: PostgresTodo, scorer: Scorer, watch: Watch) -> _Filling:
    contracts = tuple(function.contract for function in scorer.functions)
    statuses = [call.status for call in todo.calls if call.status]
    kept = tuple(dict.fromkeys((ROW, *statuses)))
    read = tuple(dict.fromkeys((*kept, *(name for call in todo.calls for name in call.arguments))))
    drop_any(work, todo.sink)
    work.session.execute(f"{work.create_unlogged} {todo.sink.sql()} ({_result_types(contracts)})")
    countings = tuple(Counting(call, position) for position, call in enumerate(todo.calls))
    return _Filling(work, todo, watch, read, kept, countings, None, contracts)


def _result_types(contracts: Sequence[FunctionContract]) -> str:
    listed = [f"{ROW} bigint NOT NULL"]
    for position, contract in enumerate(contracts):
        names = result_columns(position, contract)
        listed += [
            f"{quote(name)} {spelled(output.data_type)}" for name, output in zip(names, contract.outputs, strict=True)
        ]
        listed.append(f"{error_column(position)} text")
    return ", ".join(listed)
