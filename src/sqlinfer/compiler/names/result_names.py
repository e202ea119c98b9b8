"""Result columns without an alias get the name that the warehouse would give them, before anything is rewritten.

>>> from sqlglot import parse_one
>>> query = parse_one("select f(x), x, y as z from t")
>>> source = Source("select f(x), x, y as z from t", names={7: ((0, ("f(x)", "x", None)),)})
>>> name_results(query, source, ("f",), DUCKDB).sql()
'SELECT F(x) AS "f(x)", x, y AS z FROM t'
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import PREDICT, Source
from sqlinfer.compiler.forms import Form

_NAMED = (exp.Alias, exp.Aliases, exp.Column, exp.Star, exp.Columns)
"""Projections that have a name, or may become several columns."""
_UNNESTED = (exp.Unnest, exp.Explode)
"""Of a struct they become several columns, which an alias does not change."""
_KEYWORDS = (exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime, exp.Localtime, exp.Localtimestamp)


def name_results(query: exp.Query, source: Source, functions: Collection[str], form: Form) -> exp.Query:
    """``source.names`` are the warehouse's own; where it has none, the form names what holds a call."""
    called = {PREDICT, *(name.casefold() for name in functions)}
    for select in query.find_all(exp.Select):
        for projection, name in zip(list(select.expressions), _given(select, source), strict=True):
            if isinstance(projection, _NAMED):
                continue
            if isinstance(projection, _UNNESTED) and not _calls(projection, called):
                continue
            if name is None and (isinstance(projection, _KEYWORDS) or _calls(projection, called)):
                name = form.result_name(projection)
            if name is not None:
                projection.replace(exp.alias_(projection.copy(), name, quoted=True))
    return query


def _given(select: exp.Select, source: Source) -> Sequence[str | None]:
    """By the first column or function in each projection whose place the warehouse knows. One that has neither
    (``1``, ``current_date``) goes by its place in the list, where the list is as the user wrote it."""
    found: list[str | None] = []
    whole: Sequence[str | None] = ()
    for projection in select.expressions:
        lists = (source.names.get(node.meta.get("start", -1), ())[depth:] for node, depth in _walk(projection))
        number, names = next((known[0] for known in lists if known), (0, (None,)))
        found.append(names[number])
        whole = names if len(names) == len(select.expressions) else whole
    return [name or other for name, other in zip(found, whole or found, strict=True)]


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
