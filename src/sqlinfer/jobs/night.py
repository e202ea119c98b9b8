"""One night's work: compile everything first, then one exclusive workspace, node after node.

Compiling comes first so that a query or a function that does not fit is known before any row is read. What works on
nodes is imported where it is used: lookups and lists need the loaded project alone.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlinfer import catalog
from sqlinfer.adapters.base import Adapter
from sqlinfer.adapters.registry import open_adapter
from sqlinfer.audits.queries import TESTED
from sqlinfer.catalog import ProjectCompiler
from sqlinfer.compiler.compiled import CompiledNode
from sqlinfer.compiler.template.hooked import NONE
from sqlinfer.errors import SqlinferError
from sqlinfer.jobs import reads, tuning
from sqlinfer.jobs.contract import enforce
from sqlinfer.jobs.events import Event, JobStarted, TargetClaimed
from sqlinfer.jobs.functions import Contracts, Functions, cache_dir, files_of, rate
from sqlinfer.jobs.options import RunOptions
from sqlinfer.project import DataTest, Node, Project, locations
from sqlinfer.project.remembered import seal_key
from sqlinfer.project.ways import with_way
from sqlinfer.relation import Relation
from sqlinfer.scrub import scrub_pairs
from sqlinfer.spec.events import NodeFinished, NodeStarted, Warned
from sqlinfer.spec.lineage import ColumnLineage
from sqlinfer.spec.names import FILES
from sqlinfer.storage import Access
from sqlinfer.version import __version__

if TYPE_CHECKING:
    from sqlinfer.jobs.loop import Loop
    from sqlinfer.jobs.warm import WarmSessions
    from sqlinfer.project.values import Hook
    from sqlinfer.runner.bounds import Bounds
    from sqlinfer.runner.challenging import Challenge
    from sqlinfer.runner.environment import RunEnvironment
    from sqlinfer.runner.results import RunResult
    from sqlinfer.spec.results import NodeResult


@dataclass(slots=True)
class Night:
    """A loaded project with everything that working on it needs; nothing is open yet."""

    project: Project
    options: RunOptions
    emit: Callable[[Event], None]
    cancel: threading.Event
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    functions: Functions = field(init=False)
    adapter: Adapter = field(init=False)
    bounds: Bounds = field(init=False)
    stop: threading.Event = field(init=False)
    """Set when the caller cancels, and when what the run may spend is spent."""
    began: float = field(default_factory=monotonic)
    lineage: Mapping[str, tuple[ColumnLineage, ...]] = field(default_factory=dict)
    """Of the columns of what was compiled, by node."""
    sessions: WarmSessions | None = None
    """Where sessions stay open after the run."""
    _devices: dict[str, str] = field(default_factory=dict)
    _claim: Any = None

    def __post_init__(self) -> None:
        self.functions = Functions(self.project, self.options.device or "auto", self.emit)
        profile = self.project.profile
        config = dict(profile.config)
        if self.options.memory_limit:
            limit = {"memory_limit": tuning.database_memory(self.options.memory_limit)}
            config["settings"] = {**(config.get("settings") or {}), **limit}
        self.adapter = open_adapter(profile.type, config, self.project.root).limited_to(reads.of_project(self.project))

        from sqlinfer.jobs import spending
        from sqlinfer.runner.bounds import Stop

        self.bounds = spending.bounds_of(self.options, self.project.prices, self.began)
        self.stop = Stop(self.cancel, self.bounds) if self.bounds.any else self.cancel

    def allow(self, *sql: str) -> None:
        """The files that SQL from outside of the project (``--inline``, Python) names may be read, too."""
        self.adapter = self.adapter.limited_to(reads.of_project(self.project, *sql))

    def warn(self, messages: Iterable[str]) -> None:
        for message in messages:
            self.emit(Warned(self.project.name, message))

    def hold(self, claim: Any) -> None:
        """The caller has claimed the target, and lets go of it by itself."""
        self._claim = claim

    @contextmanager
    def claimed(self) -> Iterator[Any]:
        """The target is this run's alone, from before its first artifact until its last. Re-entrant.

        Raises:
            StoreError: another run holds it.
        """
        if self._claim is not None:
            yield self._claim
            return
        with self.adapter.claim(self.run_id) as self._claim:
            try:
                self.emit(TargetClaimed(scrub_pairs(str(self.project.profile.config.get("path"))), self._claim.path))
                yield self._claim
            finally:
                self._claim = None

    def preload(self) -> None:
        """Import what scoring needs while the warehouse's catalog is read."""
        from sqlinfer.inference.preload import preload

        if self.project.functions:
            preload()

    @contextmanager
    def compiler(self) -> Iterator[ProjectCompiler]:
        contracts = Contracts(self.functions)
        given = self.options
        how: dict[str, Any] = {"full_refresh": given.full_refresh, "empty": given.empty, "key": seal_key(os.environ)}
        how["window"] = given.window
        with catalog.open_compiler(self.project, self.adapter, contracts, run=self.names, **how) as opened:
            yield opened

    @property
    def names(self) -> dict[str, Any]:
        """What hooks know of the run, beside all that models know."""
        return {"invocation_id": self.run_id, "run_started_at": self.started_at}

    def environment(self, workspace: Any) -> RunEnvironment:
        from sqlinfer.jobs.opening import Opening
        from sqlinfer.runner.environment import RunEnvironment

        isolation = {name: config.isolation for name, config in self.project.functions.items()}
        named = relations(self.project)
        opening = Opening(isolation, False, self.options.threads, cache_dir(self.project), self._devices, self.sessions)

        return RunEnvironment(
            workspace=workspace,
            run_id=self.run_id,
            functions=self.functions,
            session_factory=opening,
            isolated_factory=replace(opening, careful=True),
            emit=self.emit,
            cancel=self.stop,
            version=__version__,
            root=self.project.root,
            access=Access.of(self.project.profile.config),
            may_write=partial(locations.refuse_foreign, self.project),
            full_refresh=self.options.full_refresh,
            files_of=partial(files_of, self.project),
            relations=named,
            filed={name: one for name, one in named.items() if one.catalog == FILES},
            retry_errors=self.options.retry_errors,
            window=self.options.window,
            bounds=self.bounds,
            prices=self.project.prices,
            rate=partial(rate, self.project),
            devices=self._devices,
            **tuning.chunk_bounds(os.environ, self.options.memory_limit),
        )


def relations(project: Project) -> dict[str, Relation]:
    """Names as ``ref()`` and ``source()`` give them, and full names → relations."""
    named = {node.name: _read(project, node) for node in project.nodes.values()}
    named |= {f"{s.source_name}.{s.name}": s.relation for s in project.sources.values()}
    return named | {str(relation): relation for relation in named.values()}


def _read(project: Project, node: Node) -> Relation:
    """Where its rows are read; the files of an external model are a relation on DuckDB alone."""
    return node.read_as if project.profile.type == "duckdb" else node.relation


Compiled = Mapping[str, CompiledNode | SqlinferError]


def compile_nodes(
    compiler: ProjectCompiler, ids: Iterable[str], project: Project
) -> dict[str, CompiledNode | SqlinferError]:
    """Each model's plan, or why it has none."""
    done: dict[str, CompiledNode | SqlinferError] = {}
    for unique_id in ids:
        node = project.nodes[unique_id]
        if node.resource_type != "model":
            continue
        try:
            item = compiler.compile(node)
            enforce(node, item, project.profile.type)
            done[unique_id] = item
        except SqlinferError as error:
            done[unique_id] = error
    return done


def work(night: Night, ids: Sequence[str], tests: Sequence[DataTest], args: Mapping[str, Any]) -> RunResult:
    """Seeds, then models, then the tests that did not run with their node."""
    from sqlinfer.jobs import telemetry

    with telemetry.told(night) as settle, night.claimed():
        result = _work(night, ids, tests, args)
        settle(result)
        return result


def _work(night: Night, ids: Sequence[str], tests: Sequence[DataTest], args: Mapping[str, Any]) -> RunResult:
    from sqlinfer.jobs import spending
    from sqlinfer.jobs.journal import Journal
    from sqlinfer.jobs.loop import Loop
    from sqlinfer.runner.results import RunResult

    project = night.project
    seeds = [uid for uid in ids if uid in project.nodes and project.nodes[uid].resource_type == "seed"]
    models = [uid for uid in ids if uid in project.nodes and is_built(project, uid)]
    gates = {test.unique_id for uid in models for test in project.nodes[uid].tests}
    left = [test for test in tests if test.unique_id not in gates]
    hooks = len(project.on_run_start) + len(project.on_run_end)
    announce(night, len(seeds) + len(models) + len(left) + hooks)
    result = RunResult(
        night.run_id, datetime.now(UTC), args={**args, "nodes": [*seeds, *models, *(t.unique_id for t in left)]}
    )
    loop = Loop(
        parents={uid: node.depends_on for uid, node in project.nodes.items()},
        emit=night.emit,
        journal=Journal(project),
        cancelled=night.cancel.is_set,
        spent=night.bounds.over,
        fail_fast=night.options.fail_fast,
    )
    loop.journal.save(result)
    chosen = (*seeds, *models, *(test.unique_id for test in left))
    result = _hooked(night, project.on_run_start, result, chosen)
    if not result.ok:
        return _all_skipped(night, loop, result, chosen)
    result = _members(night, loop, result, seeds, models, left)
    result = _hooked(night, project.on_run_end, result, chosen)
    result = spending.settled(night, result)
    loop.journal.save(result)
    return result


def _hooked(night: Night, hooks: Sequence[Hook], result: RunResult, ids: Sequence[str]) -> RunResult:
    if hooks and not night.cancel.is_set():
        from sqlinfer.jobs.run_hooks import run_hooks

        with opened(night) as env:
            for item in run_hooks(night, env, hooks, result, ids):
                result = result.with_result(item, result.elapsed + item.execution_time)
    return result


def _all_skipped(night: Night, loop: Loop, result: RunResult, ids: Sequence[str]) -> RunResult:
    from sqlinfer.spec.results import NodeResult

    for uid in ids:
        skipped = NodeResult(uid, "skipped", message="on-run-start failed")
        night.emit(NodeFinished(skipped))
        result = result.with_result(skipped, result.elapsed)
    loop.journal.save(result)
    return result


def _members(
    night: Night, loop: Loop, result: RunResult, seeds: Sequence[str], models: Sequence[str], left: Sequence[DataTest]
) -> RunResult:
    if seeds:
        with opened(night) as env:
            result = loop.run(seeds, lambda uid: (_seed(night, env, uid),), result)
    if models:
        result = run_models(night, models, loop, result)
    if left and not (night.options.fail_fast and not result.ok):
        with opened(night) as env:
            result = test_all(night, env, left, loop, result)
    return result


def _seed(night: Night, env: RunEnvironment, unique_id: str) -> NodeResult:
    from sqlinfer.compiler.template.hooks import render_hooks
    from sqlinfer.runner.seed import seed

    node = night.project.nodes[unique_id]
    return seed(node, env, render_hooks(node, night.project, extra=night.names))


def is_built(project: Project, unique_id: str) -> bool:
    node = project.nodes[unique_id]
    return node.resource_type == "model" and node.config.materialized != "ephemeral"


@contextmanager
def opened(night: Night) -> Iterator[RunEnvironment]:
    """The exclusive workspace of the target. Raises StoreError where another run holds it."""
    from sqlinfer.jobs import crashfile
    from sqlinfer.runner import crash_notes

    with night.claimed() as claim, night.adapter.workspace(night.run_id, claim) as workspace:
        workspace.cancel = night.stop
        evidence = night.project.target_path / f"crash-{night.project.profile.target}.txt"
        if crashfile.crashed(evidence):
            crash_notes.blame_crash(workspace)
        night.warn(workspace.warnings)
        with crashfile.watched(evidence):
            yield night.environment(workspace)


def run_models(night: Night, models: Sequence[str], loop: Loop, result: RunResult) -> RunResult:
    from sqlinfer.jobs import artifacts

    night.preload()
    with night.compiler() as compiler:
        compiled = compile_nodes(compiler, models, night.project)
        beside = _challenges(night, compiler, compiled)
    night.lineage = {uid: item.lineage for uid, item in compiled.items() if isinstance(item, CompiledNode)}
    artifacts.save_compiled(night, compiled)
    if not any(isinstance(item, CompiledNode) for item in compiled.values()):
        return loop.run(models, partial(run_one, night, None, compiled, beside), result)
    with opened(night) as env:
        return loop.run(models, partial(run_one, night, env, compiled, beside), result)


def _challenges(
    night: Night, compiler: ProjectCompiler, compiled: dict[str, CompiledNode | SqlinferError]
) -> Mapping[str, Challenge]:
    if all(config.challenger is None for config in night.project.functions.values()):
        return {}
    from sqlinfer.jobs import challengers

    return challengers.challenges(night, compiler, compiled)


def run_one(
    night: Night, env: RunEnvironment | None, compiled: Compiled, beside: Mapping[str, Challenge], unique_id: str
) -> tuple[NodeResult, ...]:
    from sqlinfer.runner.node import run_node

    item = compiled[unique_id]
    if env is None or isinstance(item, SqlinferError):
        assert isinstance(item, SqlinferError)
        raise item
    node = night.project.nodes[unique_id]
    tests = tuple(_rendered(test, night.project, node.relation) for test in node.tests)
    node = replace(node, config=replace(node.config, unique_key=item.unique_key), tests=tests)
    env.workspace.linger(item.hooks == NONE)
    result = run_node(item.plan, node, env, is_slice=item.is_slice, published=item.published, hooks=item.hooks,
                      columns=item.columns, challenge=beside.get(unique_id))  # fmt: skip
    show_ways(night.project, (result, *result.tests))
    return (result,)


def show_ways(project: Project, results: Iterable[NodeResult]) -> None:
    for item in results:
        if item.error is not None:
            with_way(item.error, project)


def test_all(night: Night, env: RunEnvironment, tests: Sequence[DataTest], loop: Loop, result: RunResult) -> RunResult:
    """Tests of what is published, one after the other; those of a node that failed are skipped."""
    from sqlinfer.runner.audit_tables import run_tests

    def one(unique_id: str) -> tuple[NodeResult, ...]:
        test = night.project.tests[unique_id]
        night.emit(NodeStarted(unique_id, test.name, "test"))
        (item,) = run_tests(env, [prepare_test(night.project, test)])
        show_ways(night.project, (item,))
        night.emit(NodeFinished(item))
        return (item,)

    loop.parents = {test.unique_id: (*test.depends_on, *([test.node] if test.node else ())) for test in tests}
    # Storing failing rows opens the warehouse for writing, so then it cannot stay attached for reading.
    with nullcontext() if any(test.stored for test in tests) else env.workspace.warehouse():
        return loop.run([test.unique_id for test in tests], one, result)


def prepare_test(project: Project, test: DataTest) -> tuple[DataTest, Relation | None]:
    """A test with its SQL rendered and the relation that it looks at."""
    if test.node is None:
        from sqlinfer.compiler.template.render import render_test

        return replace(test, sql=render_test(test, project).sql), None
    node = project.nodes.get(test.node)
    relation = _read(project, node) if node else project.sources[test.node].relation
    return _rendered(test, project, relation), relation


def _rendered(test: DataTest, project: Project, relation: Relation) -> DataTest:
    if test.sql is None:
        return test
    from sqlinfer.compiler.template.render import render_generic

    return replace(test, sql=render_generic(test, project, relation, TESTED))


def publish_pending(night: Night, result: RunResult) -> RunResult:
    """Publish what an earlier run scored and could not publish. Nothing is scored."""
    from sqlinfer.runner.node import retry_publication

    with opened(night) as env:
        for item in retry_publication(env):
            result = result.with_result(item, result.elapsed + item.execution_time)
    return result


def announce(night: Night, total: int) -> None:
    project = night.project
    kinds: dict[str, int] = {}
    for node in project.nodes.values():
        kinds[node.resource_type] = kinds.get(node.resource_type, 0) + 1
    found = (
        *sorted(kinds.items()), ("data test", len(project.tests)), ("source", len(project.sources)),
        ("function", len(night.functions)),
    )  # fmt: skip
    night.emit(JobStarted(__version__, found, total, project.profile.target))
    night.warn(project.warnings)
