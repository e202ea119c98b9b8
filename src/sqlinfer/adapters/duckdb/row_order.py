"""In which order a node's rows stood last: key and result of each, in the side file, for ``in_place``.

A node that has none yet is compared with the store itself, which a first night fills in the order of its rows. Where
rows stand elsewhere every night, an order is of no use: it is written and tried less and less often.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb.keyed_call import KNOWN, KeyedCall
from sqlinfer.adapters.duckdb.names import META, SIDE
from sqlinfer.adapters.duckdb.scratch import PLAIN, scratch
from sqlinfer.adapters.duckdb.store import StoreTable, count
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.names import ROW
from sqlinfer.spec.plan import Owner, Stage

if TYPE_CHECKING:
    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace

FEWEST = 100_000
"""Rows from which a join with the store is worth sparing."""
_DRIFT = 20
"""One row in so many may have moved before the order is written anew."""
_LONGEST = 32
"""Nights without a try, at most."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the rows are compared with. In SQL it is ``l``."""

    relation: Relation
    holds: str
    """SQL: the row has a result."""
    value: str
    """SQL: the result."""
    is_own: bool
    """It is the node's order, not the store."""


def relation(side: str, store: str) -> Relation:
    """``side``: ``Owner.side``."""
    return Relation(f"order__{side}__{store}", META, SIDE)


def seen(work: DuckDBWorkspace, owner: Owner, store: StoreTable) -> Seen:
    own = relation(owner.side, store.name)
    if work.has(own):
        return Seen(own, "TRUE", "l.result", True)
    return Seen(store.relation, "l.error IS NULL", store.value("l"), False)


def is_tried(work: DuckDBWorkspace, owner: Owner, store: StoreTable) -> bool:
    return work.has(relation(owner.side, store.name)) or _waits(work, owner, store) is None


def is_due(work: DuckDBWorkspace, owner: Owner, store: StoreTable) -> bool:
    """Whether the order of a night that has joined the store is written down. Not where all of the file is uploaded."""
    return work.settings.place.folder is None and not (_waits(work, owner, store) or (0, 0))[0]


def note(work: DuckDBWorkspace, owner: Owner, store: StoreTable, tried: Seen, *, stands: bool) -> None:
    """``stands``: most rows stood where they did."""
    if not tried.is_own:
        return
    if stands:
        _wait(work, owner, store, None)
        return
    work.execute(f"DROP TABLE {tried.relation.sql()}")
    _, longer = _waits(work, owner, store) or (0, 1)
    _wait(work, owner, store, (longer, min(_LONGEST, longer * 2)))


def keep(work: DuckDBWorkspace, owner: Owner, stage: Stage, keyed: KeyedCall, store: StoreTable) -> None:
    """After scoring: write the order down, where it is due."""
    if keyed.placed is not None:
        if keyed.placed.others > keyed.placed.rows // _DRIFT and work.settings.place.folder is None:
            found, plain = keyed.placed.found.sql(), scratch(stage, PLAIN).sql()
            _write(work, owner, store, keyed, "f.state", "f.result", f"{plain} AS p POSITIONAL JOIN {found} AS f", "")
        return
    rows = scratch(stage)
    many = count(work, rows)
    if keyed.known is None or many < FEWEST or many * 2 < keyed.store_rows:
        return
    if is_due(work, owner, store):
        state, result = f"p.{keyed.state}", f"p.{keyed.known}"
        _write(work, owner, store, keyed, state, result, f"{rows.sql()} AS p", f" ORDER BY p.{ROW}")
        return
    waits = _waits(work, owner, store)
    if waits is not None:
        _wait(work, owner, store, (waits[0] - 1, waits[1]))


def _write(
    work: DuckDBWorkspace, owner: Owner, store: StoreTable, keyed: KeyedCall, state: str, result: str, source: str,
    order: str,
) -> None:  # fmt: skip
    key = f"CASE WHEN {state} = {KNOWN} THEN p.{quote(keyed.call.key or '')} END"
    with work.uncompressed():
        work.execute(
            f"CREATE OR REPLACE TABLE {relation(owner.side, store.name).sql()} AS "
            f"SELECT {key} AS input_key, {result} AS result FROM {source}{order}"
        )


def drop(work: DuckDBWorkspace, side: str, store: str) -> None:
    """The node uses the store no more."""
    work.execute(f"DROP TABLE IF EXISTS {relation(side, store).sql()}")
    work.note("order", f"{store} {side}", None)


def _waits(work: DuckDBWorkspace, owner: Owner, store: StoreTable) -> tuple[int, int] | None:
    """Nights until it is tried again, and how many the next time."""
    found = work.notes("order").get(f"{store.name} {owner.side}")
    return None if found is None else (found["wait"], found["longer"])


def _wait(work: DuckDBWorkspace, owner: Owner, store: StoreTable, waits: tuple[int, int] | None) -> None:
    payload = None if waits is None else {"wait": waits[0], "longer": waits[1]}
    work.note("order", f"{store.name} {owner.side}", payload)
