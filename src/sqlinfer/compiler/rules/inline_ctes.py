"""CTEs that are read once become derived tables; those read more often stay and are staged once."""

from __future__ import annotations

from sqlglot import exp


def inline_ctes(query: exp.Query) -> exp.Query:
    """
    >>> from sqlglot import parse_one
    >>> inline_ctes(parse_one("WITH c AS (SELECT 1 AS a) SELECT c.a FROM c AS c")).sql()
    'SELECT c.a FROM (SELECT 1 AS a) AS c'
    """
    for clause in list(query.find_all(exp.With)):
        if clause.args.get("recursive"):
            continue
        owner = clause.parent or query
        references = _references(owner)
        for cte in reversed(list(clause.expressions)):
            # a CTE that nothing reads has taken its own references out of the tree
            found = [t for t in references.get(cte.alias, ()) if _within(t, owner)]
            if len(found) == 1:
                _inline(found[0], cte)
            if len(found) <= 1:
                cte.pop()
        if not clause.expressions:
            clause.pop()
    return query


def _references(owner: exp.Expr) -> dict[str, list[exp.Table]]:
    """Unqualified table names → where they stand; inlining moves these nodes and never copies them."""
    found: dict[str, list[exp.Table]] = {}
    for table in owner.find_all(exp.Table):
        if not table.db:
            found.setdefault(table.name, []).append(table)
    return found


def _within(node: exp.Expr, owner: exp.Expr) -> bool:
    current: exp.Expr | None = node
    while current is not None and current is not owner:
        current = current.parent
    return current is owner


def _inline(table: exp.Table, cte: exp.CTE) -> None:
    alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(cte.alias, quoted=True))
    derived = exp.Subquery(this=cte.this.pop(), alias=alias.copy())
    for key in ("joins", "pivots", "sample"):
        if table.args.get(key):
            derived.set(key, table.args[key])
    table.replace(derived)
