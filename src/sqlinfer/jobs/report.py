"""Project, compiled SQL and run records → what a report shows. The warehouse is read, for as long as that takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlinfer.adapters.base import Adapter, Reads
from sqlinfer.adapters.registry import open_adapter
from sqlinfer.adapters.shared.records import HISTORY, NEEDED, history_sql, newest_sql
from sqlinfer.errors import SystemRefused, UsageError
from sqlinfer.files import read_plain, write_atomic
from sqlinfer.jobs.artifacts import compiled_path
from sqlinfer.project import Node, Project
from sqlinfer.project.graph import predicts
from sqlinfer.relation import Relation
from sqlinfer.reporting.data import Kind, Member, Record, Report, Staleness
from sqlinfer.reporting.page import START, render
from sqlinfer.runner.environment import now_utc
from sqlinfer.scrub import scrub_sql
from sqlinfer.spec.names import RUN_RECORDS
from sqlinfer.version import __version__

if TYPE_CHECKING:
    from sqlinfer.jobs.staleness import TableFreshness

NIGHTS = 365
FILE = "report.html"
_LONGEST = 60_000
"""Characters of SQL that are shown of one node."""


def reader(project: Project) -> Adapter:
    """The warehouse, without the right to open any other file."""
    return open_adapter(project.profile.type, project.profile.config, project.root).limited_to(Reads())


def page(
    project: Project, nights: int = NIGHTS, found: Sequence[TableFreshness] = (), version: str | None = None
) -> str:
    """The HTML. ``version``: of a page that is served. For the rest see ``gather``."""
    return render(gather(project, reader(project), nights, found), version)


def gather(project: Project, adapter: Adapter, nights: int = NIGHTS, found: Sequence[TableFreshness] = ()) -> Report:
    """
    Args:
        nights: how many of the last runs are shown.
        found: of ``sqlinfer freshness``, where it was asked.

    Raises:
        DatabaseLocked: a run publishes, and did not end while this waited.
    """
    staleness = {
        node.unique_id: Staleness(one.stale_share, one.older_function_rows, one.oldest, one.problem)
        for one in found
        for node in project.nodes.values()
        if node.name == one.table
    }
    records = _latest([record for runs in record_tables(project) for record in _records(adapter, runs, nights)], nights)
    return Report(
        project.name, project.profile.target, now_utc(), __version__, tuple(_members(project)), records, staleness
    )  # fmt: skip


def record_tables(project: Project) -> tuple[Relation, ...]:
    """One beside the tables of each schema."""
    models = [node for node in project.nodes.values() if node.resource_type == "model"]
    return tuple(dict.fromkeys(replace(node.relation, name=RUN_RECORDS) for node in models))


def version(project: Project, adapter: Adapter) -> str:
    """Another text whenever there is something new to show."""
    stamp = adapter.stamp()
    if stamp is not None:
        return repr(stamp)
    with adapter.visit():
        there = adapter.columns(record_tables(project))
        return repr([adapter.query(newest_sql(runs, adapter.dialect)).to_pylist() for runs in there])


def place(project: Project, output: Path | None) -> Path:
    """Where the page goes. Asked before anything is read.

    Raises:
        UsageError: something else is there.
    """
    path = (output or project.target_path / FILE).absolute()
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder", hint=f"--output {path / FILE}")
        with suppress(FileNotFoundError):
            if not read_plain(path).startswith(START.encode()):
                raise UsageError(f"{path} exists and is no report of sqlinfer's; nothing was written",
                                 hint="choose another file for --output")  # fmt: skip
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from error
    return path


def write(path: Path, page: str) -> None:
    try:
        write_atomic(path, page.encode(errors="replace"))
    except OSError as error:
        raise SystemRefused.of(error) from error


# ---- records -------------------------------------------------------------------------------------------------------


def _records(adapter: Adapter, runs: Relation, nights: int) -> Iterator[Record]:
    with adapter.visit():
        there = {column.name for columns in adapter.columns([runs]).values() for column in columns}
        if not there >= NEEDED:
            return
        found = adapter.query(history_sql(runs, there, nights, adapter.dialect))
    columns: Mapping[str, Sequence[Any]] = {name: found.column(name).to_pylist() for name in HISTORY}
    for row in zip(*columns.values(), strict=True):
        record = _record(*row)
        if record is not None:
            yield record


def _record(
    run_id: str | None, node: str | None, started: float | None, finished: float | None, rows: int | None,
    inputs: int | None, scored: int | None, reused: int | None, nulls: int | None, errors: int | None,
    elapsed: float | None, cost: float | None, spot: float | None, currency: str | None, bound_by: str | None,
    distributions: str | None,
) -> Record | None:  # fmt: skip
    if run_id is None or node is None or started is None:
        return None
    if elapsed is None and finished is not None:
        elapsed = max(0.0, finished - started)
    return Record(
        run_id, node, started, elapsed, rows, inputs, scored, reused, nulls, errors, cost, spot, currency, bound_by,
        distributions,
    )  # fmt: skip


def _latest(records: Sequence[Record], nights: int) -> tuple[Record, ...]:
    """A run that wrote into several schemas counts once."""
    begun: dict[str, float] = {}
    for record in records:
        begun[record.run_id] = max(record.started, begun.get(record.run_id, record.started))
    chosen = set(sorted(begun, key=lambda run: begun[run])[-nights:])
    return tuple(sorted((one for one in records if one.run_id in chosen), key=lambda one: one.started))


# ---- the project ---------------------------------------------------------------------------------------------------


def _members(project: Project) -> Iterator[Member]:
    for source in project.sources.values():
        name = f"{source.source_name}.{source.name}"
        yield Member(source.unique_id, name, "source", relation=str(source.relation), description=source.description)
    for config in project.functions.values():
        if config.enabled:
            yield Member(_function(config.name), config.name, "function",
                         path=_relative(config.location.path, project), description=config.description)  # fmt: skip
    for node in project.nodes.values():
        yield _member(project, node)


def _member(project: Project, node: Node) -> Member:
    kind: Kind = "seed" if node.resource_type == "seed" else "prediction" if predicts(project, node) else "model"
    parents = (*node.depends_on, *node.sources, *map(_function, node.functions))
    sql, is_ = _sql(project, node) if kind != "seed" else ("", "")
    relation = "" if node.config.materialized == "ephemeral" else str(node.relation)
    return Member(
        node.unique_id, node.name, kind, parents, _relative(node.path, project), relation, node.description,
        sql[:_LONGEST], is_,
    )  # fmt: skip


def _function(name: str) -> str:
    return f"function.{name}"


def _sql(project: Project, node: Node) -> tuple[str, str]:
    """What the last ``compile`` or run has written; nothing is compiled for a report."""
    path = compiled_path(project, node)
    try:
        text = read_plain(path).decode(errors="replace")
        older = node.path.exists() and node.path.stat().st_mtime > path.stat().st_mtime
        return text, "Compiled SQL" + (", from before the file was changed" if older else "")
    except OSError:
        return scrub_sql(node.raw_sql), "As written; `sqlinfer compile` makes the compiled SQL"


def _relative(path: Path | None, project: Project) -> str:
    if path is None:
        return ""
    return path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else path.name
