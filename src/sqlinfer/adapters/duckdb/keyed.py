"""Staging by key: rows of one native table → a narrow stage and, for each call, its new inputs.

A stage holds what the rest of the query needs of every row. The arguments are wide and are needed only for inputs that
the store lacks, few on most nights. Where the store knows most of the table, the pass that looks keys up keeps the
arguments of new ones, in lists that are NULL for other rows. Where it does not, those could be all rows and often the
same input: rows are told by their row id then, and a second pass, while the warehouse is still held, fetches the
arguments of each new key once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb import in_place, row_order
from sqlinfer.adapters.duckdb.in_place import remembered
from sqlinfer.adapters.duckdb.keyed_call import NEW, ByRow, Carried, KeyedCall, known_name, state_name
from sqlinfer.adapters.duckdb.scratch import FRESH, PLAIN, TODO, make_scratch, scratch
from sqlinfer.adapters.duckdb.scratch import NEW as NEW_INPUTS
from sqlinfer.adapters.duckdb.store import StoreTable, count, holds_twice
from sqlinfer.adapters.shared.groups import is_in_parts
from sqlinfer.errors import RunError
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.names import OURS, ROW
from sqlinfer.spec.plan import Call, Owner, Stage
from sqlinfer.types import is_fixed_width, is_numeric

if TYPE_CHECKING:
    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace

_KNOWS_MOST = 0.5
"""Above this ratio of stored keys to table rows, assume that most inputs are known and few repeat."""
_WIDEST = 16
"""Bytes of the widest type of fixed width."""


def by_row(work: DuckDBWorkspace, stage: Stage, min_rows: int) -> ByRow | None:
    """A stage of ``min_rows`` rows with the row id of the one native table that it scans, or None.

    Call it with the warehouse attached.
    """
    if not (work.persistent and stage.reproducible and stage.calls) or is_in_parts(stage):
        return None
    if any(call.strategy != "store" or call.key is None for call in stage.calls):
        return None
    rows = work.estimate(stage.sql)
    if rows is None or rows < min_rows:
        return None
    if stage.scan is None or not stage.scan.by_row or not work.has_row_ids(stage.scan.table):
        return None
    scan, table = stage.scan, stage.scan.table.sql()
    return ByRow(scan.by_row, rows, work.estimate(f"FROM {table}") or rows, scan.columns)


def pin_by_key(
    work: DuckDBWorkspace,
    owner: Owner,
    stage: Stage,
    source: ByRow,
    contracts: Sequence[FunctionContract],
    *,
    keep_results: bool,
) -> tuple[KeyedCall, ...]:
    """Make the stage and the new inputs of its calls, while the caller holds the warehouse.

    Args:
        source: what ``by_row`` gave.
        contracts: of the calls, in order.
        keep_results: results that the store has may be copied into the stage.

    Raises:
        StoreError: a key occurs twice in a store.
    """
    make_scratch(work)
    found = [_call(work, stage, position, source, one, keep_results) for position, one in enumerate(contracts)]
    stores = [StoreTable(contract) for contract in contracts]
    if in_place.may_stand(work, owner, source, found, stores):
        found = _stage_in_place(work, owner, stage, source, contracts, found)
    else:
        with_row = not all(one.carried for one in found) or any(row_order.is_due(work, owner, one) for one in stores)
        _stage(work, stage, source, contracts, found, with_row=with_row)
    return tuple(
        _carried_inputs(work, stage, position, keyed)
        if keyed.carried
        else _fetched_inputs(work, stage, source.sql, position, keyed)
        for position, keyed in enumerate(found)
    )


def _call(
    work: DuckDBWorkspace, stage: Stage, position: int, source: ByRow, contract: FunctionContract, keep_results: bool
) -> KeyedCall:
    call, store = stage.calls[position], StoreTable(contract)
    store.make(work)
    rows = count(work, store.relation)
    state = state_name(position) if rows else None
    known = known_name(position) if rows and keep_results and store.is_narrow else None
    carried = _carried(work, call, position, source.sql) if rows > source.rows * _KNOWS_MOST else ()
    return KeyedCall(call, state, known, carried, None, 0, rows)


def _carried(work: DuckDBWorkspace, call: Call, position: int, sql: str) -> tuple[Carried, ...]:
    by_type: dict[str, list[str]] = {}
    names = ", ".join(quote(name) for name in dict.fromkeys(call.arguments))
    for column in work.describe(f"SELECT {names} FROM ({sql})"):
        by_type.setdefault(column.data_type, []).append(column.name)
    return tuple(
        Carried(f"{OURS}_new_{position}_{number}", tuple(names)) for number, names in enumerate(by_type.values())
    )


def _stage_in_place(
    work: DuckDBWorkspace,
    owner: Owner,
    stage: Stage,
    source: ByRow,
    contracts: Sequence[FunctionContract],
    found: Sequence[KeyedCall],
) -> list[KeyedCall]:
    """Keys first, then what is known, by place; by a join where the rows stand elsewhere."""
    plain, found = scratch(stage, PLAIN), [replace(keyed, carried=()) for keyed in found]
    items = ", ".join(f"q.{quote(name)}" for name in _names(stage, found, with_row=True))
    _write(work, plain, f"SELECT {items} FROM ({source.sql}) AS q", source)
    placed = in_place.place(work, owner, stage, plain, found, [StoreTable(contract) for contract in contracts])
    if placed is not None:
        return placed
    _stage(work, stage, replace(source, sql=plain.query(), columns=None), contracts, found, with_row=True)
    work.execute(f"DROP TABLE {plain.sql()}")
    return found


def _names(stage: Stage, found: Sequence[KeyedCall], *, with_row: bool) -> tuple[str, ...]:
    """Columns of the stage that it has from the warehouse."""
    names = dict.fromkeys(stage.columns)
    for keyed in found:
        names |= dict.fromkeys(name for name in (keyed.call.key, keyed.call.status) if name)
    return (*names, *((ROW,) if with_row else ()))


def _stage(
    work: DuckDBWorkspace,
    stage: Stage,
    by_row: ByRow,
    contracts: Sequence[FunctionContract],
    found: Sequence[KeyedCall],
    *,
    with_row: bool,
) -> None:
    items = [f"q.{quote(name)}" for name in _names(stage, found, with_row=with_row)]
    source = f"({by_row.sql}) AS q"
    for position, (keyed, contract) in enumerate(zip(found, contracts, strict=True)):
        if keyed.state is None:
            continue
        key, alias = f"q.{quote(keyed.call.key or '')}", f"l{position}"
        source += f" LEFT JOIN ({remembered(StoreTable(contract), keyed)}) AS {alias} ON {alias}.input_key = {key}"
        state = f"CASE WHEN {alias}.state IS NOT NULL THEN {alias}.state WHEN {key} IS NOT NULL THEN {NEW} END"
        items.append(f"CAST({state} AS UTINYINT) AS {keyed.state}")
        if keyed.known:
            items.append(f"{alias}.result AS {keyed.known}")
        for one in keyed.carried:
            values = ", ".join(f"q.{quote(name)}" for name in one.arguments)
            items.append(f"CASE WHEN {alias}.state IS NULL AND {key} IS NOT NULL THEN [{values}] END AS {one.name}")
    rows, sql = scratch(stage), f"SELECT {', '.join(items)} FROM {source}"
    joined = any(keyed.state for keyed in found)
    _write(work, rows, sql, None if joined else by_row)
    work.execute(f"CREATE OR REPLACE VIEW {stage.relation.sql()} AS FROM {rows.sql()}")
    if joined:
        read, made = int(work.rows(f"SELECT count(*) FROM ({by_row.sql})")[0][0]), count(work, rows)
        if made != read:
            raise holds_twice(stage.calls[0].function, read, made)


def _write(work: DuckDBWorkspace, into: Relation, sql: str, scan: ByRow | None) -> None:
    """``scan``: where the rows go straight from a scan into a table, and its blocks need no room."""
    room = None if scan is None else _room(work, sql, scan.table_rows)
    columns = None if scan is None else scan.columns
    with nullcontext() if room is None or columns is None else work.low_memory_scan(columns, room):
        work.execute(f"CREATE OR REPLACE TABLE {into.sql()} AS {sql}")


def _room(work: DuckDBWorkspace, sql: str, rows: int) -> int | None:
    """Bytes that the rows take at most in memory, None where their width is not known."""
    types = [column.data_type for column in work.describe(sql)]
    fixed = all(is_fixed_width(one) or (is_numeric(one) and not one.endswith("]")) for one in types)
    return rows * len(types) * _WIDEST if fixed else None


def _carried_inputs(work: DuckDBWorkspace, stage: Stage, position: int, keyed: KeyedCall) -> KeyedCall:
    key, rows = quote(keyed.call.key or ""), scratch(stage).sql()
    new, once = f"FROM {rows} AS r WHERE {keyed.is_new('r')}", ""
    found, wanted = work.rows(f"SELECT count(*), count(DISTINCT r.{key}) {new}")[0]
    if not wanted:
        return keyed
    if wanted < found:
        todo = scratch(stage, TODO, position).sql()
        work.execute(f"CREATE OR REPLACE TABLE {todo} AS SELECT min(r.rowid) AS row_id {new} GROUP BY r.{key}")
        once = f" AND r.rowid IN (SELECT row_id FROM {todo})"
    arguments = ", ".join(
        f"r.{column.name}[{number}] AS {quote(name)}"
        for column in keyed.carried
        for number, name in enumerate(column.arguments, 1)
    )
    inputs = scratch(stage, NEW_INPUTS, position)
    work.execute(f"CREATE OR REPLACE VIEW {inputs.sql()} AS SELECT r.{key}, {arguments} {new}{once}")
    return replace(keyed, inputs=inputs, wanted=wanted)


def _fetched_inputs(work: DuckDBWorkspace, stage: Stage, sql: str, position: int, keyed: KeyedCall) -> KeyedCall:
    key, new = quote(keyed.call.key or ""), f"FROM {scratch(stage).sql()} WHERE {keyed.is_new()}"
    todo, inputs = scratch(stage, TODO, position), scratch(stage, NEW_INPUTS, position)
    work.execute(f"CREATE OR REPLACE TABLE {todo.sql()} AS SELECT min({ROW}) AS row_id, {key} {new} GROUP BY {key}")
    wanted = count(work, todo)
    if wanted:
        source, known = f"{todo.sql()} AS t JOIN ({sql}) AS q ON q.{ROW} = t.row_id", f"t.{key}"
        if keyed.state is None and wanted == int(work.rows(f"SELECT count(*) {new}")[0][0]):
            # The first night, and no input twice: every row with a key, without a join.
            source, known = f"({sql}) AS q WHERE q.{key} IS NOT NULL", f"q.{key}"
        arguments = ", ".join(f"q.{quote(name)}" for name in dict.fromkeys(keyed.call.arguments))
        work.execute(f"CREATE OR REPLACE TABLE {inputs.sql()} AS SELECT {known}, {arguments} FROM {source}")
        fetched = count(work, inputs)
        if fetched != wanted:
            raise RunError(
                f"{wanted} inputs of {keyed.call.sql} were to be fetched, {fetched} were; nothing was scored"
            )
    work.execute(f"DROP TABLE {todo.sql()}")
    return replace(keyed, inputs=inputs if wanted else None, wanted=wanted)


def gather_fresh(
    work: DuckDBWorkspace, stage: Stage, position: int, keyed: KeyedCall, store: StoreTable, run_id: str
) -> Relation | None:
    """Where the results of NEW rows are once they are scored: the store, or a copy of its rows where they are few."""
    if keyed.inputs is None:
        return None
    if keyed.wanted * 4 > count(work, store.relation):
        return store.relation
    fresh, rows = scratch(stage, FRESH, position), store.relation.sql()
    mine = f"FROM {rows} WHERE run_id = {literal(run_id)}"
    wanted = f"SEMI JOIN {keyed.inputs.sql()} AS n ON n.{quote(keyed.call.key or '')} = l.input_key"
    if int(work.rows(f"SELECT count(*) {mine}")[0][0]) <= keyed.wanted * 4:
        work.execute(f"CREATE OR REPLACE TABLE {fresh.sql()} AS {mine}")
        if int(work.rows(f"SELECT count(*) FROM {fresh.sql()} AS l {wanted}")[0][0]) == keyed.wanted:
            return fresh
    # Other nodes of this run have scored more, or another run some of these.
    work.execute(f"CREATE OR REPLACE TABLE {fresh.sql()} AS SELECT l.* FROM {rows} AS l {wanted}")
    return fresh


def forget_inputs(work: DuckDBWorkspace, keyed: KeyedCall) -> None:
    """They have been scored and counted; what the stage carries goes with the stage."""
    if keyed.inputs is not None and not keyed.carried:
        work.execute(f"DROP TABLE {keyed.inputs.sql()}")
