"""Whether what stages want to score is within the bounds of the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlinfer.adapters.shared.admission import streamed_inputs_sql, unknown_inputs_sql
from sqlinfer.runner import staging
from sqlinfer.runner.bounds import Wanted
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.rates import seconds_per_row
from sqlinfer.spec.plan import Call, Stage


def admit(env: RunEnvironment, stages: Iterable[Stage]) -> None:
    """``stages`` are pinned and nothing of them is scored.

    Raises:
        BoundReached: they would pass a bound.
    """
    if env.bounds.any:
        env.bounds.admit([one for stage in stages for one in _wanted(env, stage)])


def _wanted(env: RunEnvironment, stage: Stage) -> Iterator[Wanted]:
    stored: dict[str, list[Call]] = {}
    for call in stage.calls:
        if call.strategy == "store":
            stored.setdefault(call.digest, []).append(call)
        else:
            yield _of(env, call, streamed_inputs_sql(stage, call))
    for calls in stored.values():
        store = staging.store_relation(calls[0])
        yield _of(env, calls[0], unknown_inputs_sql(stage, calls, store if env.workspace.has(store) else None))


def _of(env: RunEnvironment, call: Call, counting: str) -> Wanted:
    rows = int(env.workspace.rows(counting)[0][0])
    contract = env.function(call.function, call.digest).contract
    return Wanted(rows, rows * seconds_per_row(contract, env.rate(contract)))
