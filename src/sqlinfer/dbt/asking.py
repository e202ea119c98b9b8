"""What is asked of the predictions of a dbt project: how stale they are, one row by its key, the report, a schedule.

The queries are those that dbt compiles now, or those of a given manifest. Nothing is published.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sqlinfer.dbt import executor
from sqlinfer.dbt.executor import Listener
from sqlinfer.dbt.manifest import compiled_whole
from sqlinfer.dbt.project import functions_only, home_of, profile_of
from sqlinfer.jobs import lookup as lookups
from sqlinfer.jobs import report as reports
from sqlinfer.jobs import scheduling, staleness
from sqlinfer.jobs.lookup import Lookup
from sqlinfer.jobs.night import Night
from sqlinfer.jobs.options import RunOptions
from sqlinfer.jobs.staleness import TableFreshness


def freshness(
    options: RunOptions,
    tables: Sequence[str] = (),
    *,
    manifest: Path | None = None,
    impact: int | None = None,
    seed: int = 0,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
) -> list[TableFreshness]:
    """As ``api.freshness``. Sources are not looked at: dbt's own ``source freshness`` does that."""
    return list(staleness.tables(_night(options, manifest, on_event, cancel), tables, impact, seed))


def lookup(
    options: RunOptions,
    table: str,
    *,
    manifest: Path | None = None,
    or_score: bool = False,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Lookup:
    """As ``api.lookup``."""
    return lookups.opened(_night(options, manifest, on_event, cancel), table, or_score=or_score)


def report(
    options: RunOptions,
    *,
    manifest: Path | None = None,
    output: Path | None = None,
    nights: int = reports.NIGHTS,
    freshness: bool = False,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Path:
    """As ``api.report``, of all models of the dbt project."""
    night = _night(options, manifest, on_event, cancel)
    path = reports.place(night.project, output)
    found = list(staleness.tables(night, ())) if freshness else []
    reports.write(path, reports.page(night.project, nights, found))
    return path


def schedule(
    options: RunOptions, scheduler: str, *, at: str = "02:00", timezone: str | None = None
) -> Mapping[str, str]:
    """As ``api.schedule``: the night is ``sqlinfer dbt build``. dbt is not started for it."""
    home = home_of(options, os.environ)
    project = functions_only(home, profile_of(home, options))
    models = replace(project, model_paths=tuple(Path(one) for one in home.file.data.get("model-paths") or ("models",)))
    return scheduling.files(models, options, scheduler, at=at, timezone=timezone, command="dbt build")


def _night(
    options: RunOptions, manifest: Path | None, on_event: Listener | None, cancel: threading.Event | None
) -> Night:
    """Its options ask for a full refresh: the queries are those for whole tables, not for a slice. Those of a manifest
    are what they are."""
    options = replace(options, full_refresh=manifest is None or compiled_whole(manifest.absolute()))
    job = executor.load(options, manifest, cancel)
    night = executor.night_of(job.project, options, on_event, cancel)
    night.warn(warning for warning in job.warnings if warning not in job.project.warnings)
    return night
