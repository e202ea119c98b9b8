"""Compile for people: plans with what is known about their functions, estimates, and previews."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlinfer.compiler.compiled import CompiledNode
from sqlinfer.errors import SqlinferError, UsageError, did_you_mean
from sqlinfer.jobs import artifacts, summary
from sqlinfer.jobs import estimate as estimates
from sqlinfer.jobs.challengers import challenges
from sqlinfer.jobs.explain import Estimate, Explained
from sqlinfer.jobs.functions import batch_plan, cache_dir, rate
from sqlinfer.jobs.listing import relative
from sqlinfer.jobs.night import Night, compile_nodes
from sqlinfer.jobs.outcomes import marked
from sqlinfer.jobs.told import told
from sqlinfer.project import Node
from sqlinfer.runner.preview import preview
from sqlinfer.shown import counted
from sqlinfer.spec.events import Warned
from sqlinfer.spec.plan import Plan

if TYPE_CHECKING:
    import pyarrow as pa


def nodes(night: Night, ids: Sequence[str], *, estimate: bool = False) -> list[Explained]:
    """Every chosen model, planned. Raises the first error, after the others were written."""
    with night.compiler() as compiler:
        compiled = compile_nodes(compiler, ids, night.project)
        challenges(night, compiler, compiled)
        named = {uid: compiler.named(item) for uid, item in compiled.items() if isinstance(item, CompiledNode)}
    artifacts.save_compiled(night, compiled)
    for item in compiled.values():
        if isinstance(item, SqlinferError):
            raise item
    return [
        described(night, item, night.project.nodes[uid], estimate, named[uid])
        for uid, item in compiled.items()
        if isinstance(item, CompiledNode)
    ]


def inline(night: Night, sql: str, *, estimate: bool = False) -> Explained:
    with night.compiler() as compiler:
        return explained(night, compiler.inline(sql), "inline", "query", estimate)


def described(
    night: Night, item: CompiledNode, node: Node, estimate: bool, named: tuple[str, ...] | None = None
) -> Explained:
    """A node of the project: also what it tests and publishes, and where its SQL lies."""
    return replace(
        explained(night, item, node.config.materialized, str(node.relation), estimate, named),
        tests=summary.tests(node),
        publication=summary.publication(
            node, item, full_refresh=night.options.full_refresh, warehouse=night.project.profile.type
        ),
        compiled=relative(artifacts.compiled_path(night.project, node), night.project),
    )


def explained(
    night: Night, item: CompiledNode, materialized: str, relation: str, estimate: bool,
    named: tuple[str, ...] | None = None,
) -> Explained:  # fmt: skip
    """``named``: the relations that the plan reads, where they were found before."""
    contracts = {call.function: night.functions[call.function].contract for call in item.plan.calls}
    if named is None:
        from sqlinfer.compiler.plan.reading import relations_of

        named = relations_of(item.plan)
    return Explained(
        item.plan,
        materialized,
        relation,
        contracts,
        {contract.digest: batch_plan(cache_dir(night.project), contract) for contract in contracts.values()},
        expected(night, item.plan) if estimate else {},
        named,
    )


def expected(night: Night, plan: Plan) -> Mapping[str, Estimate]:
    """Rows of each call, and seconds where its function has been measured on this machine."""
    counted = estimates.estimate(plan, night.adapter)
    contracts = {call.output: night.functions[call.function].contract for call in plan.calls}
    timed: dict[str, Estimate] = {}
    for output, found in counted.items():
        speed = rate(night.project, contracts[output])
        timed[output] = replace(found, seconds=found.to_score / speed) if speed else found
    return timed


def preview_rows(night: Night, node: str | None, sql: str | None, limit: int | None, max_rows: int | None) -> pa.Table:
    if (node is None) == (sql is None):
        raise UsageError("name one node or give --inline SQL", hint="sqlinfer preview churn_scores --limit 5")
    if sql is not None:
        night.allow(sql)
    night.preload()
    with night.compiler() as compiler:
        if sql is not None:
            plan = compiler.inline(sql, limit=limit).plan
        else:
            found = night.project.node(str(node))
            if found is None:
                names = [one.name for one in night.project.nodes.values()]
                raise UsageError(f"no node is named '{node}'", hint=did_you_mean(str(node), names))
            if found.resource_type == "seed":
                plan = compiler.inline(found.relation.query(night.adapter.dialect), limit=limit).plan
            else:
                plan = compiler.compile(found, limit=limit).plan
    if max_rows is not None:
        refuse_too_many(plan, night, max_rows)
    with told(night.project):
        rows, outcome = preview(plan, night.adapter, night.environment(None))
    if not outcome.is_whole:
        night.emit(Warned(plan.node, str(outcome)))
    return marked(rows, outcome)


def refuse_too_many(plan: Plan, night: Night, max_rows: int) -> None:
    wanted = sum(one.to_score for one in estimates.estimate(plan, night.adapter).values())
    if wanted > max_rows:
        raise UsageError(
            f"{counted(wanted, 'input')} would be scored, --max-rows allows {max_rows:,}", hint="add --limit"
        )
