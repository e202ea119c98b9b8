"""``lineage: true``: the run that scored each row, as far as the result still knows the row. Pure.

In: a plan, and which run with which functions. Out: the result's SQL with three columns more.
"""

from __future__ import annotations

from sqlinfer.errors import RunError
from sqlinfer.relation import fold, literal, quote
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.names import LINEAGE
from sqlinfer.spec.plan import PassedRows, Plan

LINEAGE_COLUMNS = tuple(
    Column(name, kind) for name, kind in zip(LINEAGE, ("VARCHAR", "TIMESTAMP WITH TIME ZONE", "VARCHAR"), strict=True)
)


def with_lineage(plan: Plan, run_id: str, functions: tuple[str, ...]) -> str:
    """The result's SQL with the lineage columns. Where rows are no longer those of the stage, this run is named."""
    run, at, named = literal(run_id), "now()", literal(", ".join(functions))
    passed = plan.result.passes_rows_of
    if passed is None:
        items, source = ["q.*"], f"({plan.result.sql}) AS q"
    else:
        items, source = _with_origin(plan, passed)
        run, at = f"coalesce(q.scored_by, {run})", f"coalesce(q.scored_at, {at})"
    items += [f"{value} AS {name}" for value, name in zip((run, at, named), LINEAGE, strict=True)]
    return f"SELECT {', '.join(items)} FROM {source}"


def _with_origin(plan: Plan, passed: PassedRows) -> tuple[list[str], str]:
    """The result's columns, told by their place since two may have one name, and what they are read from."""
    names = {f"c{place}": name for place, name in enumerate(plan.result.columns)}
    items = [f"q.{place} AS {quote(name, plan.dialect)}" for place, name in names.items()]
    return items, f"({passed.sql}) AS q({', '.join((*names, 'scored_by', 'scored_at'))})"


def refuse_taken_names(plan: Plan) -> None:
    """Raises RunError where the query has a column that is called like one of the lineage."""
    names = {fold(name) for name in plan.result.columns}
    twice = next((name for name in LINEAGE if name in names), None)
    if twice is not None:
        raise RunError(
            f"lineage: true adds a column '{twice}', and the query has one",
            hint="leave it out of the query, or give it another name",
        )
