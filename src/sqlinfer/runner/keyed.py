"""Staging by key: rows of one native table → a narrow stage and, for each call, its new inputs.

A stage holds what the rest of the query needs of every row. The arguments are wide and are needed only for inputs that
the store lacks, few on most nights. Where the rows of a native table can be told by their row id, one pass keeps keys
and looks them up in the store, and a second one, while the warehouse is still held, fetches the arguments of new keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sqlinfer.adapters.base import SIDE, Workspace
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.runner import held
from sqlinfer.runner.store import StoreTable, count, holds_twice
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.plan import Call, Stage

ROW = "__sqlinfer_row"
KNOWN, FAILED, NEW = 0, 1, 2
"""States of a row that has a key: its result is in the store, its failure is, neither is."""
_PLAIN = ("joins", "group", "distinct", "having", "qualify", "limit", "offset", "laterals", "order", "with_", "sample")


@dataclass(frozen=True, slots=True)
class KeyedCall:
    call: Call
    state: str | None
    """Column of the stage: a state above, NULL where there is no key. None: the store was empty, every key is NEW."""
    known: str | None
    """Column of the stage with the result of KNOWN rows; None where it is looked up at publication."""
    inputs: Relation | None
    """Key and arguments of new inputs, each once. None: there are none."""
    wanted: int
    """Rows of ``inputs``."""
    store_rows: int
    """Rows of the store then: as long as it has no more, every one of ``inputs`` is still new."""

    def is_new(self, alias: str = "") -> str:
        """SQL over a row of the stage: its key was not in the store."""
        dot = f"{alias}." if alias else ""
        return f"{dot}{quote(self.call.key or '')} IS NOT NULL" if self.state is None else f"{dot}{self.state} = {NEW}"


def by_row(work: Workspace, stage: Stage, dialect: str, least: int) -> str | None:
    """SQL of a stage of ``least`` rows with the row id of the one native table that it scans, or None.

    Call it with the warehouse attached.
    """
    if not (work.persistent and stage.reproducible and stage.calls):
        return None
    if any(call.strategy != "store" or call.key is None for call in stage.calls):
        return None
    rows = work.estimate(stage.sql)
    if rows is None or rows < least:
        return None
    found = _with_row_id(stage.sql, dialect)
    return found[0] if found is not None and work.has_row_ids(found[1]) else None


def scans_one_table(sql: str, dialect: str) -> bool:
    """Whether the SQL is a scan with filters and projections alone: it needs next to no memory."""
    found = _base(sql, dialect)
    if found is None or found[0].find(exp.Window, exp.AggFunc, exp.AnonymousAggFunc):
        return False
    return len(list(found[0].find_all(exp.Table))) == 1


def _with_row_id(sql: str, dialect: str) -> tuple[str, Relation] | None:
    found = _base(sql, dialect)
    if found is None:
        return None
    tree, levels, table = found
    if not isinstance(table.this, exp.Identifier) or table.catalog == SIDE:
        return None
    row_id = exp.column("rowid", table=table.alias_or_name, quoted=True)
    levels.pop().select(exp.alias_(row_id, ROW, quoted=True), copy=False)
    for level in levels:
        level.select(exp.column(ROW, quoted=True), copy=False)
    return tree.sql(dialect=dialect), Relation(table.name, table.db or None, table.catalog or None)


def _base(sql: str, dialect: str) -> tuple[exp.Expr, list[exp.Select], exp.Table] | None:
    """The one table that nested SELECTs with nothing but filters and projections read."""
    try:
        tree = sqlglot.parse_one(sql, dialect=dialect)
    except SqlglotError:
        return None
    levels: list[exp.Select] = []
    node: exp.Expr | None = tree
    while isinstance(node, exp.Select) and not any(node.args.get(name) for name in _PLAIN):
        levels.append(node)
        source = node.args.get("from_")
        node = source.this if source is not None else None
        if isinstance(node, exp.Subquery) and not node.args.get("pivots"):
            node = node.this
    if not isinstance(node, exp.Table) or node.args.get("pivots") or node.args.get("sample"):
        return None
    return tree, levels, node


def pin_by_key(
    work: Workspace, stage: Stage, sql: str, contracts: Sequence[FunctionContract], *, keep_results: bool
) -> tuple[KeyedCall, ...]:
    """Make the stage and the new inputs of its calls, while the caller holds the warehouse.

    Args:
        sql: what ``by_row`` gave.
        contracts: of the calls, in order.
        keep_results: results that the store has may be copied into the stage.

    Raises:
        StoreError: a key occurs twice in a store.
    """
    held.begin(work)
    found = [_call(work, stage, position, contract, keep_results) for position, contract in enumerate(contracts)]
    _stage(work, stage, sql, contracts, found)
    return tuple(_inputs(work, stage, sql, position, keyed) for position, keyed in enumerate(found))


def _call(work: Workspace, stage: Stage, position: int, contract: FunctionContract, keep_results: bool) -> KeyedCall:
    store = StoreTable(contract)
    work.execute(store.create())
    narrow = not any(output.data_type.endswith("]") or output.data_type == "BLOB" for output in contract.outputs)
    rows = count(work, store.relation)
    state = f"__sqlinfer_state_{position}" if rows else None
    known = f"__sqlinfer_known_{position}" if rows and keep_results and narrow else None
    return KeyedCall(stage.calls[position], state, known, None, 0, rows)


def _stage(
    work: Workspace, stage: Stage, sql: str, contracts: Sequence[FunctionContract], found: Sequence[KeyedCall]
) -> None:
    names = dict.fromkeys(stage.columns)
    for keyed in found:
        names |= dict.fromkeys(name for name in (keyed.call.key, keyed.call.status) if name)
    items = [f"q.{quote(name)}" for name in (*names, ROW)]
    source = f"({sql}) AS q"
    for position, (keyed, contract) in enumerate(zip(found, contracts, strict=True)):
        if keyed.state is None:
            continue
        key, alias = f"q.{quote(keyed.call.key or '')}", f"l{position}"
        source += f" LEFT JOIN ({_carried(StoreTable(contract), keyed)}) AS {alias} ON {alias}.input_key = {key}"
        state = f"CASE WHEN {alias}.state IS NOT NULL THEN {alias}.state WHEN {key} IS NOT NULL THEN {NEW} END"
        items.append(f"CAST({state} AS UTINYINT) AS {keyed.state}")
        if keyed.known:
            items.append(f"{alias}.result AS {keyed.known}")
    rows = held.held(stage)
    work.execute(f"CREATE OR REPLACE TABLE {rows.sql()} AS SELECT {', '.join(items)} FROM {source}")
    work.execute(f"CREATE OR REPLACE VIEW {stage.relation.sql()} AS FROM {rows.sql()}")
    if any(keyed.store_rows for keyed in found):
        read, made = int(work.rows(f"SELECT count(*) FROM ({sql})")[0][0]), count(work, rows)
        if made != read:
            raise holds_twice(stage.calls[0].function, read, made)


def _carried(store: StoreTable, keyed: KeyedCall) -> str:
    """What of the store goes through the join. An error's text would nearly double it."""
    result = f", {store.value('l')} AS result" if keyed.known else ""
    state = f"CAST(CASE WHEN l.error IS NULL THEN {KNOWN} ELSE {FAILED} END AS UTINYINT)"
    return f"SELECT l.input_key, {state} AS state{result} FROM {store.relation.sql()} AS l"


def _inputs(work: Workspace, stage: Stage, sql: str, position: int, keyed: KeyedCall) -> KeyedCall:
    key = quote(keyed.call.key or "")
    todo, new = held.held(stage, held.TODO, position), held.held(stage, held.NEW, position)
    work.execute(
        f"CREATE OR REPLACE TABLE {todo.sql()} AS SELECT min({ROW}) AS row_id, {key} AS input_key "
        f"FROM {stage.relation.sql()} WHERE {keyed.is_new()} GROUP BY {key}"
    )
    wanted = count(work, todo)
    if wanted:
        arguments = ", ".join(f"q.{quote(name)}" for name in dict.fromkeys(keyed.call.arguments))
        source = (
            f"SELECT t.input_key AS {key}, {arguments} FROM {todo.sql()} AS t JOIN ({sql}) AS q ON q.{ROW} = t.row_id"
        )
        if keyed.store_rows == 0 and wanted == _keyed_rows(work, stage, key):
            # The first night, and no input twice: every row with a key, without a join.
            source = f"SELECT q.{key}, {arguments} FROM ({sql}) AS q WHERE q.{key} IS NOT NULL"
        work.execute(f"CREATE OR REPLACE TABLE {new.sql()} AS {source}")
    work.execute(f"DROP TABLE {todo.sql()}")
    return replace(keyed, inputs=new if wanted else None, wanted=wanted)


def _keyed_rows(work: Workspace, stage: Stage, key: str) -> int:
    return int(work.rows(f"SELECT count({key}) FROM {stage.relation.sql()}")[0][0])


def gather_fresh(
    work: Workspace, stage: Stage, position: int, keyed: KeyedCall, store: StoreTable, run_id: str
) -> Relation | None:
    """Where the results of NEW rows are once they are scored: the store, or a copy of its rows where they are few."""
    if keyed.inputs is None:
        return None
    if keyed.wanted * 4 > count(work, store.relation):
        return store.relation
    fresh, rows = held.held(stage, held.FRESH, position), store.relation.sql()
    wanted = f"SEMI JOIN {keyed.inputs.sql()} AS n ON n.{quote(keyed.call.key or '')} = l.input_key"
    work.execute(f"CREATE OR REPLACE TABLE {fresh.sql()} AS FROM {rows} WHERE run_id = {literal(run_id)}")
    if int(work.rows(f"SELECT count(*) FROM {fresh.sql()} AS l {wanted}")[0][0]) != keyed.wanted:
        # Some were scored by another run in the meantime.
        work.execute(f"CREATE OR REPLACE TABLE {fresh.sql()} AS SELECT l.* FROM {rows} AS l {wanted}")
    return fresh
