"""Staged rows → published relation. Every statement runs inside the caller's one transaction."""

from __future__ import annotations

from sqlinfer.adapters.base import Materialization, Written
from sqlinfer.adapters.duckdb.constraints import broken, create, dependents_aside
from sqlinfer.adapters.duckdb.merge import merge, refuse_duplicates
from sqlinfer.adapters.duckdb.statements import Statements, filled
from sqlinfer.errors import AdapterError
from sqlinfer.relation import Relation, fold, literal, quote


def materialize(work: Statements, how: Materialization, sql: str) -> Written:
    kind = work.kind(how.target)
    if how.kind == "view":
        _drop(work, how.target, kind if kind != "view" else None)
        work.execute(f"CREATE OR REPLACE VIEW {how.target.sql()} AS {sql}")
        _comment(work, how, "VIEW")
        return Written(0)
    if kind == "table" and how.merges:
        try:
            written = merge(work, how, sql)
        except AdapterError as error:
            raise broken(how, error) from error.__cause__
    else:
        if how.unique_key:
            refuse_duplicates(work, how, sql)
        _drop(work, how.target, "view" if kind == "view" else None)
        with dependents_aside(work, how.target):
            if how.constraints:
                rows = create(work, how, sql)
            else:
                rows = filled(work, how.target, f"CREATE OR REPLACE TABLE {how.target.sql()} AS {sql}")
        written = Written(rows)
    _comment(work, how, "TABLE")
    return written


def _drop(work: Statements, target: Relation, kind: str | None) -> None:
    if kind is not None:
        work.execute(f"DROP {kind.upper()} {target.sql()}")


def _comment(work: Statements, how: Materialization, kind: str) -> None:
    if how.description:
        work.execute(f"COMMENT ON {kind} {how.target.sql()} IS {literal(how.description)}")
    if not how.column_descriptions:
        return
    present = {fold(column.name) for column in work.describe(f"SELECT * FROM {how.target.sql()}")}
    for name, text in how.column_descriptions:
        if fold(name) in present and text:
            work.execute(f"COMMENT ON COLUMN {how.target.sql()}.{quote(name)} IS {literal(text)}")
