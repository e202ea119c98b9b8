"""Stages → scored relations: store calls first (look-up views), then one stream pass for the rest."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from itertools import groupby
from time import perf_counter

from sqlinfer.errors import RunError
from sqlinfer.relation import quote
from sqlinfer.runner import errorlog, parts, staging
from sqlinfer.runner.admission import admit
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.held import begin, held
from sqlinfer.runner.identity import Identity
from sqlinfer.runner.keyed import KeyedCall, forget_inputs, gather_fresh
from sqlinfer.runner.lookup import LookUp, lookup_columns, reconcile
from sqlinfer.runner.scoring_parts import settle, side_by_side
from sqlinfer.runner.scoring_store import score_into_store, score_together
from sqlinfer.runner.scoring_stream import StreamPass, run_stream
from sqlinfer.runner.store import StoreTable, count
from sqlinfer.spec.plan import Call, Counts, Plan, Stage
from sqlinfer.spec.seconds import Seconds

Keyed = dict[str, tuple[KeyedCall, ...]]
"""Name of a stage that was staged by key → its calls."""
CallCounts = tuple[tuple[Call, Counts], ...]
"""Each call of a plan that was scored, and its counts."""


def total(scored: CallCounts) -> Counts:
    return sum((counts for _, counts in scored), Counts())


def score_plan(
    env: RunEnvironment, plan: Plan, identity: Identity, seconds: Seconds, *, lineage: bool = False
) -> CallCounts:
    """Pin and score every stage in order. ``lineage``: the scored relations must tell which run scored a row."""
    errorlog.start(env.workspace, plan.owner)
    contracts = [env.function(call.function, call.digest).contract for call in plan.calls]
    if len(plan.stages) == 1 and all(call.strategy == "stream" for call in plan.calls) and not env.bounds.any:
        with env.workspace.warehouse():
            if staging.can_fuse(env.workspace, plan, contracts, env.fuse_rows):
                return _stream(env, plan, plan.stages[0], identity, seconds, fused=True)
    first = staging.early(plan)
    keyed = _pin(env, first, plan, seconds, keep_results=not lineage)
    admit(env, first)
    found: list[tuple[Call, Counts]] = []
    for stage in plan.stages:
        env.stop_if_cancelled()
        if stage not in first:
            _pin(env, (stage,), plan, seconds)
            admit(env, (stage,))
        if stage.calls:
            found += _score_stage(env, plan, stage, identity, seconds, keyed.get(stage.name, ()))
    return tuple(found)


def _pin(
    env: RunEnvironment, stages: tuple[Stage, ...], plan: Plan, seconds: Seconds, *, keep_results: bool = False
) -> Keyed:
    began = perf_counter()
    contracts = {call.function: env.function(call.function, call.digest).contract for call in plan.calls}
    keyed = staging.pin(env.workspace, stages, plan, contracts, keep_results=keep_results, least=env.keyed_rows)
    seconds.add("stage", perf_counter() - began)
    return keyed


def _score_stage(
    env: RunEnvironment,
    plan: Plan,
    stage: Stage,
    identity: Identity,
    seconds: Seconds,
    keyed: tuple[KeyedCall, ...],
) -> CallCounts:
    if parts.is_in_parts(stage):
        return _score_in_parts(env, plan, stage, identity, seconds)
    counted: list[tuple[Call, Counts]] = []
    found = []
    for position, call in enumerate(stage.calls):
        if call.strategy == "store":
            one = keyed[position] if keyed else None
            scored = score_into_store(env, plan.owner, stage, call, seconds, one)
            began = perf_counter()
            found.append(_look_up(env, stage, position, one))
            counted.append((call, reconcile(env, plan.owner, stage, found[-1], scored, identity)))
            if one is not None:
                forget_inputs(env.workspace, one)
            seconds.add("reconcile", perf_counter() - began)
    if len(found) < len(stage.calls):
        return (*counted, *_stream(env, plan, stage, identity, seconds, stored=tuple(found)))
    if stage.scored is None:
        raise RunError(f"stage {stage.name} has calls but no scored relation")
    items, source = lookup_columns(stage, found, stage.columns)
    env.workspace.execute(f"CREATE OR REPLACE VIEW {stage.scored.sql()} AS SELECT {', '.join(items)} FROM {source}")
    return tuple(counted)


def _score_in_parts(env: RunEnvironment, plan: Plan, stage: Stage, identity: Identity, seconds: Seconds) -> CallCounts:
    """A stage of many calls. The first columns of a part are those that error records name a row by."""
    if stage.scored is None:
        raise RunError(f"stage {stage.name} has calls but no scored relation")
    counted: list[tuple[Call, Counts]] = []
    named = identity.carried(stage)
    for number, calls in enumerate(parts.groups(stage.calls)):
        part = replace(stage, calls=calls, columns=named, scored=parts.relation(stage, number))
        if calls[0].strategy == "stream":
            counted += _stream(env, plan, part, identity, seconds)
        else:
            counts, found = _score_together(env, plan, part, identity, seconds)
            settle(env.workspace, stage, number, found)
            counted += counts
    side_by_side(env.workspace, stage, stage.scored)
    return tuple(counted)


def _score_together(
    env: RunEnvironment, plan: Plan, part: Stage, identity: Identity, seconds: Seconds
) -> tuple[CallCounts, list[LookUp]]:
    """The look-ups of a part; the inputs of calls of one function are found and scored in one pass."""
    counted, found = list[tuple[Call, Counts]](), list[LookUp]()
    for _, same in groupby(enumerate(part.calls), key=lambda one: one[1].digest):
        calls = tuple(same)
        left = score_together(env, plan.owner, part, [call for _, call in calls], seconds)
        began = perf_counter()
        for position, call in calls:
            found.append(_look_up(env, part, position, None))
            counts = reconcile(env, plan.owner, part, found[-1], 0, identity)
            fresh = min(left, counts.reused)  # an input that several calls have was scored once
            counted.append((call, replace(counts, scored=fresh, reused=counts.reused - fresh)))
            left -= fresh
        seconds.add("reconcile", perf_counter() - began)
    return tuple(counted), found


def _look_up(env: RunEnvironment, stage: Stage, position: int, keyed: KeyedCall | None) -> LookUp:
    call = stage.calls[position]
    store = StoreTable(env.function(call.function, call.digest).contract)
    if keyed is None:
        return LookUp(call, store, store.relation)
    if keyed.known is None:
        return LookUp(call, store, store.relation, keyed)
    return LookUp(call, store, gather_fresh(env.workspace, stage, position, keyed, store, env.run_id), keyed)


def _stream(
    env: RunEnvironment,
    plan: Plan,
    stage: Stage,
    identity: Identity,
    seconds: Seconds,
    *,
    stored: tuple[LookUp, ...] = (),
    fused: bool = False,
) -> CallCounts:
    """``stored``: the stage's calls that were scored into the store."""
    calls = tuple(call for call in stage.calls if call.strategy == "stream")
    read = dict.fromkeys(stage.columns)
    for call in calls:
        read |= dict.fromkeys((*call.arguments, *((call.status,) if call.status else ())))
    if fused:
        source, rows = f"SELECT {', '.join(quote(name) for name in read)} FROM ({stage.sql})", None
    else:
        known = {one.call.output for one in stored}
        items, tables = lookup_columns(stage, stored, [name for name in read if name not in known])
        source, rows = f"SELECT {', '.join(items)} FROM {tables}", count(env.workspace, stage.relation)
    if stage.scored is None:
        raise RunError(f"stage {stage.name} has calls but no scored relation")
    if fused:
        begin(env.workspace)
    table = held(stage) if fused else stage.scored
    columns = (*stage.columns, *(one.call.output for one in stored))
    work = StreamPass(plan.owner, stage, calls, source, table, columns, rows, identity)
    scanned = stage.scan.columns if fused and stage.reproducible and stage.scan is not None else None
    with nullcontext() if scanned is None else env.workspace.passing(scanned):
        counts = run_stream(env, work, seconds)
    if fused:
        env.workspace.execute(f"CREATE OR REPLACE VIEW {stage.scored.sql()} AS FROM {table.sql()}")
    return tuple(zip(calls, counts, strict=True))


def refuse_bad_night(env: RunEnvironment, plan: Plan, scored: CallCounts) -> None:
    """Raise RunError where too many inputs of a call failed."""
    for call, counts in scored:
        policy = env.error_policy(env.function(call.function, call.digest).contract)
        if not policy.accepts(counts.inputs, counts.errors):
            records = errorlog.relation(plan.owner.side)
            classes = errorlog.summary(env.workspace, plan.owner, call.function)
            raise RunError(
                f"{counts.errors} of {counts.inputs} inputs of {call.function} failed ({classes}), more than "
                f"max_error_rate {policy.max_rate:g}; the published table is unchanged",
                hint=f"the records are in {env.workspace.place}, table {records.schema}.{records.name}; raise "
                "max_error_rate if this is expected, or put the cause right and `sqlinfer retry --errors`",
            )
