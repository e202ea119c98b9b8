"""``run --estimate``: what a run would score and cost. Tables and the store are read, nothing is scored or written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlinfer.compiler.compiled import CompiledNode
from sqlinfer.errors import BoundReached, SqlinferError
from sqlinfer.jobs import planning
from sqlinfer.jobs.functions import rate
from sqlinfer.jobs.night import Night, compile_nodes
from sqlinfer.runner.bounds import Wanted
from sqlinfer.spec.prices import Cost, cost_of
from sqlinfer.spec.rates import seconds_per_row


@dataclass(frozen=True, slots=True)
class NodeForecast:
    unique_id: str
    name: str
    rows: int = 0
    reused: int = 0
    """Distinct inputs that are remembered."""
    to_score: int = 0
    seconds: float = 0.0
    """Of scoring, at the measured or estimated rate of each function."""
    functions: int = 0
    refused: str = ""
    """Which bound it would pass, or why its rows cannot be counted yet."""

    def as_json(self) -> dict[str, Any]:
        return {
            "unique_id": self.unique_id, "rows": self.rows, "reused": self.reused, "to_score": self.to_score,
            "seconds": self.seconds, "refused": self.refused or None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunForecast:
    nodes: tuple[NodeForecast, ...]
    cost: Cost | None = None
    """Of the seconds of scoring."""

    @property
    def to_score(self) -> int:
        return sum(one.to_score for one in self.nodes)

    @property
    def seconds(self) -> float:
        return sum(one.seconds for one in self.nodes)

    @property
    def exit_code(self) -> int:
        return 1 if any(one.refused for one in self.nodes) else 0

    def as_json(self) -> dict[str, Any]:
        return {
            "nodes": [one.as_json() for one in self.nodes], "to_score": self.to_score, "seconds": self.seconds,
            "cost": self.cost.as_json() if self.cost else None,
        }  # fmt: skip


def forecast(night: Night, ids: Sequence[str]) -> RunForecast:
    """Every chosen model that calls functions. Raises the first error of compiling."""
    night.warn(night.project.warnings)
    with night.compiler() as compiler:
        compiled = compile_nodes(compiler, ids, night.project)
    for item in compiled.values():
        if isinstance(item, SqlinferError):
            raise item
    found = [
        _node(night, uid, item) for uid, item in compiled.items() if isinstance(item, CompiledNode) and item.plan.stages
    ]
    prices, rows = night.project.prices, sum(one.rows for one in found)
    seconds = sum(one.seconds for one in found)
    cost = None if prices is None else cost_of(prices, seconds, rows, 0.0, sum(one.functions for one in found))
    return RunForecast(tuple(found), cost)


def _node(night: Night, unique_id: str, item: CompiledNode) -> NodeForecast:
    name = night.project.nodes[unique_id].name
    try:
        estimates = planning.expected(night, item.plan)
    except SqlinferError as error:
        return NodeForecast(unique_id, name, refused=f"its rows cannot be counted before the run: {error.message}")
    wanted = []
    for call in item.plan.calls:
        if call.output in estimates:
            contract = night.functions[call.function].contract
            rows = estimates[call.output].to_score
            wanted.append(Wanted(rows, rows * seconds_per_row(contract, rate(night.project, contract))))
    refused = ""
    try:
        night.bounds.admit(wanted)
    except BoundReached as error:
        refused = error.message
    return NodeForecast(
        unique_id, name, sum(one.rows for one in estimates.values()), sum(one.reused for one in estimates.values()),
        sum(one.rows for one in wanted), sum(one.seconds for one in wanted),
        len({call.function for call in item.plan.calls}), refused,
    )  # fmt: skip
