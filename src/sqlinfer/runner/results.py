"""RunResult and run_results.json (dbt's schema v6, our figures under ``adapter_response``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlinfer.files import write_atomic
from sqlinfer.scrub import scrub_json
from sqlinfer.spec.receipt import Receipt
from sqlinfer.spec.results import NodeResult, iso

SCHEMA = "https://schemas.getdbt.com/dbt/run-results/v6.json"


@dataclass(frozen=True, slots=True)
class RunResult:
    run_id: str
    started_at: datetime
    results: tuple[NodeResult, ...] = ()
    elapsed: float = 0.0
    args: Mapping[str, Any] = field(default_factory=dict)
    stopped: str = ""
    """Which bound of what the run may spend ended it."""
    receipt: Receipt | None = None
    """What all nodes together have spent; None where none calls a function."""

    @property
    def ok(self) -> bool:
        return not self.stopped and all(result.ok for result in self.results)

    @property
    def exit_code(self) -> int:
        return 0 if self.ok else 1

    def with_result(self, result: NodeResult, elapsed: float) -> RunResult:
        """A result of the same node replaces the earlier one."""
        kept = tuple(known for known in self.results if known.unique_id != result.unique_id)
        return replace(self, results=(*kept, result, *result.tests), elapsed=elapsed)

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


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Replace a file as a whole: readers see the old text or the new one, also after a kill. Secrets are masked."""
    write_atomic(path, _laid_out(content).encode())


def _laid_out(content: Mapping[str, object]) -> str:
    """A line for each member of a member: a node, a result. Laid out all the way down, a manifest would take ten times
    as long."""
    parts = []
    for name, value in content.items():
        if isinstance(value, dict) and value:
            inner = ",\n".join(f"    {scrub_json(str(key))}: {scrub_json(one)}" for key, one in value.items())
            parts.append(f"  {scrub_json(name)}: {{\n{inner}\n  }}")
        elif isinstance(value, list) and value:
            inner = ",\n".join(f"    {scrub_json(one)}" for one in value)
            parts.append(f"  {scrub_json(name)}: [\n{inner}\n  ]")
        else:
            parts.append(f"  {scrub_json(name)}: {scrub_json(value)}")
    return "{\n" + ",\n".join(parts) + "\n}"
