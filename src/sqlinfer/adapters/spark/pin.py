"""Stages of a plan → tables of this run. A pure stream that reads the same rows each time is left unread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import PinOptions
from sqlinfer.adapters.spark import error_log
from sqlinfer.adapters.spark.adoption import adoption
from sqlinfer.adapters.spark.pinned import SparkPinned, cut_files, is_known_mostly
from sqlinfer.adapters.spark.scored import show, written
from sqlinfer.adapters.spark.store import SparkStore
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
        rows = _rows_where_they_are(work, plan, pinned)
        if rows is not None:
            again = replace(stage.relation, name=f"{stage.relation.name}__again")
            show(work, again, stage.sql)
            pinned.source, pinned.rows, pinned.is_read_again = again, rows, True
        elif not _stays_unread(work, plan, pinned):
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


def _rows_where_they_are(work: SparkScoring, plan: Plan, pinned: SparkPinned) -> int | None:
    """How many rows the stage has, where it is read when it is compared with its store, and again for the arguments of
    what is new: where the store knows most of its inputs, writing all arguments costs more. None: it is written.

    What is published was read at once: keys and arguments of a row go together whatever was changed in between.
    """
    stage, least = pinned.stage, pinned.options.keyed_rows
    if not work.persistent or least is None or len(plan.stages) != 1 or plan.reads_again(stage):
        return None
    if (
        not stage.reproducible
        or stage.scan is None
        or len(pinned.groups) != 1
        or pinned.groups[0][0].strategy != "store"
    ):
        return None
    known = SparkStore.of(work, pinned.options.contracts[stage.calls[0].function]).rows()
    if known < least:
        return None
    rows = int(work.session.value(f"SELECT count(*) FROM ({stage.sql}) AS q"))
    return rows if is_known_mostly(known, rows) else None
