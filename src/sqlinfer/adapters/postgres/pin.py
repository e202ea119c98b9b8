"""Stages of a plan → unlogged tables, all from one snapshot of the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import PinOptions
from sqlinfer.adapters.postgres import error_log
from sqlinfer.adapters.postgres.pinned import PostgresPinned
from sqlinfer.failpoints import fail_point
from sqlinfer.relation import Relation
from sqlinfer.spec.names import ROW
from sqlinfer.spec.plan import Plan, Stage

if TYPE_CHECKING:
    from sqlinfer.adapters.postgres.workspace import PostgresWorkspace


def pin(work: PostgresWorkspace, plan: Plan, stages: Sequence[Stage], options: PinOptions) -> dict[str, PostgresPinned]:
    found = {}
    error_log.make(work, plan.owner)
    with work.session.transaction("ISOLATION LEVEL REPEATABLE READ"):
        work.session.prepare_heavy()
        for stage in stages:
            drop_any(work, stage.relation)
            lead = f"{work.create_unlogged} {stage.relation.sql()} AS {_numbered(stage)}"
            rows = work.session.execute(f"{lead}{stage.sql}{_end(stage)}", lead)
            found[stage.name] = PostgresPinned(stage, plan.owner, options, rows)
        fail_point("before_stage_commit")
    work.remember(found.values())
    for stage in stages:
        work.session.analyze(stage.relation)
    fail_point("after_stage")
    return found


def _is_numbered(stage: Stage) -> bool:
    return any(call.strategy == "stream" for call in stage.calls)


def _numbered(stage: Stage) -> str:
    return f"SELECT *, row_number() OVER () AS {ROW} FROM (\n" if _is_numbered(stage) else ""


def _end(stage: Stage) -> str:
    return "\n) AS q" if _is_numbered(stage) else ""


def drop_any(work: PostgresWorkspace, relation: Relation) -> None:
    """A table or a view of ours, with the views that read it."""
    kind = work.kind(relation)
    if kind is not None:
        work.session.execute(f"DROP {kind.upper()} {relation.sql()} CASCADE")
