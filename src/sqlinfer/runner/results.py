"""NodeResult, RunResult and run_results.json (dbt's schema v6, our figures under ``adapter_response``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlinfer.errors import SqlinferError
from sqlinfer.files import write_atomic
from sqlinfer.scrub import scrub_values
from sqlinfer.spec.plan import Counts

SCHEMA = "https://schemas.getdbt.com/dbt/run-results/v6.json"
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


@dataclass(frozen=True, slots=True)
class RunResult:
    run_id: str
    started_at: datetime
    results: tuple[NodeResult, ...] = ()
    elapsed: float = 0.0
    args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return all(result.ok for result in self.results)

    @property
    def exit_code(self) -> int:
        return 0 if self.ok else 1

    def with_result(self, result: NodeResult, elapsed: float) -> RunResult:
        """A result of the same node replaces the earlier one."""
        kept = tuple(known for known in self.results if known.unique_id != result.unique_id)
        return RunResult(self.run_id, self.started_at, (*kept, result, *result.tests), elapsed, self.args)

    def as_dbt(self, version: str, now: datetime) -> dict[str, Any]:
        return {
            "metadata": {
                "dbt_schema_version": SCHEMA,
                "dbt_version": None,
                "generated_at": iso(now),
                "invocation_id": self.run_id,
                "invocation_started_at": iso(self.started_at),
                "env": {},
                "generator": f"sqlinfer {version}",
            },
            "results": [result.as_dbt() for result in self.results],
            "elapsed_time": self.elapsed,
            "args": dict(self.args),
        }


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def write_json(path: Path, content: object) -> None:
    """Replace a file as a whole: readers see the old text or the new one, also after a kill. Secrets are masked."""
    write_atomic(path, json.dumps(scrub_values(content), indent=2).encode())


def write_results(path: Path, result: RunResult, version: str, now: datetime) -> None:
    write_json(path, result.as_dbt(version, now))
