"""``sqlinfer run --dbt``: the prediction nodes of a dbt project, scored and published. In: options. Out: RunResult."""

from __future__ import annotations

import os
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlinfer.adapters.registry import open_adapter
from sqlinfer.compiler.compiled import CompiledNode
from sqlinfer.dbt.command import Dbt, compiling_flags, dbt_for, selection_flags
from sqlinfer.dbt.deferring import Deferral
from sqlinfer.dbt.home import DbtHome
from sqlinfer.dbt.project import check_compiled, home_of, load_project, profile_of
from sqlinfer.errors import SqlinferError, UsageError
from sqlinfer.files import parse_json, read_plain
from sqlinfer.jobs import artifacts, challengers, planning, retrying, spending
from sqlinfer.jobs import night as nights
from sqlinfer.jobs.events import Event
from sqlinfer.jobs.journal import Journal
from sqlinfer.jobs.loop import Loop
from sqlinfer.jobs.night import Night
from sqlinfer.jobs.options import RunOptions
from sqlinfer.project import Project
from sqlinfer.project.journal import with_journal
from sqlinfer.project.selectors import resolve
from sqlinfer.runner.environment import now_utc
from sqlinfer.runner.results import RunResult
from sqlinfer.spec.events import Warned

if TYPE_CHECKING:
    import pyarrow as pa

_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_DBTS_OWN = re.compile(r"(?<![\w.])is_incremental\s*\(")
Listener = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Job:
    """A project read from a manifest, and the prediction nodes that were chosen, in order."""

    project: Project
    ids: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    claim: Any = None
    """The target, where the caller holds it already."""


@contextmanager
def claimed(home: DbtHome, options: RunOptions) -> Iterator[Any]:
    """The target is this run's alone, from before dbt is started; None where only dbt knows such a target.

    Raises:
        StoreError: another run holds it.
    """
    profile = profile_of(home, options)
    try:
        adapter = open_adapter(profile.type, dict(profile.config), home.root)
    except SqlinferError:  # said when a prediction is to be published there
        yield None
        return
    with adapter.claim(str(uuid.uuid4())) as claim:
        yield claim


def load(options: RunOptions, manifest: Path | None = None, cancel: threading.Event | None = None) -> Job:
    """With a manifest: its nodes, chosen by our selectors. Without: dbt compiles the selection into a private folder.

    Raises:
        RunError: dbt failed. ProjectError, UsageError: the manifest is missing, damaged or stale.
    """
    home = home_of(options, os.environ)
    if manifest is not None:
        _refuse_compiling(options)
        project, _ = load_project(home, profile_of(home, options), manifest.absolute())
        chosen = resolve(project, options.select, options.exclude, resource_types=("model",))
        ids = tuple(key for key in chosen.ids if is_ours(project, key))
        return Job(project, ids, (*project.warnings, *chosen.warnings))
    arguments = (*selection_flags(options), *compiling_flags(options))
    dbt = dbt_for(options, os.environ, cancel)
    if options.sample is None:
        return _deferring(compiled_by_dbt(options, dbt, arguments), options)
    with dbt.opened(home.private / "dbt") as opened:
        job = compiled_by_dbt(options, opened, (*arguments, *opened.sampling(options.sample)))
        return _deferring(job, options)


def _deferring(job: Job, options: RunOptions) -> Job:
    """Tests look for other nodes where dbt would."""
    state = options.defer_state or options.state
    if not options.defer or state is None:
        return job
    folder = options.project_dir / state
    deferral = Deferral.read(folder, favors=options.favor_state, built=frozenset(job.ids))
    return replace(job, project=deferral.of_project(job.project))


def _refuse_compiling(options: RunOptions) -> None:
    """Raises UsageError for what only dbt can do, which is not called here."""
    given = {
        "--selector": options.selector, "--state": options.state, "--defer": options.defer, "--empty": options.empty,
        "--sample": options.sample,
        "--defer-state": options.defer_state,
    }  # fmt: skip
    for name in (name for name, value in given.items() if value):
        hint = "leave out --manifest: dbt compiles with it"
        raise UsageError(f"{name} does not go with --manifest, whose SQL is compiled already", hint=hint)


def compiled_by_dbt(options: RunOptions, dbt: Dbt, arguments: Sequence[str]) -> Job:
    """The prediction nodes that ``dbt compile`` with these arguments compiles; it writes into a folder of ours."""
    home = home_of(options, os.environ)
    folder = home.private / "dbt"
    said = dbt.ask("compile", *arguments, target_path=folder)
    project, _ = load_project(
        home, profile_of(home, options), folder / "manifest.json", fresh=True, deferring=options
    )  # fmt: skip
    order = resolve(project, resource_types=("model",)).ids
    ids = tuple(key for key in order if is_ours(project, key) and project.nodes[key].compiled is not None)
    return Job(project, ids, (*project.warnings, *said.unmatched()))


def is_ours(project: Project, unique_id: str) -> bool:
    return project.nodes[unique_id].config.extra.get("materialized") == "prediction"


def run(
    options: RunOptions,
    *,
    manifest: Path | None = None,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
) -> RunResult:
    """Score and publish the chosen prediction nodes; run_results.json goes to ``target/sqlinfer/``."""
    with claimed(home_of(options, os.environ), options) as claim:
        job = load(options, manifest, cancel)
        return execute(replace(job, claim=claim), options, on_event, cancel)


def execute(job: Job, options: RunOptions, on_event: Listener | None, cancel: threading.Event | None) -> RunResult:
    night = night_of(job.project, options, on_event, cancel)
    night.hold(job.claim)
    night.warn(job.warnings)
    for node in (job.project.nodes[key] for key in job.ids):
        if not node.asks_incremental and _DBTS_OWN.search(_COMMENT.sub("", node.raw_sql)):
            said = "dbt's is_incremental() is always false in a prediction node; call sqlinfer.is_incremental()"
            night.emit(Warned(node.unique_id, said))
    if not job.ids:
        night.warn(["no prediction node is selected: nothing to do"])
    with night.claimed():
        return _work(night, job.ids)


def night_of(project: Project, options: RunOptions, on_event: Listener | None, cancel: threading.Event | None) -> Night:
    """Files that dbt's compiled SQL reads are allowed like those of our own models, whose text names them itself."""
    night = Night(project, options, on_event or (lambda _: None), cancel or threading.Event())
    night.allow("\n".join(node.compiled for node in project.nodes.values() if node.compiled))
    return night


def _work(night: Night, ids: Sequence[str]) -> RunResult:
    nights.announce(night, len(ids))
    args = {**night.options.as_args("run"), "nodes": list(ids), "dbt": True}
    result = RunResult(night.run_id, now_utc(), args=args)
    loop = Loop(
        parents={key: node.depends_on for key, node in night.project.nodes.items()}, emit=night.emit,
        journal=Journal(night.project), cancelled=night.cancel.is_set, spent=night.bounds.over,
        fail_fast=night.options.fail_fast,
    )  # fmt: skip
    loop.journal.save(result)
    if ids:
        result = _score(night, ids, loop, result)
    result = spending.settled(night, result)
    loop.journal.save(result)
    return result


def last_run(home: DbtHome) -> dict[str, Any] | None:
    """run_results.json of the last ``sqlinfer run --dbt``."""
    try:
        content = parse_json(read_plain(home.private / "run_results.json"))
        return with_journal(content, home.private, read_plain) if content["args"]["dbt"] else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def retry(
    options: RunOptions,
    last: Mapping[str, Any],
    *,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
) -> RunResult:
    """Publish what the last run scored and could not publish, then score what it did not finish."""
    left = retrying.remaining(last)
    before = retrying.as_before(options, last["args"])
    with claimed(home_of(before, os.environ), before) as claim:
        job = load(replace(before, select=tuple(uid.split(".")[2] for uid in left)), cancel=cancel)
        night = night_of(job.project, before, on_event, cancel)
        night.hold(claim)
        return _retry(night, job, left, last)


def _retry(night: Night, job: Job, left: Sequence[str], last: Mapping[str, Any]) -> RunResult:
    with night.claimed():
        published = nights.publish_pending(night, RunResult(night.run_id, now_utc(), args=last["args"]))
        done = {item.unique_id for item in published.results if item.ok}
        result = _work(night, [uid for uid in job.ids if uid in left and uid not in done])
        for item in published.results:
            result = result.with_result(item, result.elapsed)
        artifacts.save_results(night.project, result)
    return result


def _score(night: Night, ids: Sequence[str], loop: Loop, result: RunResult) -> RunResult:
    with night.compiler() as compiler:
        compiled = {
            key: item for uid in ids for key, item in _compiled(night, uid, partial(nights.compile_nodes, compiler))
        }
        beside = challengers.challenges(night, compiler, compiled)
    artifacts.save_compiled(night, compiled)
    if not any(isinstance(item, CompiledNode) for item in compiled.values()):
        return loop.run(ids, partial(nights.run_one, night, None, compiled, beside), result)
    with nights.opened(night) as env:
        return loop.run(ids, partial(nights.run_one, night, env, compiled, beside), result)


Compile = Callable[[Sequence[str], Project], Mapping[str, CompiledNode | SqlinferError]]


def _compiled(night: Night, uid: str, compile_all: Compile) -> Sequence[tuple[str, CompiledNode | SqlinferError]]:
    """The plan of one node, or what is wrong with it."""
    node = night.project.nodes[uid]
    try:
        check_compiled(node, night.project)
        item = compile_all([uid], night.project)[uid]
    except SqlinferError as error:
        return [(uid, error)]
    return [(uid, item)]


def preview(options: RunOptions, node: str, *, manifest: Path | None = None, limit: int = 5,
            on_event: Listener | None = None) -> pa.Table:  # fmt: skip
    """The first rows of a prediction node; nothing is published."""
    job = load(options if manifest else replace(options, select=(node,)), manifest)
    night = night_of(_by_name(job.project), options, on_event, None)
    return planning.preview_rows(night, node, None, None if limit < 0 else limit, None)


def _by_name(project: Project) -> Project:
    """``Project.node`` finds the nodes of the root package; those of packages are found by their own name too."""
    extra = {f"model.{project.name}.{node.name}": node for node in project.nodes.values() if node.compiled is not None}
    return replace(project, nodes={**project.nodes, **extra})
