"""Stages of a plan → pinned relations in the side catalog. All that read the warehouse alone share one snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from sqlinfer.adapters.base import Workspace
from sqlinfer.failpoints import fail_point
from sqlinfer.relation import Relation
from sqlinfer.runner import keyed, parts
from sqlinfer.runner.store import store_name
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.names import ERRORS, SIDE, STORE, result_name
from sqlinfer.spec.plan import Call, Plan, Stage

FUSE_SECONDS = 20.0
_PER_ROW, _FLOPS = 3e-7, 5e10
"""Seconds a row for reading and writing; operations a second of two cores (measured: 1.3e11 for a matrix product)."""


def early(plan: Plan) -> tuple[Stage, ...]:
    """Stages that depend on no scored relation: one snapshot of the warehouse holds for all of them."""
    late: set[str] = set()
    found = []
    for stage in plan.stages:
        if stage.reads.stages & late:
            late |= {stage.relation.name}
        else:
            found.append(stage)
        late |= {stage.scored.name} if stage.scored else set()
    return tuple(found)


def can_fuse(work: Workspace, plan: Plan, contracts: Iterable[FunctionContract], least: int) -> bool:
    """Whether the one stage may be read straight into the session, the stream itself being what pins its rows.

    That holds the warehouse open for reading while scoring runs, so it must be worth it (``least`` rows) and quick.
    Call it with the warehouse attached.
    """
    if not work.persistent or len(plan.stages) != 1 or not plan.calls:
        return False
    if any(call.strategy != "stream" for call in plan.calls) or parts.is_in_parts(plan.stages[0]):
        return False
    rows = work.estimate(plan.stages[0].sql)
    if rows is None or rows < least:
        return False
    cost = sum(contract.cost_per_row for contract in contracts)
    return rows * (_PER_ROW + cost / _FLOPS) < FUSE_SECONDS


def pin(
    work: Workspace,
    stages: Iterable[Stage],
    plan: Plan,
    contracts: Mapping[str, FunctionContract],
    *,
    keep_results: bool = False,
    least: int | None = None,
) -> dict[str, tuple[keyed.KeyedCall, ...]]:
    """Materialise stages from one snapshot of the warehouse, which is attached only if one of them reads it.

    Returns the calls of stages that were made by key, by the name of the stage: those of ``least`` rows (None: none).
    """
    wanted = tuple(stages)
    if not wanted:
        return {}
    found = {}
    touches = any(stage.reads.warehouse for stage in wanted)
    with work.warehouse() if touches else nullcontext():
        by_row = {stage: _by_row(work, stage, plan, least) for stage in wanted}
        for stage, source in by_row.items():
            if source is not None:
                called = [contracts[call.function] for call in stage.calls]
                found[stage.name] = keyed.pin_by_key(work, stage, source, called, keep_results=keep_results)
        with work.fleeting(), work.transaction():
            for stage, source in by_row.items():
                if source is None:
                    work.execute(f"CREATE OR REPLACE TABLE {stage.relation.sql()} AS {stage.sql}")
            fail_point("before_stage_commit")
    fail_point("after_stage")
    return found


def _by_row(work: Workspace, stage: Stage, plan: Plan, least: int | None) -> keyed.ByRow | None:
    source = None if least is None else keyed.by_row(work, stage, least)
    return None if source is None or _is_read_again(stage, plan) else source


def _is_read_again(stage: Stage, plan: Plan) -> bool:
    """Whether the rest of the plan reads the stage itself, not only its scored relation."""
    others = [other.reads for other in plan.stages if other is not stage] + [plan.result.reads]
    return any(stage.relation.name in reads.stages for reads in others)


def result_relation(work: Workspace, side: str) -> Relation:
    return replace(work.namespace, name=result_name(side))


def store_relation(call: Call) -> Relation:
    return Relation(store_name(call.function, call.digest), STORE, SIDE)


def drop(work: Workspace, relation: Relation) -> None:
    """A table or a view of the side catalog, if it is there."""
    found = work.rows(
        "SELECT 'VIEW' FROM duckdb_views() WHERE database_name = ? AND schema_name = ? AND view_name = ? "
        "UNION ALL SELECT 'TABLE' FROM duckdb_tables() WHERE database_name = ? AND schema_name = ? AND table_name = ?",
        (relation.catalog, relation.schema, relation.name) * 2,
    )
    for (kind,) in found:
        work.execute(f"DROP {kind} {relation.sql()}")


def clear(work: Workspace, plan: Plan) -> None:
    """Leftovers of an earlier run of the node go before it starts (views first, they read the tables)."""
    relations = [result_relation(work, plan.owner.side)]
    relations += [stage.scored for stage in reversed(plan.stages) if stage.scored]
    relations += [stage.relation for stage in plan.stages]
    relations += [part for stage in plan.stages for part in parts.relations(stage)]
    for relation in relations:
        drop(work, relation)


def clear_older(work: Workspace, plan: Plan) -> None:
    """What an earlier version left under the node's plain name."""
    older = [result_name(plan.node)]
    older += [f"{plan.node}__{stage.name}{kind}" for stage in reversed(plan.stages) for kind in ("_scored", "")]
    for name in older:
        drop(work, replace(work.namespace, name=name))
    work.execute(f"DROP TABLE IF EXISTS {Relation(plan.node, ERRORS, SIDE).sql()}")


@contextmanager
def attached_if(work: Workspace, wanted: bool) -> Iterator[None]:
    with work.warehouse() if wanted else nullcontext():
        yield
