"""Names in ORDER BY that qualify leaves alone, as DuckDB reads them.

A bare name is an output column. Inside an expression it is a column of a source, and only where there is none the
output of that name: its expression is put in place, since the query may be split between the two.
"""

from __future__ import annotations

from sqlglot import exp

from sqlinfer.compiler.scopes.analyse import replace_top_down, sources
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Catalog


def resolve_order(query: exp.Query, catalog: Catalog) -> exp.Query:
    """The query with every name inside an expression of a SELECT's ORDER BY replaced by what it means."""
    ctes = {cte.alias: _outputs(cte) for cte in query.find_all(exp.CTE)}
    for select in query.find_all(exp.Select):
        order = select.args.get("order")
        if order is None:
            continue
        outputs = {e.alias_or_name.casefold(): e.unalias() for e in select.expressions}
        for ordered in order.expressions:
            value = ordered.this
            if isinstance(value, exp.Column) or not any(not c.table for c in value.find_all(exp.Column)):
                continue
            tables = {a: _columns(source, ctes, catalog) for a, source in sources(select).items()}
            ordered.set("this", replace_top_down(value, lambda n, o=outputs, t=tables: _meant(n, o, t)))  # type: ignore[misc]
    return query


def _meant(node: exp.Expr, outputs: dict[str, exp.Expr], tables: dict[str, frozenset[str]]) -> exp.Expr | None:
    if not isinstance(node, exp.Column) or node.table:
        return None
    name = node.name.casefold()
    owner = next((alias for alias, columns in tables.items() if name in columns), None)
    if owner is not None:
        return exp.column(node.this.copy(), table=exp.to_identifier(owner, quoted=True))
    if name not in outputs:
        return None
    meant = outputs[name].copy()
    return meant if isinstance(meant, (exp.Column, exp.Func, exp.Literal)) else exp.paren(meant, copy=False)


def _columns(source: exp.Expr, ctes: dict[str, frozenset[str]], catalog: Catalog) -> frozenset[str]:
    alias = source.args.get("alias")
    named = alias.args.get("columns") if isinstance(alias, exp.TableAlias) else None
    if named:
        return frozenset(c.name.casefold() for c in named)
    if isinstance(source, exp.Table) and not source.args.get("pivots"):
        if not source.db and source.name in ctes:
            return ctes[source.name]
        found = catalog.find(Relation(source.name, source.db or None, source.catalog or None))
        return frozenset(c.name.casefold() for c in found.columns) if found is not None else frozenset()
    inner = source.this if isinstance(source, (exp.Subquery, exp.Lateral)) else None
    query = inner.unnest() if isinstance(inner, exp.Expr) else None
    return frozenset(e.alias_or_name.casefold() for e in query.selects) if isinstance(query, exp.Query) else frozenset()


def _outputs(cte: exp.CTE) -> frozenset[str]:
    named = cte.args["alias"].args.get("columns")
    items = named or (cte.this.selects if isinstance(cte.this, exp.Query) else [])
    return frozenset(i.alias_or_name.casefold() for i in items)
