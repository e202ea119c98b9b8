"""``lineage: true``: the run that scored each row, as far as the result still knows the row."""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sqlinfer.errors import RunError
from sqlinfer.relation import fold
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.names import LINEAGE, SCORED_AT, SCORED_BY
from sqlinfer.spec.plan import Plan

LINEAGE_COLUMNS = tuple(
    Column(name, kind) for name, kind in zip(LINEAGE, ("VARCHAR", "TIMESTAMP WITH TIME ZONE", "VARCHAR"), strict=True)
)


def with_lineage(plan: Plan, run_id: str, functions: tuple[str, ...]) -> str:
    """The result's SQL with the lineage columns. Where rows are no longer those of the stage, this run is named."""
    taken = {fold(name) for name in plan.result.columns}
    hidden = tuple(_free(name, taken) for name in (SCORED_BY, SCORED_AT))
    own = _carry(plan, hidden)
    listed = ", ".join(functions)
    run, at = f"'{run_id}'", "now()"
    if own is None:
        sql = plan.result.sql
    else:
        sql, run, at = own, f"coalesce({hidden[0]}, {run})", f"coalesce({hidden[1]}, {at})"
    hide = f" EXCLUDE ({', '.join(hidden)})" if own is not None else ""
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


def _free(name: str, taken: set[str]) -> str:
    return name if name not in taken else _free(f"{name}_", taken)


def _carry(plan: Plan, hidden: tuple[str, ...]) -> str | None:
    """The result's SQL with the hidden columns of its scored relation, where it is a plain SELECT from it."""
    try:
        tree = sqlglot.parse_one(plan.result.sql, dialect=plan.dialect)
    except SqlglotError:
        return None
    if tree.sql(dialect=plan.dialect, pretty=True, comments=False, identify=True) != plan.result.sql:
        return None  # it holds text of the user's that would be written otherwise
    # A stream is scored by this run as a whole: only look-ups know of earlier runs.
    scored = {
        stage.scored.name
        for stage in plan.stages
        if stage.scored and all(call.strategy == "store" for call in stage.calls)
    }
    source = tree.args.get("from_") or tree.args.get("from")
    if not isinstance(tree, exp.Select) or source is None or not isinstance(source.this, exp.Table):
        return None
    plain = not any(tree.args.get(part) for part in ("group", "distinct", "having", "qualify"))
    sums = any(not item.find_ancestor(exp.Window) for item in tree.find_all(exp.AggFunc))
    if source.this.name not in scored or not plain or sums or tree.find(exp.Star):
        return None
    alias = source.this.alias_or_name
    pairs = zip((SCORED_BY, SCORED_AT), hidden, strict=True)
    items = [exp.alias_(exp.column(name, table=alias, quoted=True), own, quoted=True) for name, own in pairs]
    return tree.select(*items).sql(dialect=plan.dialect)
