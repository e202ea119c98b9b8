"""What an emitted query reads: stages of the plan, the warehouse. Pure."""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sqlinfer.compiler.verbatim import Verbatim
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.plan import PlanReads


def reads_of(query: exp.Expr, emitted: str, dialect: str, namespace: Relation) -> PlanReads:
    """``emitted`` is the text of the query, which alone tells what the user's own text in it reads."""
    if query.find(Verbatim) is None:
        return _in_tree(query, namespace)
    try:
        return _in_tree(sqlglot.parse_one(emitted, dialect=dialect), namespace)
    except SqlglotError:
        return PlanReads(frozenset(_in_text(emitted, dialect, namespace)), True)


def _in_tree(query: exp.Expr, namespace: Relation) -> PlanReads:
    ctes = {cte.alias for cte in query.find_all(exp.CTE)}
    stages, warehouse = set(), False
    for table in query.find_all(exp.Table):
        if table.catalog == (namespace.catalog or "") and table.db == (namespace.schema or ""):
            stages.add(table.name)
        elif isinstance(table.this, exp.Func) or table.db or table.name not in ctes:
            warehouse = True
    return PlanReads(frozenset(stages), warehouse)


def _in_text(sql: str, dialect: str, namespace: Relation) -> set[str]:
    """Names of ours are always quoted, whatever stands around them."""
    place = r"\.".join(re.escape(quote(part, dialect)) for part in (namespace.catalog, namespace.schema) if part)
    mark = re.escape(quote("x", dialect)[0])
    found = re.findall(rf"{place}\.{mark}((?:[^{mark}]|{mark}{mark})*){mark}", sql)
    return {name.replace(quote("x", dialect)[0] * 2, quote("x", dialect)[0]) for name in found}
