"""``sqlinfer source freshness``: how old the newest row of each source is. Out: results, and sources.json as dbt's."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from sqlinfer.adapters.shared.queries import newest
from sqlinfer.errors import AdapterError, ProjectError, SqlinferError, UsageError
from sqlinfer.files import parse_json, read_plain
from sqlinfer.jobs.events import SourceFinished, SourceStarted
from sqlinfer.jobs.night import Night
from sqlinfer.jobs.told import told
from sqlinfer.project import Freshness, Project, Source
from sqlinfer.runner.environment import now_utc
from sqlinfer.runner.results import write_json
from sqlinfer.spec.results import Timing, iso
from sqlinfer.version import __version__

SCHEMA = "https://schemas.getdbt.com/dbt/sources/v3.json"
Status = Literal["pass", "warn", "error", "runtime error"]
NEVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)
"""The time of a source without rows: infinitely long ago, as in dbt."""


@dataclass(frozen=True, slots=True)
class SourceResult:
    unique_id: str
    name: str
    status: Status
    criteria: Freshness
    timing: Timing
    newest: datetime.datetime | None = None
    message: str = ""
    """What went wrong, of a ``runtime error``."""

    @property
    def seconds(self) -> float:
        return (self.timing.completed_at - self.timing.started_at).total_seconds()

    @property
    def age(self) -> float | None:
        return (self.timing.completed_at - self.newest).total_seconds() if self.newest else None

    def as_dbt(self) -> dict[str, Any]:
        if self.newest is None:
            return {"unique_id": self.unique_id, "error": self.message, "status": self.status}
        timing = {"name": "execute", "started_at": iso(self.timing.started_at)}
        return {
            "unique_id": self.unique_id,
            "max_loaded_at": _iso(self.newest),
            "snapshotted_at": iso(self.timing.completed_at),
            "max_loaded_at_time_ago_in_s": self.age,
            "status": self.status,
            "criteria": {
                "warn_after": _threshold(self.criteria.warn_after),
                "error_after": _threshold(self.criteria.error_after),
                "filter": self.criteria.filter,
            },
            "adapter_response": {},
            "timing": [timing | {"completed_at": iso(self.timing.completed_at)}],
            "thread_id": "Thread-1",
            "execution_time": self.seconds,
        }


@dataclass(frozen=True, slots=True)
class Freshnesses:
    run_id: str
    results: tuple[SourceResult, ...]
    elapsed: float = 0.0

    @property
    def exit_code(self) -> int:
        return 1 if any(one.status in ("error", "runtime error") for one in self.results) else 0

    def as_dbt(self) -> dict[str, Any]:
        return {
            "metadata": {
                "dbt_schema_version": SCHEMA, "dbt_version": None, "generated_at": iso(now_utc()),
                "invocation_id": self.run_id, "env": {}, "generator": f"sqlinfer {__version__}",
            },
            "results": [one.as_dbt() for one in self.results],
            "elapsed_time": self.elapsed,
        }  # fmt: skip


def watched(project: Project, ids: Sequence[str]) -> list[Source]:
    """Those of the sources that have a limit; others are not looked at, as in dbt."""
    sources = (project.sources[uid] for uid in ids)
    return [one for one in sources if one.freshness and (one.freshness.warn_after or one.freshness.error_after)]


def look(night: Night, ids: Sequence[str], output: Path | None = None, *, write: bool = True) -> Freshnesses:
    """Ask the warehouse for the newest row of each source; ``write`` sources.json, if not told where else."""
    if output is not None:
        _refuse_output(output)
    began, found = time.monotonic(), watched(night.project, ids)
    night.warn(night.project.warnings)
    asked = [one for one in found if one.freshness and (one.freshness.loaded_at or one.freshness.query)]
    night.allow(*(_sql(source, night.adapter.dialect) for source in asked))
    results = []
    with night.adapter.visit():
        for number, source in enumerate(found, 1):
            if night.cancel.is_set():
                break
            name = f"{source.source_name}.{source.name}"
            night.emit(SourceStarted(name, number, len(found)))
            results.append(result := _result(night, source, name))
            night.emit(
                SourceFinished(name, number, len(found), result.status, result.seconds, result.age, result.message)
            )
    done = Freshnesses(night.run_id, tuple(results), time.monotonic() - began)
    if not write:
        return done
    with told(night.project):
        write_json(output or night.project.target_path / "sources.json", done.as_dbt())
    return done


def _refuse_output(path: Path) -> None:
    """Raises UsageError where ``path`` holds something else than results of sources."""
    with suppress(FileNotFoundError):
        try:
            found = parse_json(read_plain(path))
        except (ValueError, IsADirectoryError):
            found = None
        if not isinstance(found, dict) or "sources" not in str(found.get("metadata")):
            raise UsageError(f"{path} exists and holds no results of sources; nothing was written",
                             hint="choose another file for --output")  # fmt: skip


def _result(night: Night, source: Source, name: str) -> SourceResult:
    assert source.freshness is not None
    started = now_utc()
    try:
        newest = _newest(night, source)
    except SqlinferError as error:
        status: Status = "runtime error"
        timing = Timing("execute", started, now_utc())
        return SourceResult(source.unique_id, name, status, source.freshness, timing, None, str(error))
    now = now_utc()
    timing = Timing("execute", started, now)
    return SourceResult(
        source.unique_id, name, _status(source.freshness, now - newest), source.freshness, timing, newest
    )


def _status(limits: Freshness, age: datetime.timedelta) -> Status:
    if limits.error_after and age > _span(limits.error_after):
        return "error"
    return "warn" if limits.warn_after and age > _span(limits.warn_after) else "pass"


def _span(limit: tuple[int, str]) -> datetime.timedelta:
    count, period = limit
    return datetime.timedelta(**{f"{period}s": count})


def _newest(night: Night, source: Source) -> datetime.datetime:
    """The time of the newest row, in UTC; a time without a zone is one of UTC, as in dbt."""
    freshness = source.freshness
    assert freshness is not None
    if not (freshness.loaded_at or freshness.query):
        raise ProjectError(
            f"source {source.source_name}.{source.name} has freshness and no loaded_at_field",
            hint="name the column with the time of loading: loaded_at_field: loaded_at",
            location=source.location,
        )
    table = night.adapter.query(_sql(source, night.adapter.dialect))
    column = table.column(0)
    if pa.types.is_null(column.type) or not len(column) or not column[0].is_valid:
        return NEVER
    if not pa.types.is_timestamp(column.type):
        said = freshness.loaded_at or "loaded_at_query"
        raise AdapterError(
            f"'{said}' is no timestamp: {column.type}", hint=f"loaded_at_field: cast({said} as timestamp)"
        )
    micros = column.cast(pa.timestamp("us", column.type.tz), safe=False)[0].as_py()
    newest: datetime.datetime = micros if micros.tzinfo else micros.replace(tzinfo=datetime.UTC)
    return newest.astimezone(datetime.UTC)


def _sql(source: Source, dialect: str) -> str:
    freshness = source.freshness
    assert freshness is not None
    if freshness.query:
        return freshness.query.strip().rstrip(";")
    return newest(str(freshness.loaded_at), source.relation, freshness.filter, dialect)


def _threshold(limit: tuple[int, str] | None) -> dict[str, Any]:
    return {"count": limit[0] if limit else None, "period": limit[1] if limit else None}


def _iso(moment: datetime.datetime) -> str:
    """As ``iso``; the year 1 needs its four digits too."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
