"""Table functions whose arguments hold columns or calls: ``from t, range(f(t.x)) as r(i)``.

A series is a list as well, and lists are unnested over scored rows. What other functions give is known only once their
arguments are, and no query can be planned over that.

>>> from sqlglot import parse_one
>>> query = parse_one("select r.i from t, range(t.k) as r(i)", read="duckdb")
>>> settle_table_arguments(query, (), Source(""))
>>> query.sql("duckdb")
'SELECT r.i FROM t JOIN UNNEST(RANGE(0, t.k)) AS r(i) ON TRUE'
"""

from __future__ import annotations

from collections.abc import Collection

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import PREDICT, Source
from sqlinfer.errors import UnsupportedQuery


def settle_table_arguments(query: exp.Expr, functions: Collection[str], source: Source) -> None:
    """Write series as lists, refuse calls in the arguments of anything else."""
    called = {PREDICT, *(name.casefold() for name in functions)}
    for table in list(query.find_all(exp.Table)):
        function = table.this
        if isinstance(function, exp.GenerateSeries) and function.find(exp.Column, exp.Anonymous) is not None:
            table.replace(_unnested(table, function))
        elif isinstance(function, exp.Func) and str(function.name).casefold() not in called:
            _refuse(function, called, source)


def _unnested(table: exp.Table, series: exp.GenerateSeries) -> exp.Unnest:
    name = "range" if series.args.get("is_end_exclusive") else "generate_series"
    alias = table.args.get("alias") or exp.TableAlias()
    columns = alias.args.get("columns") or [exp.to_identifier(name)]
    named = exp.TableAlias(this=alias.this or exp.to_identifier(name), columns=columns)
    return exp.Unnest(expressions=[series], alias=named, offset=False)


def _refuse(function: exp.Expr, called: Collection[str], source: Source) -> None:
    inside = (n for n in function.find_all(exp.Anonymous, exp.Predict) if n is not function)
    for call in inside:
        if isinstance(call, exp.Predict) or str(call.this).casefold() in called:
            raise UnsupportedQuery(
                "predict() cannot stand in the arguments of a table function",
                hint="unnest() takes a list that depends on predictions",
                location=source.locate(call),
            )
