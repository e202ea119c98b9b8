"""What a run may spend, and what it has spent."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from sqlinfer.errors import UsageError
from sqlinfer.jobs.options import RunOptions
from sqlinfer.runner.bounds import Bounds
from sqlinfer.runner.results import RunResult
from sqlinfer.runner.usage import peak_memory
from sqlinfer.spec.prices import Prices
from sqlinfer.spec.receipt import total

if TYPE_CHECKING:
    from sqlinfer.jobs.night import Night


def bounds_of(options: RunOptions, prices: Prices | None, began: float) -> Bounds:
    """Raises UsageError: a cost without prices."""
    hour = prices.hour if prices is not None else None
    if options.max_cost is not None and hour is None:
        raise UsageError(
            "--max-cost needs to know what an hour of the device costs",
            hint="declare it in sqlinfer_project.yml: prices: {currency: USD, device_hour: {on_demand: 1.20}}; "
            "in dbt_project.yml under vars: {sqlinfer: {prices: …}}",
        )
    return Bounds(
        options.max_rows, options.max_seconds, options.max_cost, hour or 0.0, prices.currency if prices else "",
        began=began,
    )  # fmt: skip


def settled(night: Night, result: RunResult) -> RunResult:
    """With the receipt of the whole run, and the bound that ended it."""
    receipts = [item.receipt for item in result.results if item.receipt is not None]
    whole = total(receipts, monotonic() - night.began, peak_memory()) if receipts else None
    reason = night.bounds.over() or ""
    left = any(item.status == "skipped" and item.message == reason for item in result.results)
    return replace(result, receipt=whole, stopped=reason if left else "")
