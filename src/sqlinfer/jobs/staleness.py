"""``sqlinfer freshness``: how old the predictions of each table are, and how many were made from other inputs.

Nothing is scored and nothing is written: the inputs that the query gives today are compared with those that each
published row was scored from, in the warehouse, by key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlinfer.adapters.base import PinOptions, Workspace
from sqlinfer.adapters.shared.inputs import Comparison, RowInputs, count_sql
from sqlinfer.adapters.shared.records import functions_sql, started_sql
from sqlinfer.compiler.compiled import CompiledNode
from sqlinfer.errors import SqlinferError, UsageError, did_you_mean
from sqlinfer.jobs.impact import Impact, impact_of
from sqlinfer.jobs.night import Night, compile_nodes
from sqlinfer.project import Node, Project
from sqlinfer.project.graph import graph, predicts
from sqlinfer.relation import fold
from sqlinfer.runner.inputs import Traced, fits, functions_of, row_key, trace
from sqlinfer.spec.events import Warned
from sqlinfer.spec.names import RUN_RECORDS, input_runs_name, inputs_name
from sqlinfer.spec.plan import Plan
from sqlinfer.spec.records import PastRun

_LARGE = 1_000_000
"""Rows above which the ages are those of all inputs that the stores hold, a few of which no row may have any more:
finding the time of each row takes as long as everything else."""
SLICED = (
    "dbt may have compiled its query for a slice; leave out --manifest, or write it by `dbt compile --full-refresh`"
)
_SKEW = timedelta(minutes=1)
"""Clocks differ."""


@dataclass(frozen=True, slots=True)
class TableFreshness:
    table: str
    rows: int
    stale_rows: int | None = None
    """Rows whose inputs are others than those that they were scored from. None: not known, ``problem`` says why."""
    older_function_rows: int | None = None
    oldest: datetime | None = None
    newest: datetime | None = None
    gone: int = 0
    """Rows that the query does not return any more."""
    unknown: int = 0
    """Rows that were published before inputs were kept."""
    problem: str = ""
    impact: Impact | None = None
    above: frozenset[str] = frozenset()
    """Other models that its query is made from, near or far. Where their rows are stale, its rows are, too."""

    @property
    def stale_share(self) -> float | None:
        return None if self.stale_rows is None else self.stale_rows / self.rows if self.rows else 0.0

    def as_json(self) -> dict[str, Any]:
        found = {
            "table": self.table, "rows": self.rows, "stale_rows": self.stale_rows, "stale_share": self.stale_share,
            "older_function_rows": self.older_function_rows, "oldest": _iso(self.oldest), "newest": _iso(self.newest),
        }  # fmt: skip
        return found | (self.impact.as_json() if self.impact is not None else {})


def tables(night: Night, names: Sequence[str], impact: int | None = None, seed: int = 0) -> Iterator[TableFreshness]:
    """Each prediction table, or those that are named. The night's options ask for a full refresh: what is compared is
    the query for the whole table, not a slice of it.

    Args:
        impact: re-score so many of the stale rows of each.

    Raises:
        UsageError: a name is none of a prediction table.
    """
    chosen = _chosen(night.project, names)
    for node in chosen:
        refuse_plain(night.project, node)
    night.warn(night.project.warnings)
    with night.compiler() as compiler:
        compiled = compile_nodes(compiler, [node.unique_id for node in chosen], night.project)
    parents = graph(night.project)
    for node in chosen:
        item = compiled[node.unique_id]
        if isinstance(item, SqlinferError):
            raise item
        if not item.plan.stages:
            if names:
                raise no_prediction(node)
            continue
        found = _table(night, node, item, impact, seed)
        if found.problem:
            if names:
                raise UsageError(f"the freshness of '{node.name}' is not known: {found.problem}")
            night.emit(Warned(node.unique_id, f"its freshness is not known: {found.problem}"))
        nodes = night.project.nodes
        above = frozenset(nodes[uid].name for uid in parents.ancestors([node.unique_id]) if uid in nodes)
        yield _checked(night, node, replace(found, above=above))


def _chosen(project: Project, names: Sequence[str]) -> list[Node]:
    models = [node for node in project.nodes.values() if node.resource_type == "model"]
    if not names:
        tables = [node for node in models if node.config.materialized not in ("ephemeral", "view")]
        return [node for node in tables if predicts(project, node)]
    return [named(models, name) for name in dict.fromkeys(names)]


def sources_of(project: Project, names: Sequence[str]) -> tuple[str, ...]:
    """Those that the tables are made from; all of them where none is named."""
    if not names:
        return tuple(project.sources)
    above = graph(project).ancestors(node.unique_id for node in _chosen(project, names))
    return tuple(uid for uid in project.sources if uid in above)


def named(models: Sequence[Node], name: str) -> Node:
    """By the node's name, else by that of its table.

    Raises:
        UsageError: there is none, or there are several.
    """
    for names in (_own_names, _table_names):
        found = [node for node in models if name in names(node)]
        if len(found) == 1:
            return found[0]
        if found:
            spelled = " or ".join(node.unique_id for node in found)
            raise UsageError(f"{len(found)} models are named '{name}'", hint=f"name one of them: {spelled}")
    raise UsageError(f"no model is named '{name}'", hint=did_you_mean(name, [node.name for node in models]))


def _own_names(node: Node) -> tuple[str, ...]:
    return node.name, node.unique_id


def _table_names(node: Node) -> tuple[str, ...]:
    table, schema = node.relation.name, node.relation.schema
    return table, f"{schema}.{table}", f"{node.relation.catalog}.{schema}.{table}"


def refuse_plain(project: Project, node: Node) -> None:
    """Raises UsageError where the query calls no function; dbt's other models are not compiled for it."""
    if not predicts(project, node):
        raise no_prediction(node)


def no_prediction(node: Node) -> UsageError:
    return UsageError(f"'{node.name}' is no prediction: its query calls no function")


def _table(night: Night, node: Node, item: CompiledNode, impact: int | None, seed: int) -> TableFreshness:
    with night.adapter.scratch() as work:
        with work.warehouse():
            found, compared = _compared(night, node, item, work)
        if compared is None or impact is None:
            return found
        if others := item.plan.result.sees_others:
            night.emit(Warned(node.unique_id, f"its impact is not known: its rows depend on each other ({others})"))
            return found
        moved = impact_of(night, node, item, work, compared, found.stale_rows or 0, impact, seed)
    return replace(found, impact=moved)


def _compared(
    night: Night, node: Node, item: CompiledNode, work: Workspace
) -> tuple[TableFreshness, tuple[Comparison, Traced] | None]:
    target, plan = node.relation, item.plan
    if node.config.materialized == "external":
        return TableFreshness(node.name, 0, problem="it is a file; its rows are not looked at"), None
    if not work.has(target):
        return TableFreshness(node.name, 0, problem="it is not built yet; `sqlinfer run` builds it"), None
    last = work.last_run(target, node.unique_id)
    rows = int(work.rows(count_sql(target, work.dialect))[0][0])
    found = compared_with(night, node, item, work, last)
    if isinstance(found, str):
        at = started(work, node, last.run_id, plan.dialect) if last is not None else None
        return TableFreshness(node.name, rows, oldest=at, newest=at, problem=found), None
    comparison, traced = found
    all_kept = comparison.same_calls and rows == int(work.rows(count_sql(comparison.kept, work.dialect))[0][0])
    comparison = replace(comparison, all_kept=all_kept)
    return _counted(node.name, work, traced, comparison, rows), (comparison, traced)


def compared_with(
    night: Night, node: Node, item: CompiledNode, work: Workspace, last: PastRun | None
) -> tuple[Comparison, Traced] | str:
    """The published table beside what its rows were scored from and would be now; or why that is not known.

    Args:
        last: the run that published the table.
    """
    if item.is_slice:
        return SLICED
    plan = item.plan
    keys = row_key(replace(node, config=replace(node.config, unique_key=item.unique_key)))
    traced = trace(plan, keys)
    if isinstance(traced, str):
        return traced
    there = {fold(column.name) for column in work.describe(node.relation.query(work.dialect))}
    if gone := [key for key in keys if fold(key) not in there]:
        return f"the table has no column '{gone[0]}' any more; `sqlinfer run` makes it anew"
    name = inputs_name(plan.owner.side, last.run_id) if last is not None else ""
    kept, runs = (work.kept_inputs(name), work.kept_inputs(input_runs_name(name))) if name else (None, None)
    if kept is None or runs is None:
        return _not_kept(node, plan)
    now = _now(night, plan, traced, work)
    same = fits(work, kept, now)
    return Comparison(node.relation, keys, kept, runs, now, functions_of(plan), same_calls=same), traced


def _not_kept(node: Node, plan: Plan) -> str:
    if node.config.keep_inputs is False:
        return "its config says keep_inputs: false"
    said = "what its rows were scored from is not kept; the next run keeps it"
    if any(call.strategy == "stream" for call in plan.calls) and node.config.keep_inputs is None:
        said += " (a stream of a million rows or more only where the model's config says keep_inputs: true)"
    return said


def started(work: Workspace, node: Node, run_id: str, dialect: str) -> datetime | None:
    runs = replace(node.relation, name=RUN_RECORDS)
    return _moment(work.rows(started_sql(runs, node.unique_id, run_id, dialect))[0][0])


def made_by(work: Workspace, node: Node, run_id: str, dialect: str) -> tuple[str, ...]:
    """The functions of a run, as its record has them."""
    runs = replace(node.relation, name=RUN_RECORDS)
    return tuple(map(str, work.rows(functions_sql(runs, node.unique_id, run_id, dialect))[0][0] or ()))


def _now(night: Night, plan: Plan, traced: Traced, work: Workspace) -> RowInputs:
    """The inputs that the query gives today."""
    below = tuple(stage for stage in plan.early if not stage.calls and stage.relation.name in traced.stage.reads.stages)
    if below:
        needed = plan.early[: plan.early.index(below[-1]) + 1]
        work.pin(plan, [stage for stage in needed if not stage.calls], PinOptions())
    return traced.rows(f"({traced.stage.sql})", plan.dialect)


def _counted(name: str, work: Workspace, traced: Traced, comparison: Comparison, rows: int) -> TableFreshness:
    stored = [call for call in traced.stage.calls if call.key]
    exact = comparison.same_calls and not traced.grouped and rows <= _LARGE
    if exact:
        comparison = with_times(comparison, traced, work)
    found = work.rows(comparison.counts_sql())[0]
    rows, stale, unknown, gone, older, oldest, newest = found
    spans = [] if exact else [span for call in stored if (span := work.scoring_span(call)) is not None]
    if spans and len(stored) == len(traced.stage.calls) and not older:
        oldest, newest = min(low for low, _ in spans), max(high for _, high in spans)
    return TableFreshness(name, rows, stale, older, _moment(oldest), _moment(newest), gone, unknown)


def with_times(comparison: Comparison, traced: Traced, work: Workspace) -> Comparison:
    """Also when each input was scored, where the stores tell."""
    times = tuple(work.scoring_times(call) if call.key else None for call in traced.stage.calls)
    return replace(comparison, times=times)


def _checked(night: Night, node: Node, found: TableFreshness) -> TableFreshness:
    now = datetime.now(UTC)
    if found.newest is not None and found.newest > now + _SKEW:
        ahead = round((found.newest - now).total_seconds())
        night.emit(
            Warned(
                node.unique_id,
                f"its newest prediction is {ahead:,} seconds ahead of this machine's clock: was the clock set back?",
            )
        )
    return found


def _moment(epoch: float | None) -> datetime | None:
    return None if epoch is None else datetime.fromtimestamp(float(epoch), UTC)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
