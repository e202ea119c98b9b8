"""The receipt of a run: what each prediction node did, took and cost. In: results. Out: lines."""

from __future__ import annotations

from collections.abc import Iterator
from math import floor, log10

from sqlinfer.cli.lines import Line, name_of
from sqlinfer.runner.results import RunResult
from sqlinfer.shown import counted
from sqlinfer.spec.prices import Cost
from sqlinfer.spec.receipt import Receipt

_SHOWN = 0.005
"""Stages below take no part in the line; the JSON has all."""


def receipts(result: RunResult) -> Iterator[Line]:
    """A receipt for each prediction node; where there are several, one in total."""
    found = [(item.unique_id, item.receipt) for item in result.results if item.receipt is not None]
    for unique_id, one in found:
        yield from lines(f"Receipt {name_of(unique_id)}", one, {"unique_id": unique_id})
    if result.receipt is not None:
        yield from lines("Receipt in total", result.receipt, {"unique_id": None})


def lines(title: str, receipt: Receipt, data: dict[str, str | None]) -> Iterator[Line]:
    """The first line carries all of it for programs."""
    counts = receipt.counts
    parts = [f"{counted(counts.inputs, 'row')} in", f"{counts.scored:,} scored", f"{counts.reused:,} reused"]
    parts += [f"{counts.null_inputs:,} null", counted(counts.errors, "error")]
    yield Line(f"{title}: {', '.join(parts)}", data={**data, "receipt": receipt.as_json()})
    yield Line(f"  {', '.join(_spent(receipt))}")
    if receipt.cost is not None:
        yield from (Line(f"  {text}") for text in _cost(receipt.cost, counts.reused))


def _spent(receipt: Receipt) -> Iterator[str]:
    stages = [
        f"{name} {seconds:.2f}{' (bound)' if name == receipt.bound_by else ''}"
        for name, seconds in receipt.seconds.items()
        if seconds >= _SHOWN or name == receipt.bound_by
    ]
    yield f"{receipt.elapsed:.2f} s" + (f" ({', '.join(stages)})" if stages else "")
    if receipt.rows_per_second is not None:
        yield f"{receipt.rows_per_second:,.0f} rows/s"
    if receipt.busy is not None:
        yield f"{receipt.device} busy {receipt.busy:.0%}"
    if receipt.peak_memory is not None:
        yield f"peak memory {receipt.peak_memory / 1e6:,.0f} MB"


def _cost(cost: Cost, reused: int) -> Iterator[str]:
    run = amounts(cost, cost.on_demand, cost.spot)
    million = amounts(cost, cost.per_million_on_demand, cost.per_million_spot)
    if run:
        yield f"cost {run}" + (f"; a million predictions {million}" if million else "")
    instead = amounts(cost, cost.rescoring_on_demand, cost.rescoring_spot)
    beside = [f"scoring every row {instead}"] if instead and reused else []
    if cost.endpoint is not None:
        each = f", {amount(cost.endpoint_per_million)} a million" if cost.endpoint_per_million is not None else ""
        beside.append(f"an always-on endpoint {amount(cost.endpoint)} {cost.currency} a day{each}")
    if beside:
        yield f"instead of {'; '.join(beside)}"


def amounts(cost: Cost, on_demand: float | None, spot: float | None) -> str:
    parts = [] if on_demand is None else [f"{amount(on_demand)} {cost.currency}"]
    parts += [] if spot is None else [f"{amount(spot)} {cost.currency} on spot"]
    return ", ".join(parts)


def amount(value: float) -> str:
    """
    Three digits that say something at least.

    >>> amount(8.219178), amount(0.00013666), amount(1234.5), amount(0.0)
    ('8.22', '0.000137', '1,234.50', '0.00')
    """
    return f"{value:,.{2 if value >= 1 or value <= 0 else 2 - floor(log10(value))}f}"
