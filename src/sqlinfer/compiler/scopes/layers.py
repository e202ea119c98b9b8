"""Split a SELECT so that each predict() call stands over plain rows.

A call over aggregates (or over windows) moves to a query around the one that computes them, which becomes a derived
table: ``select f(avg(x)) from t group by g`` → ``select f(a.c1) from (select g, avg(x) as c1 from t group by g) a``.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import PredictCall
from sqlinfer.compiler.scopes.analyse import (
    and_all,
    flat_conjuncts,
    has_calls,
    inner_aliases,
    is_aggregate,
    is_aggregated,
    own_calls,
    replace_top_down,
    sources,
    tables_of,
    text,
    walk_own,
)
from sqlinfer.errors import UnsupportedQuery

ROWS, GROUPS, WINDOWS = 0, 1, 2
_LATE = ("having", "qualify", "order")


def level_of(call: PredictCall, select: exp.Select) -> int:
    """The phase of the SELECT after which the call's arguments and guards are known."""
    return _level(call, select, is_aggregated(select), _group_calls(select))


def _level(call: PredictCall, select: exp.Select, aggregated: bool, group_calls: set[str]) -> int:
    base = GROUPS if aggregated else ROWS
    node: exp.Expr = call
    while node.parent is not None and node.parent is not select:
        parent = node.parent
        if isinstance(parent, exp.Window):
            return ROWS if is_under_aggregate(call, parent) else base
        if is_aggregate(parent) or (isinstance(parent, (exp.Filter, exp.WithinGroup)) and is_aggregate(parent.this)):
            return ROWS
        node = parent
    if node.arg_key in ("where", "group", "joins", "from_", "laterals"):
        return ROWS
    if aggregated and text(call) in group_calls:
        return ROWS
    if select.args.get("qualify") or _touches_window(call, select):
        return WINDOWS
    return base


def levels_of(select: exp.Select) -> dict[str, int]:
    """The level of each distinct call: what one occurrence needs before the windows, the others read too. After
    GROUP BY the same text is a different call."""
    aggregated, group_calls = is_aggregated(select), _group_calls(select)
    choose = max if aggregated else min
    names = set(sources(select))
    found: dict[str, int] = {}
    for call in own_calls(select):
        if tables_of(call) - inner_aliases(call) <= names:  # a call over outer columns only is the outer query's
            identity = text(call)
            level = _level(call, select, aggregated, group_calls)
            found[identity] = choose(level, found.get(identity, level))
    return found


def is_under_aggregate(call: exp.Expr, stop: exp.Expr) -> bool:
    node = call.parent
    while node is not None and node is not stop:
        if is_aggregate(node):
            return True
        node = node.parent
    return False


def _group_calls(select: exp.Select) -> set[str]:
    group = select.args.get("group")
    return {text(c) for c in own_calls(group)} if group is not None else set()


def _touches_window(call: PredictCall, select: exp.Select) -> bool:
    """A window or unnest in the arguments, or beside the call in a CASE, AND, OR or COALESCE that may guard it."""
    node: exp.Expr = call
    top: exp.Expr = call
    while node.parent is not None and node.parent is not select:
        node = node.parent
        if isinstance(node, (exp.Case, exp.If, exp.And, exp.Or, exp.Coalesce)):
            top = node
    return any(isinstance(n, (exp.Window, exp.Unnest, exp.Explode)) for n in walk_own(top))


def lift_aggregates(select: exp.Select, alias: str) -> exp.Select:
    """Group below, everything else above: HAVING without calls stays below, with calls it is a filter above."""
    inner = exp.Select()
    for key in ("from_", "joins", "laterals", "where", "group", "sample"):
        if select.args.get(key):
            inner.set(key, _copied(select.args[key]))
    columns = _Columns(alias)
    group = select.args.get("group")
    keys = {text(k) for k in group_keys(group)}

    def above(node: exp.Expr) -> exp.Expr | None:
        if text(node) in keys or is_aggregate(node) or isinstance(node, exp.Grouping):
            return columns.of(node)
        if isinstance(node, (exp.Filter, exp.WithinGroup)) and is_aggregate(node.this):
            return columns.of(node)
        return None

    having = flat_conjuncts(select.args.get("having"))
    outer = _outer(select, above, [c for c in having if has_calls(c)])
    below = and_all(c for c in having if not has_calls(c))
    if below is not None:
        inner.set("having", exp.Having(this=below))
    return _joined(outer, inner, columns, select, "an expression outside GROUP BY")


def lift_windows(select: exp.Select, alias: str) -> exp.Select:
    """Windows, unnested lists and QUALIFY without calls below; DISTINCT, ORDER BY and LIMIT above."""
    inner = exp.Select()
    for key in ("from_", "joins", "laterals", "where", "group", "having", "sample"):
        if select.args.get(key):
            inner.set(key, _copied(select.args[key]))
    columns = _Columns(alias)
    levels = levels_of(select)
    below_calls = {identity for identity, level in levels.items() if level != WINDOWS}
    names = set(sources(select))

    def above(node: exp.Expr) -> exp.Expr | None:
        if isinstance(node, (exp.Window, exp.Unnest, exp.Explode)):
            return columns.of(node)
        if isinstance(node, PredictCall) and text(node) in below_calls:
            return columns.of(node)
        if isinstance(node, exp.Column) and node.table in names:
            return columns.of(node)
        return None

    qualify = flat_conjuncts(select.args.get("qualify"))
    late = [c for c in qualify if any(levels.get(text(p)) == WINDOWS for p in own_calls(c))]
    early = and_all(c for c in qualify if c not in late)
    outer = _outer(select, above, late, without=("qualify",))
    if early is not None:
        inner.set("qualify", exp.Qualify(this=early))
    return _joined(outer, inner, columns, select, "an expression")


class _Columns:
    """The projections of the query below, named as they are asked for."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.projections: dict[str, tuple[str, exp.Expr]] = {}

    def of(self, node: exp.Expr) -> exp.Column:
        identity = text(node)
        if identity not in self.projections:
            name = f"c{len(self.projections) + 1}"
            self.projections[identity] = (name, node.copy())
        return exp.column(self.projections[identity][0], table=self.alias, quoted=True)

    def aliased(self) -> list[exp.Expr]:
        return [exp.alias_(node, name, quoted=True) for name, node in self.projections.values()]


def _outer(
    select: exp.Select,
    above: Callable[[exp.Expr], exp.Expr | None],
    filters: list[exp.Expr],
    without: tuple[str, ...] = (),
) -> exp.Select:
    outer = exp.Select()
    outer.set("expressions", [_named(e, replace_top_down(e, above)) for e in select.expressions])
    for key in ("distinct", "qualify", "order", "limit", "offset", "operation_modifiers"):
        if select.args.get(key) and key not in without:
            value = select.args[key]
            outer.set(key, replace_top_down(value, above) if isinstance(value, exp.Expr) else value)
    condition = and_all(replace_top_down(c, above) for c in filters)
    if condition is not None:
        outer.set("where", exp.Where(this=condition))
    return outer


def _named(before: exp.Expr, after: exp.Expr) -> exp.Expr:
    if isinstance(after, exp.Alias) or not before.alias_or_name:
        return after
    return exp.alias_(after, before.alias_or_name, quoted=True)


def _joined(outer: exp.Select, inner: exp.Select, columns: _Columns, select: exp.Select, what: str) -> exp.Select:
    names = set(sources(select))
    loose = next((c for c in outer.find_all(exp.Column) if c.table in names), None)
    if loose is not None:
        raise UnsupportedQuery(
            f"column '{loose.name}' must appear in GROUP BY or inside an aggregate",
            hint=f"predict() stands over groups here, where {what} has no single value",
        )
    inner.set("expressions", columns.aliased() or [exp.alias_(exp.Literal.number(1), "_", quoted=True)])
    outer.set("from_", exp.From(this=inner.subquery(columns.alias, copy=False)))
    return outer


def group_keys(group: exp.Group | None) -> list[exp.Expr]:
    keys: list[exp.Expr] = []
    stack = list(group.iter_expressions()) if group is not None else []
    while stack:
        node = stack.pop(0)
        if isinstance(node, (exp.Tuple, exp.Cube, exp.Rollup, exp.GroupingSets)):
            stack = list(node.iter_expressions()) + stack
        else:
            keys.append(node.unnest())
    return keys


def _copied(value: object) -> object:
    return [v.copy() for v in value] if isinstance(value, list) else value.copy()  # type: ignore[attr-defined]
