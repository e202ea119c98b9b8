"""Stages → scored relations, by the verbs of the workspace: pin, then find, score and look up each group of calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter

from sqlinfer.adapters.base import Materialization, Pinned, PinOptions, Todo
from sqlinfer.errors import RunError
from sqlinfer.runner import crash_notes
from sqlinfer.runner.admission import admit
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.scorer import FunctionScorer
from sqlinfer.spec.events import Progress
from sqlinfer.spec.identity import Identity
from sqlinfer.spec.plan import Call, Counts, Plan, Stage
from sqlinfer.spec.scorer import ChunkLimits, Tally, Watch
from sqlinfer.spec.seconds import Seconds

CallCounts = tuple[tuple[Call, Counts], ...]
"""Each call of a plan that was scored, and its counts."""


def total(scored: CallCounts) -> Counts:
    return sum((counts for _, counts in scored), Counts())


def score_plan(
    env: RunEnvironment,
    plan: Plan,
    shown: Identity,
    seconds: Seconds,
    *,
    lineage: bool = False,
    remembered: bool = False,
    early: Mapping[str, Pinned] | None = None,
    into: Materialization | None = None,
) -> CallCounts:
    """Pin and score every stage in order.

    Args:
        shown: what error records show of a row.
        lineage: the scored relations must tell which run scored a row.
        remembered: in a scratch workspace, what durable stores hold is used.
        early: what ``pin_early`` gave before.
        into: what becomes of the result, where a table takes it as it is.
    """
    contracts = {call.function: env.function(call.function, call.digest).contract for call in plan.calls}
    unread = None if env.bounds.any else env.fuse_bytes  # what is not read yet cannot be counted
    options = PinOptions(
        contracts, shown, lineage, remembered, unread, env.keyed_rows, chunk_rows=env.store_chunk, into=into
    )
    pinned = _pin(env, plan, plan.early, options, seconds) if early is None else dict(early)
    admit(env, pinned.values())
    counted: CallCounts = ()
    for stage in plan.stages:
        env.stop_if_cancelled()
        if stage.name not in pinned:
            late = _pin(env, plan, (stage,), replace(options, unread_bytes=None, keyed_rows=None), seconds)
            admit(env, late.values())
            pinned |= late
        for calls in pinned[stage.name].groups:
            counted += _score_group(env, plan, pinned[stage.name], calls, seconds)
    return counted


def pin_early(env: RunEnvironment, plan: Plan, seconds: Seconds) -> dict[str, Pinned]:
    """Copies of the rows that the plan's first calls are made on, to be scored later, whatever becomes of the rest."""
    contracts = {call.function: env.function(call.function, call.digest).contract for call in plan.calls}
    return _pin(env, plan, plan.early, PinOptions(contracts), seconds)


def _pin(
    env: RunEnvironment, plan: Plan, stages: Sequence[Stage], options: PinOptions, seconds: Seconds
) -> dict[str, Pinned]:
    if not stages:
        return {}
    began = perf_counter()
    found: Mapping[str, Pinned] = env.workspace.pin(plan, stages, options)
    seconds.add("stage", perf_counter() - began)
    return dict(found)


def _score_group(
    env: RunEnvironment, plan: Plan, pinned: Pinned, calls: tuple[Call, ...], seconds: Seconds
) -> CallCounts:
    if calls[0].strategy == "stream":
        todo = env.workspace.find(pinned, calls)
        tallies = _score(env, plan, todo, env.stream_limits, seconds)
        env.workspace.look_up(pinned, calls)
        return tuple((call, tally.counts) for call, tally in zip(calls, tallies, strict=True))
    began = perf_counter()
    todo = env.workspace.find(pinned, calls)
    seconds.add("find", perf_counter() - began)
    scored = 0
    if todo.wanted:
        (tally,) = _score(env, plan, todo, env.store_limits, seconds, times=len(calls))
        scored = tally.counts.scored
    began = perf_counter()
    looked_up = env.workspace.look_up(pinned, calls)
    seconds.add("reconcile", perf_counter() - began)
    return _with_scored(calls, looked_up, scored)


def _with_scored(calls: tuple[Call, ...], looked_up: tuple[Counts, ...], scored: int) -> CallCounts:
    """An input that several calls have was scored once: it counts for the first of them."""
    counted, left = list[tuple[Call, Counts]](), scored
    for call, counts in zip(calls, looked_up, strict=True):
        fresh = min(left, counts.reused)
        counted.append((call, replace(counts, scored=fresh, reused=counts.reused - fresh)))
        left -= fresh
    if left:
        found = sum(looked_up, Counts())
        raise RunError(
            f"counts of {calls[0].sql} do not reconcile: {found.inputs} inputs, {scored} scored, {found.errors} errors"
        )
    return tuple(counted)


def _score(
    env: RunEnvironment, plan: Plan, todo: Todo, limits: ChunkLimits, seconds: Seconds, times: int = 1
) -> tuple[Tally, ...]:
    """``times``: how many calls have their inputs in one row of the stage."""
    work, node = env.workspace, plan.owner.key
    functions = tuple(env.function(call.function, call.digest) for call in todo.calls)
    policies = tuple(env.error_policy(function.contract).together(times) for function in functions)
    name = todo.calls[-1].function

    def told(done: int, wanted: int | None, spent: Mapping[str, float]) -> None:
        env.emit(Progress(node, name, done, wanted, spent))

    watch = Watch(limits, env.cancel, seconds, partial(crash_notes.advance, work, functions), told)
    with crash_notes.noted(env, node, functions, todo.progress) as factory:
        return work.score(todo, FunctionScorer(todo.calls, functions, policies, factory), watch)


def refuse_bad_night(env: RunEnvironment, plan: Plan, scored: CallCounts) -> None:
    """Raise RunError where too many inputs of a call failed."""
    for call, counts in scored:
        policy = env.error_policy(env.function(call.function, call.digest).contract)
        if not policy.accepts(counts.inputs, counts.errors):
            records = env.workspace.error_records(plan.owner)
            found = env.workspace.error_classes(plan.owner, call.function)
            classes = ", ".join(f"{count} {name}" for name, count in found)
            raise RunError(
                f"{counts.errors} of {counts.inputs} inputs of {call.function} failed ({classes}), more than "
                f"max_error_rate {policy.max_rate:g}; the published table is unchanged",
                hint=f"the records are in {env.workspace.place}, table {records.schema}.{records.name}; raise "
                "max_error_rate if this is expected, or put the cause right and `sqlinfer retry --errors`",
            )
