"""SELECTs around a plan or a relation, for any dialect. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sqlinfer.relation import Relation, quote
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.plan import Call, Stage


def first_rows(sql: str, limit: int | None) -> str:
    return sql if limit is None else f"SELECT * FROM ({sql}) AS q LIMIT {int(limit)}"


def no_rows(columns: Sequence[Column], dialect: str) -> str:
    """Of columns with these names and types."""
    listed = ", ".join(f"CAST(NULL AS {one.data_type}) AS {quote(one.name, dialect)}" for one in columns)
    return f"SELECT {listed} LIMIT 0"


def sorted_by(sql: str, columns: Sequence[str], dialect: str) -> str:
    listed = ", ".join(quote(name, dialect) for name in columns)
    return f"SELECT * FROM ({sql}) AS q ORDER BY {listed}"


def distinct_arguments(stage: Stage, call: Call, rows: int, dialect: str) -> str:
    """Arguments of a call that are to be scored, named ``a0``, ``a1``, …"""
    names = [quote(name, dialect) for name in call.arguments]
    columns = ", ".join(f"{name} AS a{place}" for place, name in enumerate(names))
    scored = [f"{name} IS NOT NULL" for name in names]
    scored += [f"{quote(call.status, dialect)} IS NULL"] if call.status else []
    relation = stage.relation.sql(dialect)
    return f"SELECT DISTINCT {columns} FROM {relation} WHERE {' AND '.join(scored)} LIMIT {int(rows)}"


def of_each_row(expression: str, name: str, source: str) -> str:
    """``source``: SQL of what is read."""
    return f"SELECT ({expression}) AS {name} FROM {source}"


def predicting(function: str, arguments: Sequence[str], relation: str, dialect: str) -> str:
    """As a user writes it: the function over columns that are called like its arguments. ``relation``: SQL."""
    columns = ", ".join(quote(name, dialect) for name in arguments)
    return f"select predict('{function}', {columns}) as p from {relation}"


def newest(moment: str, relation: Relation, condition: str | None, dialect: str) -> str:
    """The largest value of ``moment``, SQL of a column or an expression."""
    where = f"\nwhere {condition}" if condition else ""
    return f"select max({moment}) as max_loaded_at\nfrom {relation.sql(dialect)}{where}"


def sample(columns: Sequence[str], source: str, rows: int, dialect: str) -> str:
    """So many rows, each as likely as any other. ``source``: SQL of a query."""
    names = ", ".join(quote(name, dialect) for name in columns)
    few = f"USING SAMPLE reservoir({rows} ROWS)" if dialect == "duckdb" else f"ORDER BY random() LIMIT {rows}"
    return f"SELECT {names} FROM ({source}) AS q {few}"
