"""A group key that holds a subquery is computed below the groups, so that all who repeat it read one column.

The subquery is staged wherever it stands; two stages are two expressions to the warehouse, and no group key then.

>>> from sqlglot import parse_one
>>> query = parse_one("select t.x > (select max(u.y) from u) as k from t as t group by t.x > (select max(u.y) from u)")
>>> mark_keys(query)
>>> keys_below(query)
>>> query.sql()[:50]
'SELECT "_keys1"."k1" AS k FROM (SELECT t.x > (SELE'
"""

from __future__ import annotations

from sqlglot import exp

from sqlinfer.compiler.scopes.analyse import columns_in, replace_top_down, sources, text, walk_own
from sqlinfer.compiler.scopes.layers import group_keys

_MARK = "subquery_key"
_BELOW = ("from_", "joins", "laterals", "sample", "where")


def mark_keys(query: exp.Expr) -> None:
    """Find who repeats such a key while both are spelt alike: aliases inside them are made different later."""
    for select in query.find_all(exp.Select):
        keys = {text(k): i for i, k in enumerate(group_keys(select.args.get("group")), 1) if k.find(exp.Query)}
        for node in list(walk_own(select)) if keys else ():
            if node is not select and text(node) in keys:
                node.meta[_MARK] = keys[text(node)]


def keys_below(query: exp.Expr) -> None:
    """Write the derived tables. Every alias names one source of the query by now."""
    found = [(s, m) for s in query.find_all(exp.Select) if (m := [n for n in walk_own(s) if _MARK in n.meta])]
    for number, (select, marked) in enumerate(reversed(found), 1):  # inner ones first
        _write(select, marked, f"_keys{number}")


def _write(select: exp.Select, marked: list[exp.Expr], alias: str) -> None:
    names, inner = set(sources(select)), exp.Select()
    for part in _BELOW:
        inner.set(part, select.args.get(part))
        select.set(part, None)
    keys: dict[str, exp.Expr] = {}
    for node in marked:
        keys.setdefault(f"k{node.meta[_MARK]}", node.copy())
        node.replace(exp.column(f"k{node.meta[_MARK]}", table=alias, quoted=True))
    used = dict.fromkeys((c.table, c.name) for c in columns_in(select) if c.table in names)
    columns = {key: f"c{i}" for i, key in enumerate(used, 1)}
    read = [exp.alias_(exp.column(n, table=t, quoted=True), c, quoted=True) for (t, n), c in columns.items()]
    inner.set("expressions", [*read, *(exp.alias_(key, name, quoted=True) for name, key in keys.items())])

    def over(node: exp.Expr) -> exp.Expr | None:
        known = columns.get((node.table, node.name)) if isinstance(node, exp.Column) else None
        return exp.column(known, table=alias, quoted=True) if known else None

    for part, value in list(select.args.items()):
        if isinstance(value, exp.Expr):
            select.set(part, replace_top_down(value, over))
        elif isinstance(value, list):
            select.set(part, [replace_top_down(v, over) if isinstance(v, exp.Expr) else v for v in value])
    select.set("from_", exp.From(this=inner.subquery(alias, copy=False)))
