"""What a node holds in memory between reading the warehouse and publishing: written once, to its published table.

The database in memory spills to a temporary folder when it grows. It goes with the process: the next run reads the
warehouse again then, and scores only what no store remembers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb.names import SCRATCH
from sqlinfer.adapters.duckdb.statements import Statements
from sqlinfer.relation import Relation
from sqlinfer.spec.names import result_name
from sqlinfer.spec.plan import Plan, Stage

if TYPE_CHECKING:
    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace

ROWS, PLAIN = "rows", "plain"
"""Rows of a stage (scored ones, where they are streamed), and its rows before anything is looked up."""
TODO, NEW, FRESH, FOUND, MOVED = "todo", "new", "fresh", "found", "moved"
"""Of a call: keys to do, their arguments, their results; what is known of every row; rows that stand elsewhere."""
_SCHEMA = "held"
MAKING = f"CREATE SCHEMA IF NOT EXISTS {SCRATCH}.{_SCHEMA}"


def scratch(stage: Stage, kind: str = ROWS, position: int = 0) -> Relation:
    return Relation(f"{stage.relation.name}__{kind}{position}", _SCHEMA, SCRATCH)


def scratch_result(plan: Plan) -> Relation:
    """The result, where publishing reads it more than once."""
    return Relation(result_name(plan.owner.side), _SCHEMA, SCRATCH)


def scratch_type(name: str) -> Relation:
    """A type that is gone with what is held."""
    return Relation(f"type_{name}", _SCHEMA, SCRATCH)


def make_scratch(work: Statements) -> None:
    """Before anything is held."""
    work.execute(MAKING)


def reads_scratch(work: DuckDBWorkspace, plan: Plan) -> bool:
    """Whether what the plan's scored relations read is gone when the process is."""
    return work.has_scratch and any(work.has(scratch(stage)) for stage in plan.stages)


def drop_scratch(work: DuckDBWorkspace) -> None:
    """At the end of a node: a workspace works on one at a time."""
    if work.has_scratch:
        work.execute(f"DROP SCHEMA IF EXISTS {SCRATCH}.{_SCHEMA} CASCADE")
        work.has_scratch = False
