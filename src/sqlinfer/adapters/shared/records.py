"""Questions to the tables of ``spec.records``, for any dialect."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime

from sqlglot import exp

from sqlinfer.relation import Relation
from sqlinfer.spec.records import RUNS, PastRun

_ASKED = ("run_id", "rows", "inputs", "errors", "distributions")


def last_run_sql(runs: Relation, node: str, since: datetime | None, there: Container[str], dialect: str) -> str:
    """The node's run that started last, in the order of ``past_run``. ``there``: columns that the table has."""
    asked = [exp.column(name, quoted=True) if name in there else exp.Null() for name in _ASKED]
    query = exp.select(*asked).from_(runs.expression()).where(_column("node").eq(exp.Literal.string(node)))
    if since is not None:
        query = query.where(_column("started_at") >= _moment(since))
    return query.order_by(_column("started_at").desc(nulls_first=False)).limit(1).sql(dialect=dialect)


def slices_sql(runs: Relation, node: str, dialect: str) -> str:
    """Slices that backfills of a node have published: start, end, and what they were made from."""
    names = ("slice_start", "slice_end", "provenance")
    mine = _column("node").eq(exp.Literal.string(node)) & _column(names[0]).is_(exp.Null()).not_()
    return exp.select(*map(_column, names)).from_(runs.expression()).where(mine).sql(dialect=dialect)


def started_sql(runs: Relation, node: str, run_id: str, dialect: str) -> str:
    """When a run of the node started, in seconds since 1970."""
    asked = exp.Extract(this=exp.var("epoch"), expression=exp.Max(this=_column("started_at")))
    mine = _column("node").eq(exp.Literal.string(node)) & _column("run_id").eq(exp.Literal.string(run_id))
    return exp.select(asked).from_(runs.expression()).where(mine).sql(dialect=dialect)


def past_run(row: tuple[object, ...]) -> PastRun:
    run_id, rows, inputs, errors, distributions = row
    return PastRun(str(run_id), _whole(rows), _whole(inputs), _whole(errors), str(distributions or ""))


def _whole(value: object) -> int:
    return int(str(value or 0))


def _column(name: str) -> exp.Column:
    return exp.column(name, quoted=True)


def _moment(value: datetime) -> exp.Cast:
    return exp.cast(exp.Literal.string(value.isoformat(" ")), RUNS.columns["started_at"], dialect="duckdb")


def history_sql(runs: Relation, there: Container[str], nights: int, dialect: str) -> str:
    """Records of the runs that started last, in that order, as ``HISTORY`` names the columns; NULL for what the table
    lacks."""
    asked = [_asked(name, there).as_(name, quoted=True) for name in HISTORY]
    query = exp.select(*asked).from_(runs.expression())
    latest = (
        exp.select(_column("run_id"))
        .from_(runs.expression())
        .group_by(_column("run_id"))
        .order_by(exp.Max(this=_column("started_at")).desc(nulls_first=False))
        .limit(nights)
    )
    return query.where(_column("run_id").isin(query=latest)).order_by(_column("started_at")).sql(dialect=dialect)


def _asked(name: str, there: Container[str]) -> exp.Expression:
    if name not in there:
        return exp.cast(exp.Null(), RUNS.columns[name] if name not in _TIMES else "DOUBLE", dialect="duckdb")
    if name in _TIMES:
        return exp.cast(exp.Extract(this=exp.var("epoch"), expression=_column(name)), "DOUBLE", dialect="duckdb")
    return _column(name)


_TIMES = ("started_at", "finished_at")
"""Given in seconds since 1970."""
HISTORY = (
    "run_id", "node", *_TIMES, "rows", "inputs", "scored", "reused", "null_inputs", "errors", "elapsed_seconds",
    "cost_on_demand", "cost_spot", "cost_currency", "bound_by", "distributions",
)  # fmt: skip
NEEDED = frozenset({"run_id", "node", "started_at"})
"""Without these a table holds no records of ours."""


def newest_sql(runs: Relation, dialect: str) -> str:
    """Another answer whenever a run was recorded since."""
    latest = exp.cast(exp.Max(this=_column("started_at")), "TEXT", dialect="duckdb").as_("newest")
    return exp.select(exp.Count(this=exp.Star()).as_("records"), latest).from_(runs.expression()).sql(dialect=dialect)
