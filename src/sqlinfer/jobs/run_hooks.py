"""``on-run-start`` and ``on-run-end`` of a project: SQL before the first node and after the last, as in dbt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sqlinfer.errors import SqlinferError
from sqlinfer.project import Project
from sqlinfer.project.values import Hook
from sqlinfer.runner.hooks import run_by_themselves
from sqlinfer.runner.results import RunResult
from sqlinfer.spec.events import NodeFinished, NodeStarted
from sqlinfer.spec.results import NodeResult

if TYPE_CHECKING:
    from sqlinfer.jobs.night import Night
    from sqlinfer.runner.environment import RunEnvironment


def run_hooks(
    night: Night, env: RunEnvironment, hooks: Sequence[Hook], result: RunResult, ids: Sequence[str]
) -> Iterator[NodeResult]:
    """One after the other, each with a line and a result; what follows a failed one does not run."""
    from sqlinfer.compiler.template.hooks import render_run_hooks

    for number, hook in enumerate(hooks):
        name = f"{night.project.name}.{hook.name}.{number}"
        unique_id = f"operation.{night.project.name}.{night.project.name}-{hook.name}-{number}"
        night.emit(NodeStarted(unique_id, name, "hook"))
        began, error = perf_counter(), None
        try:
            wanted = render_run_hooks(night.project, [hook], night.names | _names(night.project, result, ids))
            run_by_themselves(env.workspace, wanted, "", env.publish_timeout)
        except SqlinferError as failure:
            error = failure
        done = NodeResult(
            unique_id, "error" if error else "success", message=error.message if error else "OK", error=error,
            execution_time=perf_counter() - began,
        )  # fmt: skip
        night.emit(NodeFinished(done))
        yield done
        if error is not None:
            return


def _names(project: Project, result: RunResult, ids: Sequence[str]) -> dict[str, Any]:
    """What hooks of a run may use beside the usual: ``results``, ``schemas``, ``database_schemas``."""
    places = [project.nodes[uid].relation for uid in ids if uid in project.nodes]
    pairs = list(dict.fromkeys((place.catalog, place.schema) for place in places))
    return {
        "results": [_shown(project, one) for one in result.results],
        "schemas": list(dict.fromkeys(schema for _, schema in pairs)),
        "database_schemas": pairs,
    }


def _shown(project: Project, result: NodeResult) -> SimpleNamespace:
    node = project.nodes.get(result.unique_id)
    kind, _, rest = result.unique_id.partition(".")
    about = SimpleNamespace(
        unique_id=result.unique_id, name=node.name if node else rest.partition(".")[2], resource_type=kind,
        schema=node.relation.schema if node else None, database=node.relation.catalog if node else None,
        alias=node.relation.name if node else None, tags=list(node.tags) if node else [],
    )  # fmt: skip
    return SimpleNamespace(
        node=about, unique_id=result.unique_id, status=result.status, message=result.message,
        execution_time=result.execution_time, failures=result.failures,
    )  # fmt: skip
