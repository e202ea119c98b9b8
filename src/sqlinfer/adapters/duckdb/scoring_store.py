"""Inputs that the store lacks → the store, in committed chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb.categories import as_enums, select
from sqlinfer.adapters.duckdb.find import drop_listed
from sqlinfer.adapters.duckdb.pinned import DuckDBTodo
from sqlinfer.adapters.duckdb.store import StoreTable, count
from sqlinfer.adapters.shared.chunks import run_pass
from sqlinfer.adapters.shared.store_columns import store_rows
from sqlinfer.errors import RunError
from sqlinfer.failpoints import fail_point
from sqlinfer.spec.names import error_column
from sqlinfer.spec.scorer import Scorer, Tally, Watch, stop_if

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace


def score_into_store(
    work: DuckDBWorkspace, todo: DuckDBTodo, store: StoreTable, scorer: Scorer, watch: Watch
) -> tuple[Tally, ...]:
    (call,) = scorer.calls
    key = call.key or ""
    names = tuple(dict.fromkeys((key, *call.arguments)))
    filling = _Filling(work, store, call.output, watch, todo.progress)
    contracts = [function.contract for function in scorer.functions]
    with scorer.opened() as session:
        sql = f"SELECT {select(names, as_enums(work, session.categories))} FROM {todo.source}"
        with (
            work.reader(sql, watch.limits.read_rows(contracts)) as reader,
            session.score(reader, (key,), total=todo.inputs, cancel=watch.cancel) as scored,
        ):
            done = run_pass(scored, watch, todo.wanted, filling.commit)
    stop_if(watch.cancel)
    if done != todo.wanted:
        raise RunError(f"{todo.wanted} inputs were to be scored, {done} came back from the session")
    drop_listed(work, todo)
    return (Tally(done, errors=filling.errors),)


@dataclass(slots=True)
class _Filling:
    work: DuckDBWorkspace
    store: StoreTable
    result: str
    """Column of a chunk."""
    watch: Watch
    known: int
    """Rows of the store, as this run left it."""
    errors: int = 0

    def commit(self, chunk: pa.Table) -> None:
        """One transaction. If the store is not what this run left, known keys are left out."""
        work, store = self.work, self.store
        rows = store_rows(chunk, self.result, store.contract)
        with work.transaction():
            untouched = count(work, store.relation) == self.known
            work.insert(store.append(work.run_id, guarded=not untouched), rows)
            self.watch.committing(self.known + rows.num_rows)
            fail_point("before_append_commit")
        work.journal(store.appended(work.run_id), rows)
        self.known = count(work, store.relation)
        self.errors += chunk.num_rows - chunk.column(error_column(0)).null_count
