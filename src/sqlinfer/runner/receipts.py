"""What a node has spent so far, from its counts and seconds."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.usage import peak_memory
from sqlinfer.spec.plan import Counts, Plan
from sqlinfer.spec.prices import Prices
from sqlinfer.spec.rates import seconds_per_row
from sqlinfer.spec.receipt import Receipt
from sqlinfer.spec.seconds import Seconds

_ENOUGH = 1_000
"""Scored rows from which on their own speed is known."""


def receipt_of(env: RunEnvironment, plan: Plan, counts: Counts, seconds: Seconds, elapsed: float) -> Receipt:
    """Of a node that calls functions. ``elapsed``: seconds since it started."""
    at_work = _alone(seconds, "kernel")
    used = dict.fromkeys(env.devices[call.digest] for call in plan.calls if call.digest in env.devices)
    return Receipt(
        counts, elapsed, {name: _alone(seconds, name) for name in seconds.spent}, peak_memory(),
        ", ".join(used) if at_work and used else None, at_work, _saved(env, plan, counts, seconds),
        tuple(dict.fromkeys(call.function for call in plan.calls)), env.prices,
    )  # fmt: skip


def from_payload(raw: dict[str, Any] | None) -> Receipt | None:
    """What was kept with a publication that waits."""
    if raw is None:
        return None
    known = {field.name for field in fields(Receipt)}
    given = {name: value for name, value in raw.items() if name in known}
    given |= {"counts": Counts(**given["counts"]), "functions": tuple(given["functions"])}
    return Receipt(**given | {"prices": Prices(**given["prices"]) if given.get("prices") else None})


def _alone(seconds: Seconds, *stages: str) -> float:
    """Seconds on a clock on the wall, the threads of each stage side by side."""
    return sum(seconds.spent.get(name, 0.0) / seconds.threads.get(name, 1) for name in stages)


def _saved(env: RunEnvironment, plan: Plan, counts: Counts, seconds: Seconds) -> float:
    """What scoring the remembered rows would have taken: at tonight's speed, else as measured or estimated."""
    if not counts.reused:
        return 0.0
    spent = _alone(seconds, "assemble", "kernel", "finish")
    if counts.scored >= _ENOUGH and spent:
        return counts.reused * spent / counts.scored
    contracts = [env.function(call.function, call.digest).contract for call in plan.calls]
    each = [seconds_per_row(contract, env.rate(contract)) for contract in contracts]
    return counts.reused * sum(each) / len(each)
