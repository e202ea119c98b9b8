"""What a node holds in memory between reading the warehouse and publishing: written once, to its published table.

The database in memory spills to a temporary folder when it grows. It goes with the process: the next run reads the
warehouse again then, and scores only what no store remembers.
"""

from __future__ import annotations

from sqlinfer.adapters.base import SCRATCH, Workspace
from sqlinfer.relation import Relation
from sqlinfer.spec.plan import Plan, Stage

ROWS, TODO, NEW, FRESH = "rows", "todo", "new", "fresh"
"""Rows of a stage (scored ones, where they are streamed); of a call: keys to do, their arguments, their results."""


def held(stage: Stage, kind: str = ROWS, position: int = 0) -> Relation:
    return Relation(f"{stage.relation.name}__{kind}{position}", "main", SCRATCH)


def held_result(plan: Plan) -> Relation:
    """The result, where publishing reads it more than once."""
    return Relation(f"{plan.node}__result", "main", SCRATCH)


def holds(work: Workspace, plan: Plan) -> bool:
    """Whether what the plan's scored relations read is gone when the process is."""
    return any(work.has(held(stage)) for stage in plan.stages)


def let_go(work: Workspace, plan: Plan) -> None:
    work.execute(f"DROP TABLE IF EXISTS {held_result(plan).sql()}")
    for stage in plan.stages:
        for kind in (ROWS, TODO, NEW, FRESH):
            for position in range(max(1, len(stage.calls))):
                work.execute(f"DROP TABLE IF EXISTS {held(stage, kind, position).sql()}")
