"""A group of calls → what is to be scored: distinct inputs that the store lacks, or every row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb.keyed_call import KeyedCall
from sqlinfer.adapters.duckdb.pinned import DuckDBPinned, DuckDBTodo
from sqlinfer.adapters.duckdb.store import StoreTable, count, todo_sql
from sqlinfer.adapters.shared.groups import is_in_parts
from sqlinfer.adapters.shared.lookups import inputs_of
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.names import RESULT, todo_name
from sqlinfer.spec.plan import Call, Stage

if TYPE_CHECKING:
    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace


def find(work: DuckDBWorkspace, pinned: DuckDBPinned, calls: Sequence[Call]) -> DuckDBTodo:
    if calls[0].strategy == "stream":
        rows = None if pinned.unread else _rows(work, pinned)
        return DuckDBTodo(pinned, tuple(calls), rows)
    store = StoreTable(pinned.options.contracts[calls[0].function])
    store.make(work, remembered=pinned.options.remembered)
    call = replace(calls[0], output=RESULT, status=None)
    if is_in_parts(pinned.stage):
        return _together(work, pinned, calls, call, store)
    keyed = pinned.keyed_call(calls[0])
    return _staged(work, pinned, call, store) if keyed is None else _by_key(work, pinned, call, store, keyed)


def _rows(work: DuckDBWorkspace, pinned: DuckDBPinned) -> int:
    return count(work, pinned.stage.relation) if pinned.rows is None else pinned.rows


def _staged(work: DuckDBWorkspace, pinned: DuckDBPinned, call: Call, store: StoreTable) -> DuckDBTodo:
    """Ids of rows are listed where not all rows are to be scored."""
    listed, stage = _listed(work, pinned), pinned.stage.relation
    work.execute(f"CREATE OR REPLACE TABLE {listed.sql()} AS {todo_sql(store, stage, call)}")
    wanted, rows, source = count(work, listed), _rows(work, pinned), stage.sql()
    if wanted != rows:
        source = f"{source} WHERE rowid IN (SELECT row_id FROM {listed.sql()})"
    return _todo(work, DuckDBTodo(pinned, (call,), wanted, 0, store, source, listed, rows))


def _by_key(work: DuckDBWorkspace, pinned: DuckDBPinned, call: Call, store: StoreTable, keyed: KeyedCall) -> DuckDBTodo:
    rows = _rows(work, pinned)
    if keyed.inputs is None:
        return DuckDBTodo(pinned, (call,), 0, 0, store, "", None, rows)
    source, wanted = keyed.inputs.sql(), keyed.wanted
    if count(work, store.relation) != keyed.store_rows:
        # Another call of this function has scored since the look-up.
        key = quote(keyed.call.key or "")
        source = f"{source} AS q ANTI JOIN {store.relation.sql()} AS s ON s.input_key = q.{key}"
        wanted = int(work.rows(f"SELECT count(*) FROM {source}")[0][0])
    return _todo(work, DuckDBTodo(pinned, (call,), wanted, 0, store, source, None, rows))


def _together(
    work: DuckDBWorkspace, pinned: DuckDBPinned, calls: Sequence[Call], call: Call, store: StoreTable
) -> DuckDBTodo:
    """Calls of one function: an input that several of them have is scored once."""
    listed = _listed(work, pinned)
    names = [f"a{position}" for position in range(len(call.arguments))]
    work.execute(f"CREATE OR REPLACE TABLE {listed.sql()} AS {_union_of_inputs(pinned.stage, calls, names, store)}")
    read = replace(call, key="input_key", arguments=tuple(names))
    inputs = _rows(work, pinned) * len(calls)
    return _todo(work, DuckDBTodo(pinned, (read,), count(work, listed), 0, store, listed.sql(), listed, inputs))


def _union_of_inputs(stage: Stage, calls: Sequence[Call], names: Sequence[str], store: StoreTable) -> str:
    """Each key that the store lacks once, with arguments."""
    values = "".join(f", any_value(q.{name}) AS {name}" for name in names)
    return (
        f"SELECT q.input_key{values} FROM ({inputs_of(stage, calls, names)}) AS q "
        f"ANTI JOIN {store.relation.sql()} AS s ON s.input_key = q.input_key GROUP BY q.input_key"
    )


def _listed(work: DuckDBWorkspace, pinned: DuckDBPinned) -> Relation:
    return replace(work.namespace, name=todo_name(pinned.owner.side))


def _todo(work: DuckDBWorkspace, todo: DuckDBTodo) -> DuckDBTodo:
    if not todo.wanted:
        drop_listed(work, todo)
    assert todo.store is not None
    return replace(todo, progress=count(work, todo.store.relation))


def drop_listed(work: DuckDBWorkspace, todo: DuckDBTodo) -> None:
    if todo.listed is not None:
        work.execute(f"DROP TABLE IF EXISTS {todo.listed.sql()}")
