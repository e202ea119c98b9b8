"""Stages of a plan → tables of this run. A pure stream that reads the same rows each time is left unread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import PinOptions
from sqlinfer.adapters.spark import error_log
from sqlinfer.adapters.spark.adoption import adoption
from sqlinfer.adapters.spark.pinned import SparkPinned, cut_files
from sqlinfer.adapters.spark.scored import written
from sqlinfer.failpoints import fail_point
from sqlinfer.spec.plan import Plan, Stage

if TYPE_CHECKING:
    from sqlinfer.adapters.spark.scoring import SparkScoring


def pin(work: SparkScoring, plan: Plan, stages: Sequence[Stage], options: PinOptions) -> dict[str, SparkPinned]:
    if plan.owner.side not in work.error_tables:
        error_log.begin(work, plan.owner)
    found = {}
    for stage in stages:
        pinned = SparkPinned(stage, plan.owner, options, None, None, adoption(work, plan, stage, options))
        if not _stays_unread(work, plan, pinned):
            frame, cut = work.session.frame(stage.sql), cut_files(options)
            pinned.source, counts = written(work, stage.relation, stage.relation.name, frame, {}, cut)
            pinned.rows = counts["rows"]
        found[stage.name] = pinned
        fail_point("before_stage_commit")
    fail_point("after_stage")
    return found


def _stays_unread(work: SparkScoring, plan: Plan, pinned: SparkPinned) -> bool:
    """Tasks are tried again: only what is sure to give the same rows may be read while it is scored."""
    if not work.persistent or pinned.options.unread_bytes is None or len(plan.stages) != 1:
        return False
    groups = pinned.groups
    return pinned.stage.reproducible and len(groups) == 1 and groups[0][0].strategy == "stream"
