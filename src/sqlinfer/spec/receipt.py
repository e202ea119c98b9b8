"""What a node, or a whole run, has done and spent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlinfer.spec.plan import Counts
from sqlinfer.spec.prices import Cost, Prices, cost_of


@dataclass(frozen=True, slots=True)
class Receipt:
    counts: Counts = field(default_factory=Counts)
    elapsed: float = 0.0
    """Seconds from the start to the end, on a clock on the wall."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Stage of the work → seconds, its threads side by side."""
    peak_memory: int | None = None
    """Bytes: the most that the process has held so far."""
    device: str | None = None
    """What scored; None where everything was remembered."""
    device_seconds: float = 0.0
    """How long the device was at work."""
    saved: float = 0.0
    """Seconds that scoring the remembered rows would have taken, at a measured or estimated rate."""
    functions: tuple[str, ...] = ()
    """Names of what was called."""
    prices: Prices | None = None

    @property
    def bound_by(self) -> str | None:
        """The stage that took longest: the one to make faster."""
        return max(self.seconds, key=lambda name: self.seconds[name]) if self.seconds else None

    @property
    def busy(self) -> float | None:
        """The share of the time that the device was at work."""
        if self.device is None or not self.elapsed:
            return None
        return min(1.0, self.device_seconds / self.elapsed)

    @property
    def rows_per_second(self) -> float | None:
        return self.counts.inputs / self.elapsed if self.elapsed else None

    @property
    def cost(self) -> Cost | None:
        if self.prices is None:
            return None
        predictions = self.counts.scored + self.counts.reused
        return cost_of(self.prices, self.elapsed, predictions, self.saved, len(set(self.functions)))

    def later(self, stage: str, seconds: float) -> Receipt:
        """With one more stage, which took so long."""
        spent = {**self.seconds, stage: self.seconds.get(stage, 0.0) + seconds}
        return replace(self, elapsed=self.elapsed + seconds, seconds=spent)

    def as_json(self) -> dict[str, Any]:
        counts, cost = self.counts, self.cost
        return {
            "rows_in": counts.inputs, "scored": counts.scored, "reused": counts.reused, "null": counts.null_inputs,
            "errors": counts.errors, "elapsed_seconds": self.elapsed, "seconds": dict(self.seconds),
            "bound_by": self.bound_by, "peak_memory_bytes": self.peak_memory, "device": self.device,
            "device_busy": self.busy, "rows_per_second": self.rows_per_second,
            "cost": cost.as_json() if cost else None,
        }  # fmt: skip

    def as_record(self) -> dict[str, object]:
        """Column of the run record → value, for what is not there as a count."""
        cost = self.cost
        return {
            "elapsed_seconds": self.elapsed, "seconds": json.dumps(dict(self.seconds)), "bound_by": self.bound_by,
            "peak_memory_bytes": self.peak_memory, "device": self.device, "device_busy": self.busy,
            "rows_per_second": self.rows_per_second,
            **({f"cost_{name}": value for name, value in cost.as_json().items()} if cost else {}),
        }  # fmt: skip


RECORDED = {
    "elapsed_seconds": "DOUBLE", "seconds": "TEXT", "bound_by": "TEXT", "peak_memory_bytes": "BIGINT", "device": "TEXT",
    "device_busy": "DOUBLE", "rows_per_second": "DOUBLE", "cost_currency": "TEXT",
    **dict.fromkeys((f"cost_{name}" for name in Cost.__slots__ if name != "currency"), "DOUBLE"),
}  # fmt: skip
"""Columns of the run record that a receipt fills, and their types."""


def total(receipts: Iterable[Receipt], elapsed: float, peak_memory: int | None) -> Receipt:
    """Of all nodes of a run that took ``elapsed`` seconds."""
    found = tuple(receipts)
    seconds: dict[str, float] = {}
    for one in found:
        for stage, spent in one.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
    devices = dict.fromkeys(one.device for one in found if one.device)
    return Receipt(
        sum((one.counts for one in found), Counts()), elapsed, seconds, peak_memory, ", ".join(devices) or None,
        sum(one.device_seconds for one in found), sum(one.saved for one in found),
        tuple(dict.fromkeys(name for one in found for name in one.functions)),
        next((one.prices for one in found if one.prices), None),
    )  # fmt: skip
