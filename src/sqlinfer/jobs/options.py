"""The options of every entry point of ``api``, and of nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlinfer.spec.window import Window


@dataclass(frozen=True, slots=True)
class RunOptions:
    project_dir: Path = Path()
    profiles_dir: Path | None = None
    """None: dbt's search order."""
    profile: str | None = None
    target: str | None = None
    vars: Mapping[str, Any] | str | None = None
    """A mapping, or YAML text of one."""
    select: tuple[str, ...] = ()
    """dbt's selectors; empty: everything."""
    exclude: tuple[str, ...] = ()
    selector: str | None = None
    """A selection of selectors.yml, instead of ``select`` and ``exclude``."""
    state: Path | None = None
    """The folder of an earlier run's manifest.json and run_results.json."""
    defer: bool = False
    """Read what is not built and not in the target where ``state`` has it."""
    favor_state: bool = False
    """With ``defer``: also what is in the target."""
    defer_state: Path | None = None
    """Another folder than ``state`` for ``defer``."""
    empty: bool = False
    """What is referred to has no rows: plan, and publish empty tables of the right columns."""
    sample: str | None = None
    """In a dbt project: the window of ``event_time`` that inputs are limited to."""
    window: Window | None = None
    """The slice of a backfill: what has an event_time is limited to it."""
    full_refresh: bool = False
    fail_fast: bool = False
    threads: int | None = None
    """None: the profile's."""
    device: str | None = None
    """``auto``, ``cpu``, ``cuda``, ``cuda:1``; None: what each function's config says."""
    memory_limit: str | None = None
    """Bound of host memory, such as ``4GB``."""

    max_rows: int | None = None
    """A node whose inputs to score would pass this is not scored. Of what runs, as are the next two."""
    max_seconds: float | None = None
    """So is one that would take longer; the run also stops after the chunk in hand when they are used up."""
    max_cost: float | None = None
    """The same in the currency of ``prices``."""

    retry_errors: bool = False
    """``retry --errors``: score again what failed."""

    def as_args(self, command: str) -> dict[str, Any]:
        """What ``args`` of run_results.json says, enough for ``retry`` to continue."""
        return {
            "which": command,
            "select": list(self.select),
            "exclude": list(self.exclude),
            "selector": self.selector,
            "state": str(self.state.absolute()) if self.state else None,
            "defer": self.defer,
            "favor_state": self.favor_state,
            "defer_state": str(self.defer_state.absolute()) if self.defer_state else None,
            "empty": self.empty,
            "sample": self.sample,
            "window": self.window.as_json() if self.window else None,
            "full_refresh": self.full_refresh,
            "vars": dict(self.vars) if isinstance(self.vars, Mapping) else self.vars,
            "profile": self.profile,
            "target": self.target,
            "device": self.device,
            "bounded": (self.max_rows, self.max_seconds, self.max_cost) != (None, None, None),
        }
