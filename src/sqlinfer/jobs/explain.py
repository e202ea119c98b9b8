"""A plan for people and for programs. In: ``Plan`` and what is known of it. Out: text, or JSON-ready values.

People first read what is read, scored, tested and published; the SQL is one flag away and lies under the target path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlinfer.adapters.shared import script
from sqlinfer.jobs.tree import Tree
from sqlinfer.shown import counted
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.plan import Call, Plan, Stage


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
    reads: tuple[str, ...] = ()
    """Relations of the warehouse that its SQL names."""
    tests: tuple[str, ...] = ()
    """Data tests that its rows pass before they are published."""
    publication: str = "nothing is published"
    compiled: str = ""
    """The file that holds its SQL; empty: none."""

    def as_text(self, *, sql: bool = False) -> str:
        """Lines of at most 80 columns; with ``sql`` the statements follow, as they can be run by hand."""
        text = "\n".join(tree(self).lines())
        return f"{text}\n\n{self.sql}" if sql else text

    @property
    def sql(self) -> str:
        return script.of_plan(self.plan, self.contracts)

    def as_json(self) -> dict[str, Any]:
        return {
            "node": self.plan.node,
            "materialized": self.materialized,
            "relation": self.relation,
            "dialect": self.plan.dialect,
            "rules": list(self.plan.rules),
            "stages": [stage_json(self, stage) for stage in self.plan.stages],
            "reads": list(self.reads),
            "tests": list(self.tests),
            "publication": self.publication,
            "compiled_path": self.compiled or None,
            "result": {"sql": self.plan.result.sql, "columns": list(self.plan.result.columns)},
        }


def tree(explained: Explained) -> Tree:
    plan = explained.plan
    reads = [Tree("reads: " + ", ".join(explained.reads))] if explained.reads else []
    calls = [call_tree(explained, stage, call) for stage in plan.stages for call in stage.calls]
    if not calls:
        calls = [Tree("scores nothing: the warehouse runs it as it is")]
    tests = "tests before publication: " + (", ".join(explained.tests) or "none")
    where = f"SQL: {explained.compiled}, or --sql" if explained.compiled else "SQL: --sql"
    below = [Tree(f"below the model: {line}") for line in dict.fromkeys(pushed(plan))]
    publication = f"publication: {explained.publication}"
    last = [Tree(text) for text in (tests, publication, where) if text != tests or explained.relation != "query"]
    head = f"{plan.node} ({explained.materialized} {explained.relation})"
    return Tree(head, (*reads, *below, *calls, *last))


def pushed(plan: Plan) -> list[str]:
    return [line for stage in plan.stages for line in stage.pushed]


def call_tree(explained: Explained, stage: Stage, call: Call) -> Tree:
    contract = explained.contracts.get(call.function)
    children = [Tree(f"call: {call.sql}")]
    if contract is not None:
        inputs = ", ".join(f"{a.name} {a.data_type}" for a in contract.arguments)
        children += [
            Tree(f"inputs: {inputs}"),
            Tree(f"strategy: {call.strategy}: {strategy_text(contract)}"),
            Tree(f"device: {contract.device}; batch: {explained.measured[call.digest]}"),
        ]
    children += [Tree(f"guard: {guard}") for guard in call.guards]
    children += [] if stage.reproducible else [Tree("rows: read once and kept, another read might give others")]
    estimate = explained.estimates.get(call.output)
    children += [Tree("estimate: " + estimate_text(estimate) if estimate else "rows to score: --estimate counts them")]
    return Tree(f"score {call.function}@{call.digest[:12]} → {call.output}", tuple(children))


def strategy_text(contract: FunctionContract) -> str:
    """Why, and for a stream that was chosen by cost what to set."""
    if not contract.streams_by_cost:
        return contract.strategy_reason
    return f"{contract.strategy_reason}; config: {{reuse: true}} remembers scores"


def estimate_text(estimate: Estimate) -> str:
    time = "" if estimate.seconds is None else f", about {estimate.seconds:.2f}s of scoring"
    return (
        f"{counted(estimate.rows, 'row')}, {counted(estimate.distinct, 'distinct input')}, "
        f"{estimate.reused:,} remembered, {estimate.to_score:,} to score{time}"
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
