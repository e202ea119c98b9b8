"""A plan for people and for programs. In: ``Plan`` and the contracts. Out: a tree as text, or JSON-ready values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.plan import Call, Plan, Stage

BAR, TEE, END, GAP = "│  ", "├─ ", "└─ ", "   "


@dataclass(frozen=True, slots=True)
class Tree:
    label: str
    children: tuple[Tree, ...] = ()

    def lines(self) -> Iterator[str]:
        first, *rest = self.label.splitlines() or [""]
        yield first
        yield from (f"{BAR if self.children else GAP}{line}" for line in rest)
        for position, child in enumerate(self.children):
            last = position == len(self.children) - 1
            for number, line in enumerate(child.lines()):
                yield f"{(END if last else TEE) if number == 0 else (GAP if last else BAR)}{line}"


@dataclass(frozen=True, slots=True)
class Estimate:
    """Rows of one call before it runs; the same numbers that a run reports afterwards."""

    rows: int
    distinct: int
    reused: int
    to_score: int
    null_inputs: int
    errors: int
    seconds: float | None = None
    """Expected time in the session, from the function's measured rate; None: not measured yet."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One node's plan with what is known about its functions."""

    plan: Plan
    materialized: str
    relation: str
    contracts: Mapping[str, FunctionContract] = field(default_factory=dict)
    measured: Mapping[str, str] = field(default_factory=dict)
    """Digest → batch plan in words, where it has been measured on this machine."""
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    """Output column of a call → its estimate."""

    def as_text(self) -> str:
        return "\n".join(tree(self).lines())

    def as_json(self) -> dict[str, Any]:
        return {
            "node": self.plan.node,
            "materialized": self.materialized,
            "relation": self.relation,
            "dialect": self.plan.dialect,
            "rules": list(self.plan.rules),
            "stages": [stage_json(self, stage) for stage in self.plan.stages],
            "result": {"sql": self.plan.result.sql, "columns": list(self.plan.result.columns)},
        }


def tree(explained: Explained) -> Tree:
    plan = explained.plan
    head = f"{plan.node} ({explained.materialized} {explained.relation})"
    stages = tuple(stage_tree(explained, stage) for stage in plan.stages)
    what = "publish" if stages else "run in the warehouse"
    rules = (Tree("rules: " + ", ".join(plan.rules)),) if plan.rules else ()
    return Tree(head, (*rules, *stages, Tree(what, (Tree(plan.result.sql),))))


def stage_tree(explained: Explained, stage: Stage) -> Tree:
    pinned = "read once" if not stage.reproducible else "read from native tables"
    children = [Tree(f"sql ({pinned})", (Tree(stage.sql),))]
    children += [Tree(f"columns: {', '.join(stage.columns)}")] if stage.columns else []
    children += [Tree(f"below the model: {line}") for line in stage.pushed]
    children += [call_tree(explained, call) for call in stage.calls]
    return Tree(f"stage {stage.name}", tuple(children))


def call_tree(explained: Explained, call: Call) -> Tree:
    contract = explained.contracts.get(call.function)
    children = [Tree(f"call: {call.sql}")]
    if contract is not None:
        inputs = ", ".join(f"{a.name} {a.data_type}" for a in contract.arguments)
        reason = f": {contract.strategy_reason}" if contract.strategy_reason else ""
        children += [
            Tree(f"inputs: {inputs}"),
            Tree(f"strategy: {call.strategy}{reason}"),
            Tree(f"device: {contract.device}; batch: {explained.measured[call.digest]}"),
        ]
    children += [Tree(f"guard: {guard}") for guard in call.guards]
    estimate = explained.estimates.get(call.output)
    children += [Tree("estimate: " + estimate_text(estimate))] if estimate else []
    return Tree(f"score {call.function}@{call.digest[:12]} → {call.output}", tuple(children))


def estimate_text(estimate: Estimate) -> str:
    time = "" if estimate.seconds is None else f", about {estimate.seconds:.2f}s of scoring"
    return (
        f"{estimate.rows:,} rows, {estimate.distinct:,} distinct inputs, {estimate.reused:,} remembered, "
        f"{estimate.to_score:,} to score{time}"
    )


def stage_json(explained: Explained, stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "sql": stage.sql,
        "columns": list(stage.columns),
        "pushed": list(stage.pushed),
        "reproducible": stage.reproducible,
        "calls": [call_json(explained, call) for call in stage.calls],
    }


def call_json(explained: Explained, call: Call) -> dict[str, Any]:
    contract = explained.contracts.get(call.function)
    estimate = explained.estimates.get(call.output)
    return {
        "function": call.function,
        "digest": call.digest,
        "call": call.sql,
        "strategy": call.strategy,
        "strategy_reason": contract.strategy_reason if contract else "",
        "inputs": [{"name": a.name, "data_type": a.data_type} for a in contract.arguments] if contract else [],
        "output": call.output,
        "guards": list(call.guards),
        "device": contract.device if contract else None,
        "batch": explained.measured[call.digest] if contract else None,
        "estimate": {name: getattr(estimate, name) for name in Estimate.__slots__} if estimate else None,
    }
