"""What became of one node, or one data test, of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from sqlinfer.errors import SqlinferError
from sqlinfer.spec.plan import Counts
from sqlinfer.spec.receipt import Receipt

Status = Literal["success", "error", "skipped", "pass", "fail", "warn"]


@dataclass(frozen=True, slots=True)
class Timing:
    name: str
    started_at: datetime
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class NodeResult:
    unique_id: str
    status: Status
    relation: str | None = None
    rows: int | None = None
    """Rows that the node's query gave; None for views."""
    counts: Counts = field(default_factory=Counts)
    message: str = ""
    execution_time: float = 0.0
    timing: tuple[Timing, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Stage of the work → seconds, summed over threads."""
    bound_by: str | None = None
    """The stage that took longest, its threads side by side."""
    functions: tuple[str, ...] = ()
    """name@digest of every function that was called."""
    streamed: tuple[str, ...] = ()
    """Functions that scored every row because that was estimated to be cheaper than looking up, not by ``reuse``."""
    failures: int | None = None
    """Failing rows of a data test."""
    compiled_code: str | None = None
    error: SqlinferError | None = None
    pending: bool = False
    """Scored, not published: ``retry`` publishes without scoring."""
    left: int = 0
    """Rows that are in the published table, and that the node's query for its whole state did not return."""
    tests: tuple[NodeResult, ...] = ()
    """Data tests that ran on the staged relation before publication."""
    receipt: Receipt | None = None
    """What a node that calls functions has spent, until its publication was committed."""

    @property
    def ok(self) -> bool:
        return self.status in ("success", "pass", "warn", "skipped")

    def as_dbt(self) -> dict[str, Any]:
        counts = self.counts
        answer: dict[str, Any] = {
            "_message": self.message, "rows": self.rows, "rows_affected": self.rows, "inputs": counts.inputs,
            "scored": counts.scored, "reused": counts.reused, "null_inputs": counts.null_inputs,
            "errors": counts.errors, "functions": list(self.functions), "seconds": dict(self.seconds),
        }  # fmt: skip
        if self.left:
            answer["rows_not_in_query"] = self.left
        if self.streamed:
            answer["streamed"] = list(self.streamed)
        if self.bound_by:
            answer["bound_by"] = self.bound_by
        if self.receipt is not None:
            answer["receipt"] = self.receipt.as_json()
        if self.pending:
            answer["scored_not_published"] = True
        return {
            "status": self.status,
            "timing": [
                {"name": t.name, "started_at": iso(t.started_at), "completed_at": iso(t.completed_at)}
                for t in self.timing
            ],
            "thread_id": "Thread-1",
            "execution_time": self.execution_time,
            "adapter_response": answer,
            "message": self.message or None,
            "failures": self.failures,
            "unique_id": self.unique_id,
            "compiled": self.compiled_code is not None,
            "compiled_code": self.compiled_code,
            "relation_name": self.relation,
            "batch_results": None,
        }


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
