"""``run --backfill``: incremental nodes over a stretch of time, one slice after the other, each a run of its own.

What is done is known from the run records, which are written in the transaction that publishes a slice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlinfer.adapters.shared.records import slices_sql
from sqlinfer.compiler.template.render import RenderFlags, render
from sqlinfer.errors import Location, ProjectError, UsageError
from sqlinfer.jobs import night as nights
from sqlinfer.jobs.events import BackfillStarted, SliceStarted
from sqlinfer.jobs.night import Night
from sqlinfer.jobs.options import RunOptions
from sqlinfer.jobs.warm import WarmSessions
from sqlinfer.project import Node, Project
from sqlinfer.project.loading import given_vars
from sqlinfer.runner.environment import now_utc
from sqlinfer.runner.provenance import raw_checksum
from sqlinfer.runner.results import RunResult
from sqlinfer.spec.records import RUNS
from sqlinfer.spec.window import Window

GRAINS = ("hour", "day", "week", "month")
MOST = 100_000
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def windows(grain: str, first: str, last: str) -> tuple[Window, ...]:
    """Slices from the one that ``first`` lies in to the one that ``last`` lies in; a date alone is the whole day.

    Raises:
        UsageError: one of them is no date, they are the wrong way round, or there are too many.
    """
    begin, end = _moment("--from", first), _moment("--to", last)
    if _DATE.fullmatch(last.strip()):
        end += timedelta(days=1) - timedelta(microseconds=1)
    if begin > end:
        raise UsageError(f"--from {first} is after --to {last}")
    found, start = list[Window](), _floor(begin, grain)
    while start <= end:
        if len(found) == MOST:
            raise UsageError(f"more than {MOST:,} slices", hint="backfill a part of the time, or larger slices")
        after = _next(start, grain)
        found.append(Window(start, after))
        start = after
    return tuple(found)


def _moment(flag: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text.strip())
        if found.tzinfo is not None or found.year >= 9999:
            raise ValueError
    except ValueError:
        raise UsageError(
            f"{flag} '{text}' is no date", hint="for example 2026-01-31, or 2026-01-31T06:00, without a time zone"
        ) from None
    return found


def _floor(at: datetime, grain: str) -> datetime:
    if grain == "hour":
        return at.replace(minute=0, second=0, microsecond=0)
    day = datetime.combine(date(at.year, at.month, at.day), datetime.min.time())
    return {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[grain]


def _next(at: datetime, grain: str) -> datetime:
    if grain == "month":
        return (at + timedelta(days=32)).replace(day=1)
    return at + {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}[grain]


def backfill(
    options: RunOptions, every: Sequence[Window], chosen: Callable[[Project], Sequence[str]],
    open_night: Callable[[RunOptions], Night], on_result: Callable[[RunResult], object],
) -> RunResult:  # fmt: skip
    """The last slice's result; a slice that fails is the last one.

    Raises:
        UsageError, ProjectError: a node cannot be cut into slices.
    """
    if options.full_refresh:
        raise UsageError("--backfill does not go with --full-refresh: each slice would throw the others away")
    night = open_night(_of(options, every[0]))
    nodes = _nodes(night.project, chosen(night.project), named=bool(options.select or options.selector))
    after = every[1] if len(every) > 1 else Window(every[0].end, every[0].end + (every[0].end - every[0].start))
    other = open_night(_of(options, after)).project
    for node in nodes:
        _refuse_uncut(night.project, other, node, every[0], after)
    done = _done(night, nodes)
    left = [(at, [n for n in nodes if (n.unique_id, at) not in done]) for at in every]
    left = [(at, todo) for at, todo in left if todo]
    night.emit(BackfillStarted(tuple(node.unique_id for node in nodes), len(every), len(every) - len(left)))
    return _work(options, left, open_night, on_result, (len(every), night))


def _work(
    options: RunOptions, left: Sequence[tuple[Window, Sequence[Node]]], open_night: Callable[[RunOptions], Night],
    on_result: Callable[[RunResult], object], known: tuple[int, Night],
) -> RunResult:  # fmt: skip
    total, first = known
    result = RunResult(first.run_id, now_utc(), args=options.as_args("run"))
    sessions = WarmSessions()
    try:
        for number, (at, nodes) in enumerate(left, total - len(left) + 1):
            night = open_night(_of(options, at))
            if night.cancel.is_set():
                break
            night.sessions = sessions
            night.emit(SliceStarted(at.variables["backfill_start"], at.variables["backfill_end"], number, total))
            ids = [node.unique_id for node in nodes if node.unique_id in night.project.nodes]
            result = nights.work(night, ids, (), night.options.as_args("run"))
            sessions.settle()
            on_result(result)
            if not result.ok:
                break
    finally:
        sessions.close()
    return result


def _of(options: RunOptions, at: Window) -> RunOptions:
    return replace(options, window=at, vars={**given_vars(options.vars), **at.variables})


def _nodes(project: Project, ids: Sequence[str], *, named: bool) -> list[Node]:
    nodes = [project.nodes[uid] for uid in ids]
    fit = [node for node in nodes if node.config.materialized == "incremental"]
    wrong = next((node for node in nodes if node not in fit), None)
    if named and wrong is not None:
        raise ProjectError(
            f"{wrong.name} is materialized as {wrong.config.materialized} and cannot be backfilled",
            hint="materialized='incremental', or leave it out with --exclude", location=Location(wrong.path),
        )  # fmt: skip
    if not fit:
        raise UsageError("there is no incremental model to backfill", hint="materialized='incremental'")
    rebuilt = next((node for node in fit if node.config.full_refresh), None)
    if rebuilt is not None:
        raise ProjectError(
            f"{rebuilt.name} has full_refresh: true, so that each slice would throw the others away",
            hint="leave full_refresh out", location=Location(rebuilt.path),
        )  # fmt: skip
    return fit


def _refuse_uncut(one: Project, other: Project, node: Node, *at: Window) -> None:
    """SQL that is the same for two slices reads all rows for each of them."""
    said = [
        render(project.nodes[node.unique_id], project, is_incremental=True, flags=RenderFlags(window=window)).sql
        for project, window in zip((one, other), at, strict=True)
    ]
    if said[0] == said[1]:
        raise ProjectError(
            f"nothing in {node.name} depends on the slice that is backfilled",
            hint="declare event_time in the config of a model or source that it reads, or filter by "
            "var('backfill_start') and var('backfill_end') where is_incremental()",
            location=Location(node.path),
        )


def _done(night: Night, nodes: Sequence[Node]) -> set[tuple[str, Window]]:
    """What the records say was published, by the node's SQL and functions as they are today, into a table that is
    there still."""
    found = set[tuple[str, Window]]()
    runs = {node.unique_id: replace(node.relation, name=RUNS.table) for node in nodes}
    columns = night.adapter.columns(dict.fromkeys([*runs.values(), *(node.relation for node in nodes)]))
    for node in nodes:
        names = {column.name.casefold() for column in columns.get(runs[node.unique_id], ())}
        if node.relation not in columns or not names >= {"slice_start", "slice_end", "provenance"}:
            continue
        digests = {name: night.functions[name].contract.digest for name in node.functions}
        asked = slices_sql(runs[node.unique_id], node.unique_id, str(node.relation), night.adapter.dialect)
        rows = night.adapter.query(asked)
        mine = set[Window]()
        for start, end, provenance in zip(*(rows.column(n).to_pylist() for n in range(3)), strict=True):
            told: dict[str, Any] = json.loads(provenance or "{}")
            if told.get("made_table"):
                mine.clear()
            if told.get("raw") == raw_checksum(node) and told.get("functions") == digests:
                mine.add(Window(start, end))
        found |= {(node.unique_id, window) for window in mine}
    return found
