"""One node, start to end: stage, score, reconcile, audit, publish, compact."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from time import perf_counter

from sqlinfer.adapters.base import Held, Materialization, Workspace
from sqlinfer.compiler.plan.lineage import refuse_taken_names, with_lineage
from sqlinfer.compiler.template.hooked import NONE, Hooks
from sqlinfer.errors import (
    AdapterError,
    Cancelled,
    DataTestError,
    NotPublished,
    PublicationError,
    RunError,
    SqlinferError,
    SystemRefused,
)
from sqlinfer.project import DataTest, Node
from sqlinfer.relation import Relation
from sqlinfer.runner import publication
from sqlinfer.runner.auditing import (
    audit_again,
    audit_query,
    audit_staged,
    audit_written,
    gate,
    named_by,
    split_tests,
    store_failures,
    unique_columns,
)
from sqlinfer.runner.challenging import Challenge, Challenging
from sqlinfer.runner.datatests import refuse_failed
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.external import location
from sqlinfer.runner.hooks import run_by_themselves
from sqlinfer.runner.identity import identity_of
from sqlinfer.runner.inputs import functions_of, keep_inputs, row_key, settle_inputs
from sqlinfer.runner.preflight import preflight
from sqlinfer.runner.provenance import Provenance
from sqlinfer.runner.publication import Publication
from sqlinfer.runner.receipts import receipt_of
from sqlinfer.runner.scoring import refuse_bad_night, score_plan, total
from sqlinfer.runner.versions import with_layout
from sqlinfer.runner.words import in_users_words
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.events import Emit, Event, NodeFinished, NodeStarted, Publishing
from sqlinfer.spec.events import Progress as Scoring
from sqlinfer.spec.function import FILE_MISSING
from sqlinfer.spec.names import LINEAGE
from sqlinfer.spec.plan import Counts, Plan
from sqlinfer.spec.receipt import Receipt
from sqlinfer.spec.results import NodeResult, Timing
from sqlinfer.spec.seconds import Seconds


@dataclass(slots=True)
class _Progress:
    """What is known of a node so far, for its result when it fails half-way."""

    started_at: datetime
    began: float
    seconds: Seconds
    counts: Counts = field(default_factory=Counts)
    rows: int | None = None
    left: int = 0
    tests: tuple[NodeResult, ...] = ()
    pending: bool = False
    receipt: Receipt | None = None
    done: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    """Function → inputs that have come back, of how many."""

    def hear(self, event: Event) -> None:
        if isinstance(event, Scoring):
            self.done[event.function] = event.rows_done, event.rows_total

    @property
    def elapsed(self) -> float:
        return perf_counter() - self.began


def run_node(
    plan: Plan,
    node: Node,
    env: RunEnvironment,
    *,
    is_slice: bool = False,
    published: tuple[Column, ...] | None = None,
    hooks: Hooks = NONE,
    columns: tuple[Column, ...] = (),
    challenge: Challenge | None = None,
) -> NodeResult:
    """Run one compiled node. A failure is in the result (``status`` error, ``error``), never raised.

    Args:
        is_slice: the node's SQL called ``is_incremental()`` and it was true.
        published: columns of the table that is there already, where that is known.
        challenge: what is scored beside it and compared.
    """
    kind = f"{'prediction' if plan.stages else node.config.materialized} model"
    env.emit(NodeStarted(node.unique_id, str(node.relation), kind))
    progress = _Progress(env.now(), perf_counter(), Seconds())
    env = replace(env, emit=_both(progress.hear, env.emit))
    error: SqlinferError | None = None
    try:
        env.stop_if_cancelled()
        if node.config.materialized == "ephemeral":
            raise RunError(f"{node.name} is ephemeral and is not built by itself")
        how = materialization(plan, node, env, is_slice=is_slice)
        preflight(plan, node, env, how, columns, published)
        then = "nothing was read or scored"
        run_by_themselves(env.workspace, hooks.before, node.name, _timeout(node, env), then, node.relation)
        if plan.stages:
            beside = Challenging.of(challenge, plan, env, how) if challenge is not None else None
            _run_scored(plan, node, env, how, progress, hooks, beside)
        else:
            _run_plain(plan, node, env, how, progress, hooks)
    except Cancelled as failure:
        error = env.bounds.stopped(progress.done) if env.bounds.over() else failure
    except SqlinferError as failure:
        error = in_users_words(failure, plan, node.path, node.raw_sql)
    except OSError as failure:
        error = SystemRefused.of(failure)
        error.hint = "the published table is unchanged; run again"
        error.__cause__ = failure
    result = _result(plan, node, env, progress, error)
    env.emit(NodeFinished(result))
    return result


def _both(first: Emit, then: Emit) -> Emit:
    def emit(event: Event) -> None:
        first(event)
        then(event)

    return emit


def _streamed(plan: Plan, env: RunEnvironment) -> tuple[str, ...]:
    contracts = dict.fromkeys(env.function(call.function, call.digest).contract for call in plan.calls)
    return tuple(contract.name for contract in contracts if contract.streams_by_cost)


def materialization(plan: Plan | None, node: Node, env: RunEnvironment, *, is_slice: bool) -> Materialization:
    config = node.config
    kind = config.materialized
    strategy = None if config.incremental_strategy == "insert_overwrite" else config.incremental_strategy
    if strategy is None and config.unique_key:
        strategy = "merge"
    return Materialization(
        target=node.relation,
        kind="view" if kind == "view" else "incremental" if kind == "incremental" else "table",
        unique_key=config.unique_key,
        strategy=strategy,
        is_slice=is_slice,
        on_missing=config.on_missing,
        on_schema_change=config.on_schema_change,
        predictions=plan.result.predictions if plan is not None and kind == "incremental" else (),
        uncompared=LINEAGE if config.lineage else (),
        stable=plan is not None and bool(plan.stages),
        full_refresh=env.full_refresh if config.full_refresh is None else config.full_refresh,
        description=node.description,
        constraints=node.constraints if config.contract else (),
        indexes=config.indexes,
        unlogged=config.unlogged,
        grants=config.grants,
        column_descriptions=tuple((column.name, column.description) for column in node.columns if column.description),
    )


def _timeout(node: Node, env: RunEnvironment) -> float:
    return env.publish_timeout if node.config.publish_timeout is None else node.config.publish_timeout


def _run_plain(
    plan: Plan, node: Node, env: RunEnvironment, how: Materialization, progress: _Progress, hooks: Hooks
) -> None:
    """A node without predict: its SQL runs in the warehouse, tests included, in the one transaction."""
    external = location(node, env.root) if node.config.materialized == "external" else None

    def audit(target: Relation) -> None:
        progress.tests = audit_written(env, node, target)
        refuse_failed(progress.tests)

    wanted = Publication(
        node.unique_id, node.name, env.run_id, how, plan.result.sql, progress.started_at, location=external,
        reads_warehouse=True, provenance=Provenance.of(plan, node, how, env), hooks=hooks, window=env.window,
        layout=with_layout(node, full_refresh=env.full_refresh),
    )  # fmt: skip
    began = perf_counter()
    if external is not None and node.tests:  # files are no relation of the warehouse: their query is tested
        progress.tests = audit_query(env, node, plan.result.sql)
        store_failures(env, node.tests, progress.tests)
        refuse_failed(progress.tests)
    late = audit if node.tests and external is None else None
    env.workspace.see_files(named_by(env, node.tests))
    try:
        written = publication.publish(env, wanted, _timeout(node, env), late)
    except DataTestError:
        audit_again(env, node, how, plan.result.sql)
        raise
    if late is not None:
        store_failures(env, node.tests, progress.tests)
    publication.finish(env, wanted, _timeout(node, env))
    progress.rows, progress.left = None if how.kind == "view" else written.rows, written.left
    progress.seconds.add("publish", perf_counter() - began)


def _forget_failures(plan: Plan, env: RunEnvironment) -> None:
    """What is to be tried again: everything where that was asked for, and files that were not found."""
    for call in plan.calls:
        contract = env.function(call.function, call.digest).contract
        if env.retry_errors:
            env.workspace.forget_errors(contract)
        elif contract.file_argument is not None:
            env.workspace.forget_errors(contract, FILE_MISSING)


def _run_scored(
    plan: Plan, node: Node, env: RunEnvironment, how: Materialization, progress: _Progress, hooks: Hooks,
    beside: Challenging | None,
) -> None:  # fmt: skip
    if node.config.materialized == "view":
        raise RunError(f"{node.name} calls predict() and cannot be a view", hint="materialized: table")
    if node.config.max_error_rate is not None:
        env = replace(env, max_error_rate=node.config.max_error_rate)
    if node.config.keep_inputs:
        env = replace(env, fuse_bytes=None)
    if node.config.lineage:
        refuse_taken_names(plan)
    work = env.workspace
    publication.forget(work, node.unique_id)
    work.clear(plan.owner)
    _forget_failures(plan, env)
    try:
        identity = identity_of(plan, node.config.unique_key, unique_columns(node))
        if beside is not None:
            beside.pin()
        into = how if node.config.materialized != "external" else None
        scored = score_plan(env, plan, identity, progress.seconds, lineage=node.config.lineage, into=into)
        progress.counts = total(scored)
        refuse_bad_night(env, plan, scored)
        result = _held_result(plan, node, env, again=beside is not None)
        tests = split_tests(node.tests, hooked=_touched(hooks, node, plan.dialect))
        staged = replace(node, tests=tests.staged)
        progress.tests = audit_staged(env, staged, how, result.relation, progress.counts)
        gate(env, staged, progress.tests, result.relation)
        env.stop_if_cancelled()
        _keep_inputs(plan, node, env, how, progress)
        _publish(plan, node, env, how, progress, result, hooks, tests.written)
        began = perf_counter()
        settle_inputs(env, plan)
        if beside is not None:
            beside.compare(result.relation, _timeout(node, env))
            took = perf_counter() - began
            progress.seconds.add("challenge", took)
            progress.receipt = progress.receipt and progress.receipt.later("challenge", took)
            began = perf_counter()
        work.compact(plan if beside is None else beside.with_stores(plan), is_slice=how.is_slice or _lacks(beside))
        work.clear(plan.owner)
        progress.seconds.add("clean", perf_counter() - began)
    finally:
        if beside is not None:
            beside.done()
        work.release()


def _touched(hooks: Hooks, node: Node, dialect: str) -> bool:
    """Whether hooks inside the transaction write the node's own table."""
    if not hooks.inside:
        return False
    from sqlinfer.compiler.template.hooks import touches

    return touches(hooks, node.relation, dialect)


def _lacks(beside: Challenging | None) -> bool:
    """Whether it is not known which predictions of the challenger are needed: none goes."""
    return beside is not None and not beside.ready


def _keep_inputs(plan: Plan, node: Node, env: RunEnvironment, how: Materialization, progress: _Progress) -> None:
    began = perf_counter()
    if node.config.keep_inputs is not False and keep_inputs(env, plan, node, how, row_key(node), progress.started_at):
        progress.seconds.add("remember", perf_counter() - began)


def _held_result(plan: Plan, node: Node, env: RunEnvironment, *, again: bool) -> Held:
    """Tests, key checks and files read it again, and must see the same rows; so must a retry, and a challenger."""
    sql = with_lineage(plan, env.run_id, functions_of(plan)) if node.config.lineage else plan.result.sql
    again = again or bool(node.tests or node.config.unique_key) or node.config.materialized == "external"
    again = again or plan.result.reads.warehouse
    return env.workspace.hold(plan, sql, again=again, tested=bool(node.tests))


def _publish(
    plan: Plan, node: Node, env: RunEnvironment, how: Materialization, progress: _Progress, result: Held,
    hooks: Hooks, late: tuple[DataTest, ...],
) -> None:  # fmt: skip
    wanted = Publication(
        node.unique_id, plan.node, env.run_id, how, result.relation.query(env.workspace.dialect),
        progress.started_at, progress.counts, functions_of(plan), progress.counts.errors > 0,
        location(node, env.root) if node.config.materialized == "external" else None,
        timeout=node.config.publish_timeout, side=plan.owner.side,
        provenance=Provenance.of(plan, node, how, env), hooks=hooks, window=env.window,
        receipt=receipt_of(env, plan, progress.counts, progress.seconds, progress.elapsed),
        predicted=plan.result.predictions, layout=with_layout(node, full_refresh=env.full_refresh),
    )  # fmt: skip
    waits = not late  # else a retry would publish what no test has looked at
    if result.lasts and waits:
        publication.remember(env.workspace, wanted)
    env.emit(Publishing(node.unique_id, str(node.relation)))
    began = perf_counter()

    staged = progress.tests

    def audit(target: Relation) -> None:
        progress.tests = (*staged, *audit_written(env, replace(node, tests=late), target, progress.counts))
        refuse_failed(progress.tests)

    try:
        written = publication.publish(env, wanted, _timeout(node, env), audit if late else None)
        progress.rows, progress.left, progress.receipt = written.rows, written.left, written.receipt
    except DataTestError:
        publication.forget(env.workspace, node.unique_id)
        store_failures(env, late, progress.tests)
        raise
    except NotPublished:
        progress.pending = waits and _kept(env.workspace, result) is not None
        if progress.pending:
            progress.receipt = publication.wait(env.workspace, wanted, perf_counter() - began).receipt
        else:
            publication.forget(env.workspace, node.unique_id)
        raise
    except PublicationError:
        publication.forget(env.workspace, node.unique_id)
        raise
    publication.forget(env.workspace, node.unique_id)
    store_failures(env, late, progress.tests)
    publication.finish(env, wanted, _timeout(node, env))
    progress.seconds.add("publish", perf_counter() - began)


def _kept(work: Workspace, result: Held) -> Held | None:
    """What a retry can publish, None where it would be gone: a view would change until then."""
    try:
        return work.keep(result)
    except AdapterError:
        return result if result.lasts else None


def _result(
    plan: Plan, node: Node, env: RunEnvironment, progress: _Progress, error: SqlinferError | None
) -> NodeResult:
    return NodeResult(
        unique_id=node.unique_id,
        status="error" if error else "success",
        relation=node.relation.sql(),
        rows=progress.rows,
        left=progress.left,
        counts=progress.counts,
        message=error.message if error else "OK",
        execution_time=progress.elapsed,
        timing=(Timing("execute", progress.started_at, env.now()),),
        seconds=dict(progress.seconds.spent),
        bound_by=progress.seconds.bound_by,
        functions=functions_of(plan),
        streamed=() if error else _streamed(plan, env),
        compiled_code=plan.result.sql if not plan.stages else plan.sql,
        error=error,
        pending=progress.pending,
        tests=progress.tests,
        receipt=progress.receipt or _unpublished(plan, env, progress),
    )


def _unpublished(plan: Plan, env: RunEnvironment, progress: _Progress) -> Receipt | None:
    """What was spent in vain, or is published later."""
    if not plan.stages or not (progress.counts.inputs or progress.done):
        return None
    return receipt_of(env, plan, progress.counts, progress.seconds, progress.elapsed)


def retry_publication(env: RunEnvironment, unique_id: str | None = None) -> tuple[NodeResult, ...]:
    """Publish what was scored and not published, without scoring. All of it, or one node's."""
    results = []
    for wanted in publication.pending(env.workspace):
        if unique_id in (None, wanted.unique_id):
            results.append(_retry(env, wanted))
    return tuple(results)


def _retry(env: RunEnvironment, wanted: Publication) -> NodeResult:
    env.emit(NodeStarted(wanted.unique_id, str(wanted.how.target), "publication"))
    started_at, began, written = env.now(), perf_counter(), None
    timeout = env.publish_timeout if wanted.timeout is None else wanted.timeout
    error: SqlinferError | None = None
    try:
        written = publication.publish(env, wanted, timeout)
        publication.forget(env.workspace, wanted.unique_id)
        env.workspace.clear(wanted.owner)
        publication.finish(env, wanted, timeout)
    except NotPublished as held:
        error, wanted = held, publication.wait(env.workspace, wanted, perf_counter() - began)
    except SqlinferError as failure:
        error = failure
    result = NodeResult(
        wanted.unique_id, "error" if error else "success", wanted.how.target.sql(),
        written.rows if written else None, wanted.counts,
        error.message if error else "OK", perf_counter() - began, (Timing("execute", started_at, env.now()),),
        functions=wanted.functions, error=error, pending=error is not None, left=written.left if written else 0,
        receipt=written.receipt if written else wanted.receipt,
    )  # fmt: skip
    env.emit(NodeFinished(result))
    return result
