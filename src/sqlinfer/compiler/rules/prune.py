"""Projections that nothing reads are removed, and calls in them with them."""

from __future__ import annotations

from sqlglot import exp
from sqlglot.optimizer.pushdown_projections import pushdown_projections

from sqlinfer.compiler.scopes.analyse import is_aggregated


def prune(query: exp.Query) -> exp.Query:
    """
    >>> from sqlglot import parse_one
    >>> prune(parse_one("SELECT c.a AS a FROM (SELECT t.a AS a, LN(t.b) AS b FROM t AS t) AS c")).sql()
    'SELECT c.a AS a FROM (SELECT t.a AS a FROM t AS t) AS c'
    """
    for exists in query.find_all(exp.Exists):
        inner = exists.this.unnest() if isinstance(exists.this, exp.Subquery) else exists.this
        if isinstance(inner, exp.Select) and not _needs_its_projections(inner):
            inner.set("expressions", [exp.alias_(exp.Literal.number(1), "_", quoted=True)])
            inner.set("order", None)
    return pushdown_projections(query)


def _needs_its_projections(select: exp.Select) -> bool:
    keys = ("distinct", "group", "having", "qualify", "limit", "offset")
    return any(select.args.get(k) for k in keys) or is_aggregated(select) or select.find(exp.Unnest) is not None
