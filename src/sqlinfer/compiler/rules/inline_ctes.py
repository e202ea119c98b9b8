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
        for cte in reversed(list(clause.expressions)):
            owner = clause.parent or query
            references = [t for t in owner.find_all(exp.Table) if t.name == cte.alias and not t.db]
            if len(references) == 1:
                _inline(references[0], cte)
            if len(references) <= 1:
                cte.pop()
        if not clause.expressions:
            clause.pop()
    return query


def _inline(table: exp.Table, cte: exp.CTE) -> None:
    alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(cte.alias, quoted=True))
    derived = exp.Subquery(this=cte.this.copy(), alias=alias.copy())
    for key in ("joins", "pivots", "sample"):
        if table.args.get(key):
            derived.set(key, table.args[key])
    table.replace(derived)
