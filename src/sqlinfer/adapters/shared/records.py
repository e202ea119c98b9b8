"""Questions to the tables of ``spec.records``, for any dialect."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime

from sqlinfer.adapters.shared.words import epoch
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.records import RUNS, PastRun
from sqlinfer.types import type_sql

_ASKED = ("run_id", "rows", "inputs", "errors", "distributions")


def last_run_sql(runs: Relation, node: str, since: datetime | None, there: Container[str], dialect: str) -> str:
    """The node's run that started last, in the order of ``past_run``. ``there``: columns that the table has."""
    asked = ", ".join(quote(name, dialect) if name in there else "NULL" for name in _ASKED)
    mine = f"{quote('node', dialect)} = {literal(node, dialect)}"
    if since is not None:
        mine += f" AND {quote('started_at', dialect)} >= {_moment(since, dialect)}"
    last = f"{quote('started_at', dialect)} DESC NULLS LAST LIMIT 1"
    return f"SELECT {asked} FROM {runs.sql(dialect)} WHERE {mine} ORDER BY {last}"


def slices_sql(runs: Relation, node: str, relation: str, dialect: str) -> str:
    """Slices that backfills of a node have published into a relation, in order: start, end, and what they were made
    from."""
    start, end, made_from = (quote(name, dialect) for name in ("slice_start", "slice_end", "provenance"))
    mine = f"{quote('node', dialect)} = {literal(node, dialect)} AND NOT {start} IS NULL"
    there = f"{quote('relation', dialect)} = {literal(relation, dialect)}"
    order = quote("started_at", dialect)
    return f"SELECT {start}, {end}, {made_from} FROM {runs.sql(dialect)} WHERE {mine} AND {there} ORDER BY {order}"


def started_sql(runs: Relation, node: str, run_id: str, dialect: str) -> str:
    """When a run of the node started, in seconds since 1970."""
    asked = epoch(f"max({quote('started_at', dialect)})", dialect)
    return f"SELECT {asked} FROM {runs.sql(dialect)} WHERE {_of_run(node, run_id, dialect)}"


def functions_sql(runs: Relation, node: str, run_id: str, dialect: str) -> str:
    """The functions of a run of the node, a list of name@digest."""
    return f"SELECT {quote('functions', dialect)} FROM {runs.sql(dialect)} WHERE {_of_run(node, run_id, dialect)}"


def _of_run(node: str, run_id: str, dialect: str) -> str:
    mine = f"{quote('node', dialect)} = {literal(node, dialect)}"
    return f"{mine} AND {quote('run_id', dialect)} = {literal(run_id, dialect)}"


def past_run(row: tuple[object, ...]) -> PastRun:
    run_id, rows, inputs, errors, distributions = row
    return PastRun(str(run_id), _whole(rows), _whole(inputs), _whole(errors), str(distributions or ""))


def _whole(value: object) -> int:
    return int(str(value or 0))


def _moment(value: datetime, dialect: str) -> str:
    return f"CAST({literal(value.isoformat(' '), dialect)} AS {type_sql(RUNS.columns['started_at'], dialect)})"


def history_sql(runs: Relation, there: Container[str], nights: int, dialect: str) -> str:
    """Records of the runs that started last, in that order, as ``HISTORY`` names the columns; NULL for what the table
    lacks."""
    asked = ", ".join(f"{_asked(name, there, dialect)} AS {quote(name, dialect)}" for name in HISTORY)
    run, started, table = quote("run_id", dialect), quote("started_at", dialect), runs.sql(dialect)
    latest = f"SELECT {run} FROM {table} GROUP BY {run} ORDER BY max({started}) DESC NULLS LAST LIMIT {nights}"
    return f"SELECT {asked} FROM {table} WHERE {run} IN ({latest}) ORDER BY {started}"


def _asked(name: str, there: Container[str], dialect: str) -> str:
    if name not in there:
        return f"CAST(NULL AS {type_sql('DOUBLE' if name in _TIMES else RUNS.columns[name], dialect)})"
    column = quote(name, dialect)
    return f"CAST({epoch(column, dialect)} AS {type_sql('DOUBLE', dialect)})" if name in _TIMES else column


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
    latest = f"CAST(max({quote('started_at', dialect)}) AS {type_sql('TEXT', dialect)}) AS newest"
    return f"SELECT count(*) AS records, {latest} FROM {runs.sql(dialect)}"
