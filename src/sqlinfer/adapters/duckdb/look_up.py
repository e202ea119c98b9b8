"""What stores know, put beside the rows of a stage: counts, error records, and in the end the scored relation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb import in_place, row_order
from sqlinfer.adapters.duckdb.keyed import forget_inputs, gather_fresh
from sqlinfer.adapters.duckdb.lookups import LookUp, lookup_columns
from sqlinfer.adapters.duckdb.pinned import DuckDBPinned
from sqlinfer.adapters.duckdb.reconcile import reconcile
from sqlinfer.adapters.duckdb.scratch import scratch
from sqlinfer.adapters.duckdb.side_by_side import settle, side_by_side
from sqlinfer.adapters.duckdb.store import StoreTable
from sqlinfer.adapters.shared.groups import is_in_parts
from sqlinfer.errors import RunError
from sqlinfer.spec.plan import Call, Counts, Stage

if TYPE_CHECKING:
    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace


def look_up(work: DuckDBWorkspace, pinned: DuckDBPinned, calls: Sequence[Call]) -> tuple[Counts, ...]:
    if pinned.stage.scored is None:
        raise RunError(f"stage {pinned.stage.name} has calls but no scored relation")
    counts = tuple(_counted(work, pinned, call) for call in calls if call.strategy == "store")
    if is_in_parts(pinned.stage):
        _put_together(work, pinned, calls)
    elif len(pinned.looked_up) == len(pinned.stage.calls):
        _put_in_place(work, pinned)
        items, source = lookup_columns(_with_found(pinned), tuple(pinned.looked_up.values()), pinned.stage.columns)
        scored = pinned.stage.scored.sql()
        work.execute(f"CREATE OR REPLACE VIEW {scored} AS SELECT {', '.join(items)} FROM {source}")
    return counts


def _counted(work: DuckDBWorkspace, pinned: DuckDBPinned, call: Call) -> Counts:
    stage = pinned.part_of(call)[1] if is_in_parts(pinned.stage) else _with_found(pinned)
    found = pinned.looked_up[call.output] = _where(work, pinned, call)
    counts = reconcile(work, pinned.owner, stage, found, pinned.options.shown)
    if found.keyed is not None:
        if found.keyed.placed is not None and found.table is not None:
            in_place.fill(work, found.keyed.placed, found.store, found.table)
            pinned.looked_up[call.output] = replace(found, table=None)
        row_order.keep(work, pinned.owner, pinned.stage, found.keyed, found.store)
        forget_inputs(work, found.keyed)
    return counts


def _put_in_place(work: DuckDBWorkspace, pinned: DuckDBPinned) -> None:
    """After a first night results are found by place, where they stand as their rows do."""
    if pinned.options.lineage or not pinned.keyed or any(keyed.placed or keyed.state for keyed in pinned.keyed):
        return
    stores = [StoreTable(pinned.options.contracts[keyed.call.function]) for keyed in pinned.keyed]
    placed = in_place.place_scored(work, pinned.owner, pinned.stage, pinned.keyed, stores)
    if placed is not None:
        pinned.keyed = tuple(placed)
        for keyed, store in zip(placed, stores, strict=True):
            pinned.looked_up[keyed.call.output] = LookUp(keyed.call, store, None, keyed)


def _with_found(pinned: DuckDBPinned) -> Stage:
    """The stage, its relation the one that has what is known of its calls."""
    if not any(keyed.placed for keyed in pinned.keyed):
        return pinned.stage
    return replace(pinned.stage, relation=scratch(pinned.stage))


def _where(work: DuckDBWorkspace, pinned: DuckDBPinned, call: Call) -> LookUp:
    store, keyed = StoreTable(pinned.options.contracts[call.function]), pinned.keyed_call(call)
    if keyed is None or keyed.known is None:
        return LookUp(call, store, store.relation, keyed)
    position = pinned.stage.calls.index(call)
    return LookUp(call, store, gather_fresh(work, pinned.stage, position, keyed, store, work.run_id), keyed)


def _put_together(work: DuckDBWorkspace, pinned: DuckDBPinned, calls: Sequence[Call]) -> None:
    number, part = pinned.part_of(calls[0])
    if calls[0].strategy == "store" and pinned.is_done(part.calls):
        settle(work, part, number, [pinned.looked_up[call.output] for call in part.calls])
    if pinned.is_done(pinned.stage.calls):
        assert pinned.stage.scored is not None
        side_by_side(work, pinned.stage, pinned.stage.scored)
