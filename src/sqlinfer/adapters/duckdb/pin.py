"""Stages of a plan → relations that stand still. All that read the warehouse alone share one snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import PinOptions
from sqlinfer.adapters.duckdb import keyed
from sqlinfer.adapters.duckdb.keyed_call import ByRow
from sqlinfer.adapters.duckdb.pinned import DuckDBPinned
from sqlinfer.adapters.duckdb.quick import QUICK_ROWS
from sqlinfer.adapters.duckdb.statements import filled
from sqlinfer.adapters.shared.groups import is_in_parts
from sqlinfer.failpoints import fail_point
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.plan import Plan, Stage
from sqlinfer.spec.rates import estimated_seconds
from sqlinfer.types import value_bytes

if TYPE_CHECKING:
    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace

UNREAD_SECONDS = 20.0
"""So long a pass may hold the warehouse open."""
WIDEST = 16 << 10
"""Bytes of a row, more than nearly any has: a few rows need not be looked at any closer."""


def pin(work: DuckDBWorkspace, plan: Plan, stages: Sequence[Stage], options: PinOptions) -> dict[str, DuckDBPinned]:
    found = {stage.name: DuckDBPinned(stage, plan.owner, options) for stage in stages}
    touches = any(stage.reads.warehouse for stage in stages)
    with work.warehouse(brief=True) if touches else nullcontext():
        quick = work.settle(stage.sql for stage in stages if stage.reads.warehouse)
        quick = quick and all(stage.reads.warehouse for stage in stages)
        if _may_stay_unread(work, plan, options):
            for one in found.values():
                one.unread = True
            return found
        by_row = {stage: _by_row(work, stage, plan, options) for stage in stages}
        for stage, source in by_row.items():
            if source is not None:
                contracts = [options.contracts[call.function] for call in stage.calls]
                found[stage.name].keyed = keyed.pin_by_key(
                    work, plan.owner, stage, source, contracts, keep_results=not options.lineage
                )
        _copy(work, [found[stage.name] for stage, source in by_row.items() if source is None], quick=quick)
    fail_point("after_stage")
    return found


def _copy(work: DuckDBWorkspace, wanted: Iterable[DuckDBPinned], *, quick: bool) -> None:
    with work.uncompressed(QUICK_ROWS if quick else None), work.transaction():
        for one in wanted:
            relation = one.stage.relation
            one.rows = filled(work, relation, f"CREATE OR REPLACE TABLE {relation.sql()} AS {one.stage.sql}")
        fail_point("before_stage_commit")


def _may_stay_unread(work: DuckDBWorkspace, plan: Plan, options: PinOptions) -> bool:
    """Whether the one stage may be read straight into the session, the stream itself being what pins its rows.

    That holds the warehouse open for reading while scoring runs, so it must be worth it and quick.
    """
    if options.unread_bytes is None or not work.persistent or len(plan.stages) != 1 or not plan.calls:
        return False
    if any(call.strategy != "stream" for call in plan.calls) or is_in_parts(plan.stages[0]):
        return False
    rows = work.estimate(plan.stages[0].sql)
    if (
        rows is None
        or rows * WIDEST < options.unread_bytes
        or rows * _row_bytes(work, plan.stages[0]) < options.unread_bytes
    ):
        return False
    return rows * estimated_seconds(_operations(plan, options)) < UNREAD_SECONDS


def _row_bytes(work: DuckDBWorkspace, stage: Stage) -> int:
    return sum(value_bytes(column.data_type) for column in work.describe(stage.sql))


def _operations(plan: Plan, options: PinOptions) -> float:
    """For one row."""
    contracts: list[FunctionContract] = [options.contracts[call.function] for call in plan.calls]
    return sum(contract.cost_per_row for contract in contracts)


def _by_row(work: DuckDBWorkspace, stage: Stage, plan: Plan, options: PinOptions) -> ByRow | None:
    source = None if options.keyed_rows is None else keyed.by_row(work, stage, options.keyed_rows)
    return None if source is None or plan.reads_again(stage) else source
