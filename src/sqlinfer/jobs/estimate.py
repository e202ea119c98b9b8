"""``--estimate``: rows of each call before anything is scored. Stages are read into memory, the store is only read."""

from __future__ import annotations

from collections.abc import Mapping

from sqlinfer.adapters.base import Adapter, PinOptions
from sqlinfer.jobs.explain import Estimate
from sqlinfer.spec.plan import Plan


def estimate(plan: Plan, adapter: Adapter) -> Mapping[str, Estimate]:
    """Output column of a call → its rows. Stages that read predictions of others are left out."""
    if not any(stage.calls for stage in plan.early):
        return {}
    with adapter.scratch() as work, work.warehouse():
        pinned = work.pin(plan, plan.early, PinOptions()).values()
        found = {call.output: work.forecast(one, call) for one in pinned for call in one.stage.calls}
    return {
        output: Estimate(one.inputs, one.distinct, one.known, one.distinct - one.known, one.null_inputs, one.errors)
        for output, one in found.items()
    }
