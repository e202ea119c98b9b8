"""Calls inside a correlated subquery, over columns of the subquery (and perhaps of the query around it).

Calls over the subquery's own rows are scored like any query's, filters that use outer columns staying above. A call
that needs both is scored over the pairs that the correlation makes, and looked up by key where it stood.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import PredictCall
from sqlinfer.compiler.scopes import pairs
from sqlinfer.compiler.scopes.analyse import (
    flat_conjuncts,
    inner_aliases,
    is_aggregated,
    own_calls,
    sources,
    tables_of,
)
from sqlinfer.compiler.scopes.layers import ROWS, level_of
from sqlinfer.errors import UnsupportedQuery

if TYPE_CHECKING:
    from sqlinfer.compiler.plan.planner import Planner


def rewrite(select: exp.Select, node: exp.Query, calls: list[PredictCall], planner: Planner) -> None:
    """Make ``node``, a correlated subquery of ``select`` with calls, free of the given calls."""
    query = node.unnest() if isinstance(node, exp.Subquery) else node
    if not isinstance(query, exp.Select):
        _look_up_all(select, node, calls, planner)
        return
    own = set(sources(query))
    if _hoistable(query, calls):
        _hoist(node, query)
        return
    inner_only = all(tables_of(c) <= own | inner_aliases(query) and tables_of(c) for c in calls)
    by_rows = all(level_of(c, query) == ROWS for c in own_calls(query) if c in calls)
    if not inner_only or not by_rows or not _movable(query, own):
        _look_up_all(select, node, calls, planner)
        return
    rewritten = planner.visit(query.copy())
    query.replace(rewritten)


def _look_up_all(select: exp.Select, node: exp.Query, calls: list[PredictCall], planner: Planner) -> None:
    """Outermost calls; those in their arguments go with them."""
    for call in calls:
        if not _within(call, node) or call.find_ancestor(PredictCall) is not None:
            continue
        if not pairs.look_up(select, node, call, planner):
            raise _refusal(call, planner)


def _within(call: exp.Expr, node: exp.Expr) -> bool:
    current: exp.Expr | None = call
    while current is not None and current is not node:
        current = current.parent
    return current is node


def _movable(query: exp.Select, own: set[str]) -> bool:
    """FROM must not use outer columns; inner join conditions that do are moved to WHERE."""
    known = own | inner_aliases(query)
    for join in query.args.get("joins") or []:
        outside = [p for p in flat_conjuncts(join.args.get("on")) if not tables_of(p) <= known]
        if not outside:
            continue
        if join.side or join.method or join.kind not in ("", "INNER", "CROSS"):
            return False
        kept = [p.copy() for p in flat_conjuncts(join.args["on"]) if p not in outside]
        join.set("on", exp.and_(*kept) if kept else exp.true())
        query.where(*[p.copy() for p in outside], copy=False)
    return all(tables_of(s) <= known for s in sources(query).values() if not isinstance(s, exp.Lateral))


def _hoistable(query: exp.Select, calls: list[PredictCall]) -> bool:
    """A scalar subquery that is one aggregate row: its calls over aggregates can stand outside."""
    keys = ("group", "having", "qualify", "distinct", "limit", "offset", "order")
    if any(query.args.get(k) for k in keys) or len(query.expressions) != 1 or not is_aggregated(query):
        return False
    if not isinstance(query.parent, (exp.Subquery, exp.Paren)) and not isinstance(query, exp.Select):
        return False
    projection = query.expressions[0]
    return all(level_of(c, query) != ROWS for c in calls) and all(c in list(own_calls(projection)) for c in calls)


def _hoist(node: exp.Query, query: exp.Select) -> None:
    """``(select g(f(avg(x))) from …)`` → ``g(f((select avg(x) from …)))``."""
    from sqlinfer.compiler.scopes.analyse import is_aggregate

    expression = query.expressions[0].unalias().copy()
    root = exp.Paren(this=expression)
    stack: list[exp.Expr] = [root.this]
    while stack:
        current = stack.pop()
        if is_aggregate(current) or (isinstance(current, exp.Filter) and is_aggregate(current.this)):
            single = query.copy()
            single.set("expressions", [exp.alias_(current.copy(), "_a", quoted=True)])
            current.replace(exp.Subquery(this=single))
        else:
            stack.extend(current.iter_expressions())
    node.replace(root)


def _refusal(call: PredictCall, planner: Planner) -> UnsupportedQuery:
    return UnsupportedQuery(
        "predict() with a correlated argument cannot be planned here",
        hint="join the two relations in a CTE and predict over its rows",
        location=planner.builder.source.locate(call),
    )
