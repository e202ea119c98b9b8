"""Whether what stages want to score is within the bounds of the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sqlinfer.adapters.base import Pinned
from sqlinfer.runner.bounds import Wanted
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.spec.plan import Call
from sqlinfer.spec.rates import seconds_per_row


def admit(env: RunEnvironment, stages: Iterable[Pinned]) -> None:
    """Nothing of the stages is scored yet.

    Raises:
        BoundReached: they would pass a bound.
    """
    if env.bounds.any:
        env.bounds.admit([one for stage in stages for one in _wanted(env, stage)])


def _wanted(env: RunEnvironment, pinned: Pinned) -> Iterator[Wanted]:
    stored: dict[str, list[Call]] = {}
    for call in pinned.stage.calls:
        if call.strategy == "store":
            stored.setdefault(call.digest, []).append(call)
        else:
            yield _of(env, pinned, (call,))
    for calls in stored.values():
        yield _of(env, pinned, calls)


def _of(env: RunEnvironment, pinned: Pinned, calls: Sequence[Call]) -> Wanted:
    rows = env.workspace.unscored(pinned, calls)
    contract = env.function(calls[0].function, calls[0].digest).contract
    return Wanted(rows, rows * seconds_per_row(contract, env.rate(contract)))
