"""``lineage: true``: the run that scored each row, as far as the result still knows the row."""

from __future__ import annotations

from sqlinfer.errors import RunError
from sqlinfer.relation import fold
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.names import LINEAGE
from sqlinfer.spec.plan import Plan

LINEAGE_COLUMNS = tuple(
    Column(name, kind) for name, kind in zip(LINEAGE, ("VARCHAR", "TIMESTAMP WITH TIME ZONE", "VARCHAR"), strict=True)
)


def with_lineage(plan: Plan, run_id: str, functions: tuple[str, ...]) -> str:
    """The result's SQL with the lineage columns. Where rows are no longer those of the stage, this run is named."""
    listed = ", ".join(functions)
    sql, run, at, hide = plan.result.sql, f"'{run_id}'", "now()", ""
    if plan.result.passes_rows_of is not None:
        passed = plan.result.passes_rows_of
        sql, hide = passed.sql, f" EXCLUDE ({passed.scored_by}, {passed.scored_at})"
        run, at = f"coalesce({passed.scored_by}, {run})", f"coalesce({passed.scored_at}, {at})"
    return f"SELECT *{hide}, {run} AS {LINEAGE[0]}, {at} AS {LINEAGE[1]}, '{listed}' AS {LINEAGE[2]} FROM ({sql})"


def refuse_taken_names(plan: Plan) -> None:
    """Raises RunError where the query has a column that is called like one of the lineage."""
    names = {fold(name) for name in plan.result.columns}
    twice = next((name for name in LINEAGE if name in names), None)
    if twice is not None:
        raise RunError(
            f"lineage: true adds a column '{twice}', and the query has one",
            hint="leave it out of the query, or give it another name",
        )
