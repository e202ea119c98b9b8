"""Result columns without an alias get the name that the warehouse would give them, before anything is rewritten.

>>> from sqlglot import parse_one
>>> query = parse_one("select f(x), x, y as z from t")
>>> name_results(query, Source("select f(x), x, y as z from t", names={7: ("f(x)",)}), "duckdb", ("f",)).sql()
'SELECT F(x) AS "f(x)", x, y AS z FROM t'
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlglot import exp

from sqlinfer.compiler.calls import PREDICT, Source

_NAMED = (exp.Alias, exp.Aliases, exp.Column, exp.Star, exp.Columns, exp.Unnest, exp.Explode)
"""Projections that have a name, or may become several columns."""


def name_results(query: exp.Query, source: Source, dialect: str, functions: Collection[str]) -> exp.Query:
    """``source.names`` are the warehouse's own; where it has none, a call is named as sqlglot spells it."""
    called = {PREDICT, *(name.casefold() for name in functions)}
    for select in query.find_all(exp.Select):
        for projection in list(select.expressions):
            if isinstance(projection, _NAMED):
                continue
            name = _given(projection, source)
            if name is None and _calls(projection, called):
                name = projection.sql(dialect=dialect, comments=False, normalize_functions="lower")
            if name is not None:
                projection.replace(exp.alias_(projection.copy(), name, quoted=True))
    return query


def _given(projection: exp.Expr, source: Source) -> str | None:
    """By the first column or function in it whose place the warehouse knows."""
    for node, depth in _walk(projection):
        names = source.names.get(node.meta.get("start", -1), ())
        if depth < len(names):
            return names[depth]
    return None


def _walk(projection: exp.Expr) -> Iterator[tuple[exp.Expr, int]]:
    """Every node and how many SELECT lists stand between: a subquery in a projection has projections of its own."""
    stack = [(projection, 0)]
    while stack:
        node, depth = stack.pop()
        yield node, depth
        for child in reversed(list(node.iter_expressions())):
            deeper = isinstance(node, exp.Select) and child.arg_key == "expressions"
            stack.append((child, depth + deeper))


def _calls(node: exp.Expr, called: Collection[str]) -> bool:
    if node.find(exp.Predict) is not None:
        return True
    return any(str(found.this).casefold() in called for found in node.find_all(exp.Anonymous))
