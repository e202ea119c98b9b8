"""Questions to the tables of ``spec.records``, for any dialect."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime

from sqlglot import exp

from sqlinfer.relation import Relation
from sqlinfer.spec.records import RUNS, PastRun

_ASKED = ("run_id", "rows", "inputs", "errors")


def last_run_sql(runs: Relation, node: str, since: datetime | None, there: Container[str], dialect: str) -> str:
    """The node's run that started last, in the order of ``past_run``. ``there``: columns that the table has."""
    asked = [exp.column(name, quoted=True) if name in there else exp.Null() for name in _ASKED]
    query = exp.select(*asked).from_(runs.expression()).where(_column("node").eq(exp.Literal.string(node)))
    if since is not None:
        query = query.where(_column("started_at") >= _moment(since))
    return query.order_by(_column("started_at").desc(nulls_first=False)).limit(1).sql(dialect=dialect)


def started_sql(runs: Relation, node: str, run_id: str, dialect: str) -> str:
    """When a run of the node started, in seconds since 1970."""
    asked = exp.Extract(this=exp.var("epoch"), expression=exp.Max(this=_column("started_at")))
    mine = _column("node").eq(exp.Literal.string(node)) & _column("run_id").eq(exp.Literal.string(run_id))
    return exp.select(asked).from_(runs.expression()).where(mine).sql(dialect=dialect)


def past_run(row: tuple[object, ...]) -> PastRun:
    run_id, *counts = row
    return PastRun(str(run_id), *(int(str(count or 0)) for count in counts))


def _column(name: str) -> exp.Column:
    return exp.column(name, quoted=True)


def _moment(value: datetime) -> exp.Cast:
    return exp.cast(exp.Literal.string(value.isoformat(" ")), RUNS.columns["started_at"], dialect="duckdb")
