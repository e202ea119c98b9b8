"""What a node leaves in the side catalog, and how it goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from sqlinfer.adapters.base import Workspace
from sqlinfer.adapters.duckdb.pinned import part_relations
from sqlinfer.relation import Relation
from sqlinfer.spec.names import ERRORS, SIDE, result_name
from sqlinfer.spec.plan import Plan


def result_relation(work: Workspace, side: str) -> Relation:
    return replace(work.namespace, name=result_name(side))


def drop(work: Workspace, relation: Relation) -> None:
    """A table or a view of the side catalog, if it is there."""
    found = work.rows(
        "SELECT 'VIEW' FROM duckdb_views() WHERE database_name = ? AND schema_name = ? AND view_name = ? "
        "UNION ALL SELECT 'TABLE' FROM duckdb_tables() WHERE database_name = ? AND schema_name = ? AND table_name = ?",
        (relation.catalog, relation.schema, relation.name) * 2,
    )
    for (kind,) in found:
        work.execute(f"DROP {kind} {relation.sql()}")


def clear(work: Workspace, plan: Plan) -> None:
    """Leftovers of an earlier run of the node go before it starts (views first, they read the tables)."""
    relations = [result_relation(work, plan.owner.side)]
    relations += [stage.scored for stage in reversed(plan.stages) if stage.scored]
    relations += [stage.relation for stage in plan.stages]
    relations += [part for stage in plan.stages for part in part_relations(stage)]
    for relation in relations:
        drop(work, relation)


def clear_older(work: Workspace, plan: Plan) -> None:
    """What an earlier version left under the node's plain name."""
    older = [result_name(plan.node)]
    older += [f"{plan.node}__{stage.name}{kind}" for stage in reversed(plan.stages) for kind in ("_scored", "")]
    for name in older:
        drop(work, replace(work.namespace, name=name))
    work.execute(f"DROP TABLE IF EXISTS {Relation(plan.node, ERRORS, SIDE).sql()}")


@contextmanager
def attached_if(work: Workspace, wanted: bool) -> Iterator[None]:
    with work.warehouse() if wanted else nullcontext():
        yield
