"""Stages → scored relations: store calls first (look-up views), then one stream pass for the rest."""

from __future__ import annotations

from time import perf_counter

from sqlinfer.errors import RunError
from sqlinfer.relation import quote
from sqlinfer.runner import errorlog, staging
from sqlinfer.runner.environment import RATE_COUNTS_FROM, RunEnvironment
from sqlinfer.runner.scoring_store import Seconds, lookup_columns, reconcile, score_into_store
from sqlinfer.runner.scoring_stream import StreamPass, run_stream
from sqlinfer.runner.store import count
from sqlinfer.spec.plan import Call, Counts, Plan, Stage


def score_plan(env: RunEnvironment, plan: Plan, unique_key: tuple[str, ...], seconds: Seconds) -> Counts:
    """Pin and score every stage in order."""
    errorlog.start(env.workspace, plan.node)
    contracts = [env.function(call.function, call.digest).contract for call in plan.calls]
    if len(plan.stages) == 1 and all(call.strategy == "stream" for call in plan.calls):
        with env.workspace.warehouse():
            if staging.can_fuse(env.workspace, plan, contracts):
                return _stream(env, plan, plan.stages[0], unique_key, seconds, fused=True)
    first = staging.early(plan)
    _pin(env, first, plan, seconds)
    total = Counts()
    for stage in plan.stages:
        env.stop_if_cancelled()
        if stage not in first:
            _pin(env, (stage,), plan, seconds)
        if stage.calls:
            total += _score_stage(env, plan, stage, unique_key, seconds)
    return total


def _pin(env: RunEnvironment, stages: tuple[Stage, ...], plan: Plan, seconds: Seconds) -> None:
    began = perf_counter()
    staging.pin(env.workspace, stages, plan.dialect)
    seconds.add("stage", perf_counter() - began)


def _score_stage(
    env: RunEnvironment, plan: Plan, stage: Stage, unique_key: tuple[str, ...], seconds: Seconds
) -> Counts:
    total = Counts()
    stored = tuple(call for call in stage.calls if call.strategy == "store")
    for call in stored:
        scored = score_into_store(env, plan.node, stage, call, seconds)
        began = perf_counter()
        total += reconcile(env, plan.node, stage, call, scored, unique_key)
        seconds.add("reconcile", perf_counter() - began)
    if len(stored) < len(stage.calls):
        return total + _stream(env, plan, stage, unique_key, seconds)
    if stage.scored is None:
        raise RunError(f"stage {stage.name} has calls but no scored relation")
    items, source = lookup_columns(env, stage, stored, stage.columns)
    env.workspace.execute(f"CREATE OR REPLACE VIEW {stage.scored.sql()} AS SELECT {', '.join(items)} FROM {source}")
    return total


def _stream(
    env: RunEnvironment,
    plan: Plan,
    stage: Stage,
    unique_key: tuple[str, ...],
    seconds: Seconds,
    *,
    fused: bool = False,
) -> Counts:
    stored = tuple(call for call in stage.calls if call.strategy == "store")
    calls = tuple(call for call in stage.calls if call.strategy == "stream")
    read = dict.fromkeys(stage.columns)
    for call in calls:
        read |= dict.fromkeys((*call.arguments, *((call.status,) if call.status else ())))
    if fused:
        source, total = f"SELECT {', '.join(quote(name) for name in read)} FROM ({stage.sql})", None
    else:
        items, tables = lookup_columns(env, stage, stored, [name for name in read if name not in _outputs(stored)])
        source, total = f"SELECT {', '.join(items)} FROM {tables}", count(env.workspace, stage.relation)
    columns = (*stage.columns, *(call.output for call in stored))
    work = StreamPass(plan.node, stage, calls, source, columns, total, unique_key)
    return sum(run_stream(env, work, seconds), Counts())


def _outputs(calls: tuple[Call, ...]) -> set[str]:
    return {call.output for call in calls}


def refuse_bad_night(env: RunEnvironment, plan: Plan, counts: Counts) -> None:
    """Raise RunError where too many inputs failed. Few bad rows in a small table are no bad night."""
    allowed = env.error_rate(*(env.function(call.function, call.digest).contract for call in plan.calls))
    errors, inputs = counts.errors, counts.inputs
    if not errors or errors <= allowed * inputs:
        return
    if allowed > 0 and errors <= RATE_COUNTS_FROM and errors * 2 <= inputs:
        return
    records = errorlog.relation(plan.node)
    raise RunError(
        f"{errors} of {inputs} inputs failed ({errorlog.summary(env.workspace, plan.node)}), more than max_error_rate "
        f"{allowed:g}; the published table is unchanged",
        hint=f"the records are in {env.workspace.place}, table {records.schema}.{records.name}; raise max_error_rate "
        "if this is expected, or put the cause right and `sqlinfer retry --errors`",
    )
