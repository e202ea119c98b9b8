"""Pieces of the SELECTs that put results of stores beside the rows of a stage, alike in DuckDB and PostgreSQL.

In SQL the stage is ``s``.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlinfer.relation import quote
from sqlinfer.spec.names import SCORED_AT, SCORED_BY
from sqlinfer.spec.plan import NULL_INPUT, Call, Stage


def key_of(call: Call) -> str:
    return f"s.{quote(call.key or '')}"


def status_of(call: Call) -> str:
    """SQL: why the row is not scored, NULL where it is."""
    return f"s.{quote(call.status)}" if call.status else f"CASE WHEN {key_of(call)} IS NULL THEN '{NULL_INPUT}' END"


def inputs_of(stage: Stage, calls: Sequence[Call], names: Sequence[str]) -> str:
    """A SELECT of the inputs of calls of one function: ``input_key`` and the arguments, called ``names``. An input may
    come several times; where there is a key, no argument is NULL."""
    branches = []
    for call in calls:
        items = [f"{quote(argument)} AS {name}" for argument, name in zip(call.arguments, names, strict=True)]
        key = quote(call.key or "")
        listed = ", ".join((f"{key} AS input_key", *items))
        branches.append(f"SELECT {listed} FROM {stage.relation.sql()} WHERE {key} IS NOT NULL")
    return " UNION ALL ".join(branches)


def latest(aliases: Sequence[str]) -> list[str]:
    """SELECT items: the run that scored the row last, of several stores the one with the latest time."""
    if not aliases:
        return []
    at = ", ".join(f"{alias}.scored_at" for alias in aliases)
    moment = f"greatest({at})" if len(aliases) > 1 else at
    runs = " ".join(f"WHEN {alias}.scored_at = {moment} THEN {alias}.run_id" for alias in aliases)
    return [f"CASE {runs} END AS {SCORED_BY}", f"{moment} AS {SCORED_AT}"]
