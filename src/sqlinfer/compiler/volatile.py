"""random(), now() and the like in the arguments or guards of calls are evaluated once, below the model.

``case when random() < 0.5 then f(x) end`` reads its coin twice, in the stage and in the result: it becomes a column.
"""

from __future__ import annotations

from sqlglot import exp

from sqlinfer.compiler.analyse import (
    columns_in,
    is_aggregate,
    is_volatile,
    is_volatile_function,
    own_calls,
    replace_top_down,
    sources,
    walk_own,
)
from sqlinfer.compiler.sites import filters
from sqlinfer.compiler.stages import Builder

_CONDITIONAL = (exp.And, exp.Or, exp.If, exp.Case, exp.Coalesce, exp.Filter)
_BELOW = ("from_", "joins", "laterals", "sample")


def hoist(select: exp.Select, builder: Builder) -> exp.Select:
    """The SELECT over a derived table that has its volatile values as columns; itself where there are none."""
    nodes = _volatile_nodes(select)
    if not nodes:
        return select
    alias = builder.alias("v")
    names = set(sources(select))
    below, above = filters(select)
    inner = exp.Select()
    for key in _BELOW:
        if select.args.get(key):
            inner.set(key, select.args[key])
            select.set(key, None)
    inner.where(*below, copy=False)
    select.set("where", None)
    select.where(*above, copy=False)
    values = {f"v{i}": node.copy() for i, node in enumerate(nodes, 1)}
    for name, node in zip(values, nodes, strict=True):
        node.replace(exp.column(name, table=alias, quoted=True))
    used = dict.fromkeys((c.table, c.name) for c in columns_in(select) if c.table in names)
    columns = {key: f"c{i}" for i, key in enumerate(used, 1)}
    read = [exp.alias_(exp.column(n, table=t, quoted=True), c, quoted=True) for (t, n), c in columns.items()]
    inner.set("expressions", [*read, *(exp.alias_(v, n, quoted=True) for n, v in values.items())])

    def over(node: exp.Expr) -> exp.Expr | None:
        if isinstance(node, exp.Column) and (node.table, node.name) in columns:
            return exp.column(columns[node.table, node.name], table=alias, quoted=True)
        return None

    outer = replace_top_down(select, over)
    for before, after in zip(select.expressions, list(outer.expressions), strict=True):
        if before.alias_or_name and after.alias_or_name != before.alias_or_name:
            after.replace(exp.alias_(after.copy(), before.alias_or_name, quoted=True))
    outer.set("from_", exp.From(this=inner.subquery(alias, copy=False)))
    return outer  # type: ignore[return-value]


def _volatile_nodes(select: exp.Select) -> list[exp.Expr]:
    found: dict[int, exp.Expr] = {}
    for call in own_calls(select):
        for place in (call, *_conditions_around(call, select)):
            if is_volatile(place):
                found.update({id(n): n for n in walk_own(place) if is_volatile_function(n)})
    return list(found.values())


def _conditions_around(call: exp.Expr, select: exp.Select) -> list[exp.Expr]:
    """The widest condition around the call, below aggregates and windows; it holds the others."""
    widest: list[exp.Expr] = []
    node = call.parent
    while node is not None and node is not select and not is_aggregate(node) and not isinstance(node, exp.Window):
        if isinstance(node, _CONDITIONAL):
            widest = [node]
        node = node.parent
    return widest
