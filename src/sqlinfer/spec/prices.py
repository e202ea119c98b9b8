"""What the machine costs, as a project declares it, and what a run costs by that. Pure arithmetic."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

HOURS_A_MONTH = 730.0
"""As clouds bill them: 365 days of 24 hours, in 12 months."""
_DAY = 24 / HOURS_A_MONTH
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Amounts of one currency; None: not declared."""

    currency: str
    on_demand: float | None = None
    """One device for an hour."""
    spot: float | None = None
    """The same on capacity that may be taken away."""
    endpoint_month: float | None = None
    """One always-on endpoint, which serves one function, for a month."""

    @property
    def hour(self) -> float | None:
        """What an hour costs at most."""
        return self.on_demand if self.on_demand is not None else self.spot


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run, in ``currency``. None: no such price is declared."""

    currency: str
    on_demand: float | None = None
    spot: float | None = None
    per_million_on_demand: float | None = None
    """A million predictions, scored or looked up, at what these cost."""
    per_million_spot: float | None = None
    rescoring_on_demand: float | None = None
    """The same run, had it scored every row."""
    rescoring_spot: float | None = None
    endpoint: float | None = None
    """An always-on endpoint for each function, for the day that the run is for."""
    endpoint_per_million: float | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def cost_of(prices: Prices, seconds: float, predictions: int, saved: float, functions: int) -> Cost:
    """What a run costs.

    Args:
        seconds: how long it had the device.
        predictions: rows that got an answer.
        saved: seconds that scoring the remembered rows would have taken.
        functions: how many it called.

    >>> cost = cost_of(Prices("USD", 1.2, 0.36, 730), 3600, 2_000_000, 1800, 1)
    >>> cost.on_demand, cost.spot, cost.per_million_on_demand, cost.rescoring_on_demand, cost.endpoint
    (1.2, 0.36, 0.6, 1.8, 24.0)
    """
    endpoint = None if prices.endpoint_month is None else round(prices.endpoint_month * _DAY * functions, 12)
    whole = seconds + saved
    on_demand, spot = _for(seconds, prices.on_demand), _for(seconds, prices.spot)
    return Cost(
        prices.currency, on_demand, spot, _each(on_demand, predictions), _each(spot, predictions),
        _for(whole, prices.on_demand), _for(whole, prices.spot), endpoint, _each(endpoint, predictions),
    )  # fmt: skip


def _for(seconds: float, an_hour: float | None) -> float | None:
    return None if an_hour is None else round(seconds / 3600 * an_hour, 12)


def _each(cost: float | None, predictions: int) -> float | None:
    return round(cost / predictions * _MILLION, 12) if cost is not None and predictions else None
