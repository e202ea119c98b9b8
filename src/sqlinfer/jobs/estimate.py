"""``--estimate``: rows of each call before anything is scored. Stages are read into memory, the store is only read."""

from __future__ import annotations

from collections.abc import Mapping

from sqlinfer.adapters.base import Adapter, Workspace
from sqlinfer.jobs.explain import Estimate
from sqlinfer.relation import quote
from sqlinfer.runner import staging
from sqlinfer.runner.store import store_name
from sqlinfer.spec.plan import SKIPPED, Call, Plan, Stage


def estimate(plan: Plan, adapter: Adapter) -> Mapping[str, Estimate]:
    """Output column of a call → its rows. Stages that read predictions of others are left out."""
    stages = tuple(stage for stage in staging.early(plan) if stage.calls)
    if not stages:
        return {}
    with adapter.scratch() as work, work.warehouse():
        staging.pin(work, staging.early(plan), plan, {})
        return {call.output: _counted(work, stage, call) for stage in stages for call in stage.calls}


def _counted(work: Workspace, stage: Stage, call: Call) -> Estimate:
    status = quote(call.status) if call.status else "NULL"
    missing = " OR ".join(f"{quote(name)} IS NULL" for name in call.arguments) or "FALSE"
    bad = f"coalesce({status}, '') LIKE 'cast_error%' OR coalesce({status}, '') LIKE 'null_error%'"
    skipped = f"coalesce({status}, '') = '{SKIPPED}'"
    key = quote(call.key) if call.key else "rowid"
    scored = f"NOT ({missing}) AND {status} IS NULL"
    rows, errors, out, inputs, distinct = work.rows(
        f"SELECT count(*), count(*) FILTER (WHERE {bad}), count(*) FILTER (WHERE {skipped}), "
        f"count(*) FILTER (WHERE {scored}), count(DISTINCT {key}) FILTER (WHERE {scored}) FROM {stage.relation.sql()}"
    )[0]
    known = _known(work, stage, call, f"{scored}") if call.key else 0
    return Estimate(rows - out, distinct, known, distinct - known, rows - out - errors - inputs, errors)


def _known(work: Workspace, stage: Stage, call: Call, scored: str) -> int:
    if not work.load_store(store_name(call.function, call.digest)):
        return 0
    store, key = staging.store_relation(call).sql(), quote(call.key or "")
    return int(
        work.rows(
            f"SELECT count(DISTINCT q.{key}) FROM {stage.relation.sql()} AS q WHERE {scored} "
            f"AND EXISTS (SELECT 1 FROM {store} AS s WHERE s.input_key = q.{key})"
        )[0][0]
    )
