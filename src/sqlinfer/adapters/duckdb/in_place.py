"""Looking up by place: most nights change few rows and no order.

What a node's rows were last time, key and result, is laid beside their keys of tonight by position, in one pass without
a join. Where the keys are equal the result is known; the other rows are looked up in the store. Nothing depends on the
order: where many rows stand elsewhere, all of them go through a join with the store. After a first night, results are
found in the same way. What comes out has the source's order, so that publishing can compare by position, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb import row_order
from sqlinfer.adapters.duckdb.keyed_call import FAILED, KNOWN, NEW, ByRow, KeyedCall, Placed, known_name, state_name
from sqlinfer.adapters.duckdb.row_order import Seen
from sqlinfer.adapters.duckdb.scratch import FOUND, MOVED, PLAIN, scratch
from sqlinfer.adapters.duckdb.store import StoreTable, count, holds_twice
from sqlinfer.errors import RunError
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.names import ROW
from sqlinfer.spec.plan import Owner, Stage

if TYPE_CHECKING:
    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace

_SHARE = 5
"""One row in so many may stand elsewhere."""


def may_stand(
    work: DuckDBWorkspace,
    owner: Owner,
    source: ByRow,
    found: Sequence[KeyedCall],
    stores: Sequence[StoreTable],
) -> bool:
    """Whether it is worth a try: the stores know most, and there is an order to compare with."""
    names = {store.name for store in stores}
    if source.rows < row_order.FEWEST or len(names) < len(found) or not all(one.known and one.carried for one in found):
        return False
    return all(row_order.is_tried(work, owner, store) for store in stores)


def place(
    work: DuckDBWorkspace,
    owner: Owner,
    stage: Stage,
    plain: Relation,
    found: Sequence[KeyedCall],
    stores: Sequence[StoreTable],
) -> list[KeyedCall] | None:
    """Make the stage of its ``plain`` rows; None where too many of them stand elsewhere.

    Raises:
        StoreError: a key occurs twice in a store.
    """
    placed = _all_placed(work, owner, stage, plain, found, stores)
    if placed is not None:
        _view(work, stage, plain, placed)
    return placed


def place_scored(
    work: DuckDBWorkspace, owner: Owner, stage: Stage, found: Sequence[KeyedCall], stores: Sequence[StoreTable]
) -> list[KeyedCall] | None:
    """After a first night whose inputs were all different: the stores have filled in the order of the rows. None where
    they have not: rows without a key, inputs that occur twice, errors in many of them.

    Raises:
        StoreError: a key occurs twice in a store.
    """
    rows, plain = scratch(stage), scratch(stage, PLAIN)
    many = count(work, rows)
    if many < row_order.FEWEST or any(keyed.store_rows or keyed.wanted != many for keyed in found):
        return None
    if not all(store.is_narrow and count(work, store.relation) == many for store in stores):
        return None
    work.execute(f"ALTER TABLE {rows.sql()} RENAME TO {quote(plain.name)}")
    named = [
        replace(keyed, state=state_name(position), known=known_name(position)) for position, keyed in enumerate(found)
    ]
    placed = _all_placed(work, owner, stage, plain, named, stores)
    if placed is None:
        work.execute(f"ALTER TABLE {plain.sql()} RENAME TO {quote(rows.name)}")
    else:
        _view(work, stage, plain, placed)
    return placed


def _all_placed(
    work: DuckDBWorkspace,
    owner: Owner,
    stage: Stage,
    plain: Relation,
    found: Sequence[KeyedCall],
    stores: Sequence[StoreTable],
) -> list[KeyedCall] | None:
    rows, placed = count(work, plain), []
    for position, (keyed, store) in enumerate(zip(found, stores, strict=True)):
        seen = row_order.seen(work, owner, store)
        one = _placed(work, stage, position, plain, keyed, store, seen, rows)
        row_order.note(work, owner, store, seen, stands=one is not None)
        if one is None:
            return None
        placed.append(replace(keyed, placed=one))
    return placed


def _placed(
    work: DuckDBWorkspace,
    stage: Stage,
    position: int,
    plain: Relation,
    keyed: KeyedCall,
    store: StoreTable,
    seen: Seen,
    rows: int,
) -> Placed | None:
    found, moved = scratch(stage, FOUND, position), scratch(stage, MOVED, position)
    key = quote(keyed.call.key or "")
    same = f"(p.{key} = l.input_key AND {seen.holds})"
    work.execute(
        f"CREATE OR REPLACE TABLE {found.sql()} AS SELECT p.{ROW} AS place, "
        f"CAST(CASE WHEN {same} THEN {KNOWN} WHEN p.{key} IS NOT NULL THEN {NEW} END AS UTINYINT) AS state, "
        f"CASE WHEN {same} THEN {seen.value} END AS result "
        f"FROM {plain.sql()} AS p POSITIONAL JOIN {seen.relation.sql()} AS l WHERE p.{ROW} IS NOT NULL"
    )
    others = int(work.rows(f"SELECT count(*) FROM {found.sql()} WHERE state = {NEW}")[0][0])
    if others > rows // _SHARE:
        work.execute(f"DROP TABLE {found.sql()}")
        return None
    work.execute(
        f"CREATE OR REPLACE TABLE {moved.sql()} AS SELECT f.rowid AS place, p.{key} AS input_key "
        f"FROM {plain.sql()} AS p POSITIONAL JOIN {found.sql()} AS f WHERE f.state = {NEW}"
    )
    placed = Placed(plain, found, moved, others, rows)
    _look_up(work, placed, keyed, store)
    return placed if _is_aligned(work, placed) else None


def _look_up(work: DuckDBWorkspace, placed: Placed, keyed: KeyedCall, store: StoreTable) -> None:
    """What the store knows of rows that stand elsewhere."""
    known = replace(placed.moved, name=f"{placed.moved.name}_known")
    work.execute(
        f"CREATE OR REPLACE TABLE {known.sql()} AS SELECT m.place, r.state, r.result FROM {placed.moved.sql()} AS m "
        f"JOIN ({remembered(store, keyed)}) AS r ON r.input_key = m.input_key"
    )
    became, places = work.rows(f"SELECT count(*), count(DISTINCT place) FROM {known.sql()}")[0]
    if became != places:
        raise holds_twice(keyed.call.function, placed.rows, placed.rows + became - places)
    if became:
        work.execute(
            f"UPDATE {placed.found.sql()} AS f SET state = k.state, result = k.result FROM {known.sql()} AS k "
            "WHERE f.rowid = k.place"
        )
    work.execute(f"DROP TABLE {known.sql()}")


def fill(work: DuckDBWorkspace, placed: Placed, store: StoreTable, fresh: Relation) -> None:
    """Put new results in their places. ``fresh``: rows of the store that have them.

    Raises:
        RunError: rows have changed places.
    """
    work.execute(
        f"UPDATE {placed.found.sql()} AS f SET result = n.result FROM (SELECT m.place, {store.value('l')} AS result "
        f"FROM {placed.moved.sql()} AS m JOIN {fresh.sql()} AS l ON l.input_key = m.input_key) AS n "
        "WHERE f.rowid = n.place"
    )
    if not _is_aligned(work, placed):
        raise RunError("new results were put beside the wrong rows; nothing was published")


def _view(work: DuckDBWorkspace, stage: Stage, plain: Relation, found: Sequence[KeyedCall]) -> None:
    """Results beside the rows; who needs only the rows reads them with all threads."""
    items, source = ["p.*"], f"{plain.sql()} AS p"
    for position, keyed in enumerate(found):
        assert keyed.placed is not None
        source += f" POSITIONAL JOIN {keyed.placed.found.sql()} AS f{position}"
        items += [f"f{position}.state AS {keyed.state}", f"f{position}.result AS {keyed.known}"]
    work.execute(f"CREATE OR REPLACE VIEW {scratch(stage).sql()} AS SELECT {', '.join(items)} FROM {source}")
    work.execute(f"CREATE OR REPLACE VIEW {stage.relation.sql()} AS FROM {plain.sql()}")


def _is_aligned(work: DuckDBWorkspace, placed: Placed) -> bool:
    """Whether every row is beside its own: DuckDB updates rows of some types by deleting and inserting them."""
    pairs = f"{placed.plain.sql()} AS p POSITIONAL JOIN {placed.found.sql()} AS f"
    return not work.rows(f"SELECT 1 FROM {pairs} WHERE p.{ROW} IS DISTINCT FROM f.place LIMIT 1")


def remembered(store: StoreTable, keyed: KeyedCall) -> str:
    """What of the store goes through the join. An error's text would nearly double it."""
    result = f", {store.value('l')} AS result" if keyed.known else ""
    state = f"CAST(CASE WHEN l.error IS NULL THEN {KNOWN} ELSE {FAILED} END AS UTINYINT)"
    return f"SELECT l.input_key, {state} AS state{result} FROM {store.relation.sql()} AS l"
