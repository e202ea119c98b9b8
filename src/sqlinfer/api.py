"""The whole flow: load → compile → preview | run. The command line is thin over this module, Python uses it directly.

``load`` reads the project, ``compile`` plans its nodes, ``preview`` shows rows, ``run``, ``seed``, ``test``, ``build``
and ``retry`` do the work of a night, ``connect`` and ``register`` bring predict() to Python.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlinfer.errors import UnknownFunction, UsageError, did_you_mean
from sqlinfer.jobs.functions import Functions
from sqlinfer.jobs.options import RunOptions
from sqlinfer.project import Project, remembered
from sqlinfer.shown import counted

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.adapters.base import Check
    from sqlinfer.jobs.connection import Connection
    from sqlinfer.jobs.events import Event
    from sqlinfer.jobs.explain import Explained
    from sqlinfer.jobs.forecasting import RunForecast
    from sqlinfer.jobs.freshness import Freshnesses
    from sqlinfer.jobs.lookup import Lookup
    from sqlinfer.jobs.nearline import Waiting
    from sqlinfer.jobs.night import Night
    from sqlinfer.jobs.staleness import TableFreshness
    from sqlinfer.jobs.udf import Registered
    from sqlinfer.jobs.verify import Verification
    from sqlinfer.jobs.warm import WarmSessions
    from sqlinfer.project.promotion import Promotion
    from sqlinfer.project.selectors import Selection
    from sqlinfer.runner.results import RunResult
    from sqlinfer.spec.outcome import Outcome

Listener = Callable[["Event"], None]

__all__ = [
    "RunOptions", "backfill", "build", "clean", "compile", "connect", "debug", "describe_function", "estimate",
    "freshness", "functions", "load", "lookup", "ls", "outcome", "preview", "promote_function", "register", "report",
    "retry", "run", "run_every", "schedule", "seed", "serve_report", "source_freshness", "test", "verify",
]  # fmt: skip


def load(options: RunOptions) -> Project:
    """The project's files as one checked value."""
    return remembered.load(
        options.project_dir,
        profiles_dir=options.profiles_dir,
        profile=options.profile,
        target=options.target,
        vars=options.vars,
        env=os.environ,
    )


def compile(
    options: RunOptions,
    *,
    node: str | None = None,
    inline: str | None = None,
    estimate: bool = False,
    on_event: Listener | None = None,
) -> list[Explained]:
    """Plan the chosen nodes (or inline SQL) and write compiled SQL and the manifest. No session is loaded."""
    from sqlinfer.jobs import planning

    night = _night(options, on_event)
    if inline is not None:
        _deferred(night, ())
        return [planning.inline(night, inline, estimate=estimate)]
    return planning.nodes(night, _chosen(night, node, ("model",)), estimate=estimate)


def preview(
    options: RunOptions,
    *,
    node: str | None = None,
    inline: str | None = None,
    limit: int = 5,
    max_rows: int | None = None,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
) -> pa.Table:
    """The first rows of a node or of inline SQL; scores only what they need and publishes nothing."""
    from sqlinfer.jobs import planning

    night = _night(options, on_event, cancel)
    if inline is not None or node is not None:
        _deferred(night, ())
    return planning.preview_rows(night, node or _single(night), inline, None if limit < 0 else limit, max_rows)


def run(options: RunOptions, *, on_event: Listener | None = None, cancel: threading.Event | None = None) -> RunResult:
    """Score and publish the chosen models; what follows a failed one is skipped."""
    return _work("run", options, ("model",), on_event, cancel)


def estimate(
    options: RunOptions, *, on_event: Listener | None = None, cancel: threading.Event | None = None
) -> RunForecast:
    """What ``run`` would score, how long that would take and what it would cost. Nothing is scored."""
    from sqlinfer.jobs import forecasting

    night = _night(options, on_event, cancel)
    chosen = _selected(night.project, options, ("model",))
    night.warn(chosen.warnings)
    _deferred(night, chosen.ids)
    return forecasting.forecast(night, chosen.ids)


def run_every(
    options: RunOptions,
    seconds: float,
    *,
    on_event: Listener | None = None,
    on_wait: Callable[[Waiting], None] = lambda _: None,
    cancel: threading.Event | None = None,
    on_result: Callable[[RunResult], object] = lambda _: None,
) -> RunResult | None:
    """``run`` again and again in this process, ``seconds`` from one start to the next, until ``cancel`` is set.

    Files of the project are read anew each time, and sessions stay open. Runs never overlap; failing ones make the
    pause longer. The last result, None where there is none.

    Raises:
        SqlinferError: the first run did not start, or another loop works on this target.
    """
    from sqlinfer.jobs import nearline
    from sqlinfer.jobs.warm import WarmSessions

    stop, sessions = cancel or threading.Event(), WarmSessions()

    def once() -> RunResult:
        try:
            result = _work("run", options, ("model",), on_event, stop, sessions)
        finally:
            sessions.settle()
        on_result(result)
        return result

    project = load(options)
    with nearline.alone(project.target_path, project.profile.target):
        try:
            return nearline.Loop(once, seconds, stop, on_wait).run()
        finally:
            sessions.close()


def backfill(
    options: RunOptions,
    grain: str,
    first: str,
    last: str,
    *,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
    on_result: Callable[[RunResult], object] = lambda _: None,
) -> RunResult:
    """Incremental models over a stretch of time, a run for each slice; slices that were published before are left out.

    Args:
        grain: ``hour``, ``day``, ``week`` or ``month``.
        first: a time in the first slice, ``2026-01-01``.
        last: a time in the last slice.
        on_result: told of each slice.

    Raises:
        UsageError: times that are none, or the wrong way round.
        ProjectError: a model that cannot be cut into slices.
    """
    from sqlinfer.jobs import backfilling

    every, stop = backfilling.windows(grain, first, last), cancel or threading.Event()

    def chosen(project: Project) -> Sequence[str]:
        return _selected(project, options, ("model",)).ids

    return backfilling.backfill(options, every, chosen, lambda given: _night(given, on_event, stop), on_result)


def seed(options: RunOptions, *, on_event: Listener | None = None, cancel: threading.Event | None = None) -> RunResult:
    """Load the chosen seeds."""
    return _work("seed", options, ("seed",), on_event, cancel)


def test(
    options: RunOptions,
    *,
    on_event: Listener | None = None,  # noqa: PT028
    cancel: threading.Event | None = None,  # noqa: PT028
) -> RunResult:
    """Run the chosen data tests on what is published."""
    return _work("test", options, ("test",), on_event, cancel)


def build(options: RunOptions, *, on_event: Listener | None = None, cancel: threading.Event | None = None) -> RunResult:
    """Seeds, models and tests in the order of the graph."""
    return _work("build", options, ("seed", "model", "test"), on_event, cancel)


def retry(options: RunOptions, *, on_event: Listener | None = None, cancel: threading.Event | None = None) -> RunResult:
    """Continue the last run: publish what was scored, then do what failed, was skipped or never started."""
    from sqlinfer.jobs import retrying

    return retrying.retry(options, lambda given: _night(given, on_event, cancel))


def source_freshness(
    options: RunOptions,
    *,
    output: Path | None = None,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Freshnesses:
    """How old the newest row of each chosen source is, against its limits; writes ``output``, else sources.json."""
    from sqlinfer.jobs import freshness

    night = _night(options, on_event, cancel)
    chosen = _selected(night.project, options, ("source",))
    night.warn(chosen.warnings)
    return freshness.look(night, chosen.ids, output)


def schedule(
    options: RunOptions, scheduler: str, *, at: str = "02:00", timezone: str | None = None, command: str = "run"
) -> Mapping[str, str]:
    """Files that make a scheduler run the project every night, by name: ``schedule(options, "systemd")``.

    Args:
        scheduler: ``cron``, ``systemd``, ``airflow``, ``dagster``, ``prefect``, ``github-actions`` or ``kubernetes``.
        at: when, ``HH:MM``.
        timezone: an IANA name; None: the scheduler's own.
        command: ``run`` or ``build``.
    """
    from sqlinfer.jobs import scheduling

    return scheduling.files(load(options), options, scheduler, at=at, timezone=timezone, command=command)


def freshness(
    options: RunOptions,
    tables: Sequence[str] = (),
    *,
    impact: int | None = None,
    seed: int = 0,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
) -> tuple[list[TableFreshness], Freshnesses]:
    """How old the predictions of each table (or those named) are, how many rows have other inputs by now, and how old
    the sources are that they are made from. Nothing is published.

    Args:
        impact: so many stale rows of each table are scored again, to see how much changes.
        seed: of the sample.
    """
    from sqlinfer.jobs import freshness as sources
    from sqlinfer.jobs import staleness

    night = _night(replace(options, full_refresh=True), on_event, cancel)
    _deferred(night, ())
    found = list(staleness.tables(night, tables, impact, seed))
    return found, sources.look(night, staleness.sources_of(night.project, tables), write=not tables)


def report(
    options: RunOptions,
    *,
    output: Path | None = None,
    nights: int = 365,
    freshness: bool = False,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Path:
    """Write what the last nights did as one HTML file that needs no network; its path.

    Args:
        output: None: ``report.html`` in the target folder.
        nights: how many of the last runs are shown.
        freshness: also how many rows are stale; the queries are read for it.
    """
    from sqlinfer.jobs import report as reports

    project = load(options)
    path = reports.place(project, output)
    reports.write(path, _reporter(options, project, nights, freshness, on_event, cancel)(None))
    return path


def serve_report(
    options: RunOptions,
    port: int = 0,
    *,
    nights: int = 365,
    freshness: bool = False,
    on_event: Listener | None = None,
    on_ready: Callable[[str], object] = lambda _: None,
    cancel: threading.Event | None = None,
) -> None:
    """Serve the report on 127.0.0.1 until ``cancel`` is set; an open page loads itself again after a run.

    Args:
        port: 0: one that is free.
        on_ready: is told the address.
    """
    from sqlinfer.jobs import live
    from sqlinfer.jobs import report as reports

    stop, project = cancel or threading.Event(), load(options)
    adapter = reports.reader(project)
    page = live.LivePage(
        lambda: reports.version(project, adapter),
        # The files of the project may be others by now.
        lambda version: _reporter(options, load(options), nights, freshness, on_event, stop)(version),
    )
    live.serve(page, port, on_ready, stop)


def _reporter(
    options: RunOptions, project: Project, nights: int, freshness: bool, on_event: Listener | None,
    cancel: threading.Event | None,
) -> Callable[[str | None], str]:  # fmt: skip
    """Version of a page that is served (None: of a file) → the page."""
    from sqlinfer.jobs import report as reports
    from sqlinfer.jobs import staleness

    def page(version: str | None) -> str:
        found: list[TableFreshness] = []
        if freshness:
            night = _night(replace(options, full_refresh=True), on_event, cancel)
            _deferred(night, ())
            found = list(staleness.tables(night, ()))
        return reports.page(project, nights, found, version)

    return page


def connect(project_dir: Path | str = ".", **options: Any) -> Connection:
    """A way to run queries with predict() from Python: ``connect("shop").sql("select predict(…) …")``.

    ``options`` are those of ``RunOptions``; nothing is ever published.
    """
    from sqlinfer.jobs.connection import Connection

    return Connection(_night(RunOptions(project_dir=Path(project_dir), **options)))


def lookup(project_dir: Path | str, table: str, *, or_score: bool = False, **options: Any) -> Lookup:
    """Published predictions by key: ``lookup("shop", "churn_scores").get(customer_id=42)``. Stays open.

    Args:
        table: a prediction node, by its name or that of its table.
        or_score: score a row now where it is missing or stale; nothing is written.
        options: those of ``RunOptions``.

    Raises:
        UsageError: ``table`` is no prediction, or its rows have no key.
    """
    return lookup_in(RunOptions(project_dir=Path(project_dir), **options), table, or_score=or_score)


def lookup_in(
    options: RunOptions, table: str, *, or_score: bool = False, on_event: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Lookup:  # fmt: skip
    """``lookup`` with options as the command line has them."""
    from sqlinfer.jobs import lookup as lookups

    # The query for the whole table, as a night that begins anew would make it.
    return lookups.opened(_night(replace(options, full_refresh=True), on_event, cancel), table, or_score=or_score)


def outcome(table: pa.Table) -> Outcome:
    """How many inputs of a query have no prediction, and why, from the table of ``preview`` or ``connect().sql()``.

    Raises:
        ValueError: the table came from elsewhere, or lost its schema's metadata.
    """
    from sqlinfer.jobs.outcomes import outcome_of

    return outcome_of(table)


def _night(options: RunOptions, on_event: Listener | None = None, cancel: threading.Event | None = None) -> Night:
    from sqlinfer.jobs.night import Night

    return Night(load(options), options, on_event or (lambda _: None), cancel or threading.Event())


def _work(
    command: str,
    options: RunOptions,
    kinds: Sequence[str],
    on_event: Listener | None,
    cancel: threading.Event | None,
    sessions: WarmSessions | None = None,
) -> RunResult:
    from sqlinfer.jobs import night as nights

    night = _night(options, on_event, cancel)
    night.sessions = sessions
    chosen = _selected(night.project, options, kinds)
    night.warn(chosen.warnings)
    _deferred(night, chosen.ids)
    tests = [night.project.tests[uid] for uid in chosen.ids if uid in night.project.tests]
    return nights.work(night, chosen.ids, tests, options.as_args(command))


def _chosen(night: Night, node: str | None, kinds: Sequence[str]) -> tuple[str, ...]:
    options = night.options if node is None else replace(night.options, select=(node,), exclude=(), selector=None)
    found = _selected(night.project, options, kinds)
    if node is not None and not found.ids:
        names = [one.name for one in night.project.nodes.values()]
        raise UsageError(f"no node is named '{node}'", hint=did_you_mean(node, names))
    night.warn(found.warnings)
    _deferred(night, found.ids)
    return found.ids


def _selected(project: Project, options: RunOptions, kinds: Iterable[str]) -> Selection:
    from sqlinfer.jobs.comparing import comparison
    from sqlinfer.project.selectors import resolve

    return resolve(
        project,
        options.select,
        options.exclude,
        resource_types=kinds,
        selector=options.selector,
        comparison=comparison(project, options),
    )


def _deferred(night: Night, built: Sequence[str]) -> None:
    from sqlinfer.jobs.deferring import defer

    defer(night, built)


def _single(night: Night) -> str | None:
    """``preview --select NODE``, as dbt show has it."""
    if not night.options.select:
        return None
    chosen = _chosen(night, None, ("model", "seed"))
    if len(chosen) != 1:
        raise UsageError(f"--select names {counted(len(chosen), 'node')}, preview shows one")
    return night.project.nodes[chosen[0]].name


def ls(
    options: RunOptions, *, resource_types: Sequence[str] = (), on_event: Listener | None = None
) -> list[dict[str, Any]]:
    """The selected members of the project as rows: name, unique_id, selector, path, …"""
    from sqlinfer.jobs import listing

    project = load(options)
    types = set(resource_types) or {*listing.SELECTED}
    chosen = _selected(project, options, types - {"function"})
    for warning in (*project.warnings, *chosen.warnings):
        from sqlinfer.spec.events import Warned

        (on_event or (lambda _: None))(Warned(project.name, warning))
    return list(listing.members(project, chosen.ids, with_functions="function" in types))


def functions(options: RunOptions) -> list[dict[str, Any]]:
    """The declared functions; their artifacts are not opened."""
    from sqlinfer.jobs import listing

    return list(listing.functions(load(options)))


def describe_function(options: RunOptions, name: str, *, on_event: Listener | None = None) -> dict[str, Any]:
    """How a function's arguments reach its graph and what comes back."""
    from dataclasses import asdict

    from sqlinfer.functions.describe import describe
    from sqlinfer.jobs.functions import batch_plan, cache_dir

    available = Functions(load(options), options.device or "auto", on_event or (lambda _: None))
    if name not in available:
        raise UnknownFunction.for_call(name, available)
    plan = batch_plan(cache_dir(available.project), available[name].contract)
    return asdict(describe(available[name])) | {"batch_size": plan}


def promote_function(options: RunOptions, name: str, *, on_event: Listener | None = None) -> Promotion:
    """The challenger of a function takes its place in functions/*.yml, and the other way round.

    Both have been scored, so that the next night scores nothing again.
    """
    from sqlinfer.jobs.promoting import promote

    return promote(Functions(load(options), options.device or "auto", on_event or (lambda _: None)), name)


def verify(
    options: RunOptions,
    functions: Sequence[str] = (),
    *,
    relation: str | None = None,
    rows: int = 10_000,
    tolerance: float | None = None,
    on_event: Listener | None = None,
) -> Iterator[Verification]:
    """Prepared functions (default: all) beside their original libraries, on rows of the nodes that call them, or of
    ``relation``, and on rows made from the models."""
    from sqlinfer.jobs import verify as verifying

    return verifying.verify(_night(options, on_event), functions, relation, rows, tolerance)


def debug(options: RunOptions, *, on_event: Listener | None = None) -> Iterator[Check]:
    """Profile, connection, device and artifacts, each tried."""
    from sqlinfer.jobs import checks

    return checks.run(load(options), options.device, on_event or (lambda _: None))


def clean(options: RunOptions, *, dry_run: bool = False) -> list[Path]:
    """Remove artifacts from the target folder; databases stay."""
    from sqlinfer.jobs import cleaning

    return list(cleaning.clean(load(options), dry_run=dry_run))


def register(connection: Any, project_dir: Path | str, **options: Any) -> Registered:
    """Make each function of a project callable on a ``duckdb.DuckDBPyConnection``; their names, a tuple.

    Functions are vectorised UDFs, sessions live as long as the connection. Arguments are cast as a run casts them: a
    row whose value does not fit, or that fails, is NULL, and ``outcomes`` of the result counts it with its reason.
    ``options`` are those of ``RunOptions``.
    """
    from sqlinfer.inference import open_session
    from sqlinfer.jobs.functions import cache_dir
    from sqlinfer.jobs.udf import Registered, register_function

    chosen = RunOptions(project_dir=Path(project_dir), **options)
    available = Functions(load(chosen), chosen.device or "auto")
    tallies = {}
    for name, prepared in available.items():
        session = open_session(prepared, threads=chosen.threads, cache_dir=cache_dir(available.project))
        tallies[name] = register_function(connection, prepared, session)
    return Registered.of(tallies)
