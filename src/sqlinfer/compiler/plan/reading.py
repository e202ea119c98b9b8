"""What an emitted query reads: stages of the plan, the warehouse. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlglot import exp

from sqlinfer.compiler.parse.parse import known_tree
from sqlinfer.compiler.plan.scans import Emitted
from sqlinfer.relation import Relation, fold, quote
from sqlinfer.spec.plan import Plan, PlanReads


def reads_of(emitted: Emitted, namespace: Relation) -> PlanReads:
    """The text alone tells what the user's own text in the query reads."""
    if emitted.tree is None:
        return PlanReads(frozenset(_in_text(emitted.sql, emitted.dialect, namespace)), True)
    return _in_tree(emitted.tree, emitted.dialect, namespace)


def relations_of(plan: Plan) -> tuple[str, ...]:
    """Relations of the warehouse that a plan names, for people."""
    return plan.relations if plan.stages else relations_in(plan.result.sql, plan.dialect)


def relations_in(sql: str, dialect: str) -> tuple[str, ...]:
    """Relations that a query of the user's reads, for people; none where the parser does not know the SQL."""
    tree = known_tree(sql, dialect)
    tables = _tables(tree) if tree is not None else ()
    return tuple(dict.fromkeys(_shown(table, dialect) for table in tables))


def _in_tree(query: exp.Expr, dialect: str, namespace: Relation) -> PlanReads:
    stages: set[str] = set()
    others: dict[str, None] = {}
    for table in _tables(query):
        if table.catalog == (namespace.catalog or "") and table.db == (namespace.schema or ""):
            stages.add(table.name)
        else:
            others[_shown(table, dialect)] = None
    return PlanReads(frozenset(stages), bool(others), tuple(others))


def _tables(query: exp.Expr) -> Iterator[exp.Table]:
    """What is no CTE of the query."""
    ctes = {fold(cte.alias) for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        if isinstance(table.this, exp.Func) or table.db or fold(table.name) not in ctes:
            yield table


def _shown(table: exp.Table, dialect: str) -> str:
    if isinstance(table.this, exp.Func):
        return table.this.sql(dialect=dialect)
    return str(Relation(table.name, table.db or None, table.catalog or None))


def _in_text(sql: str, dialect: str, namespace: Relation) -> set[str]:
    """Names of ours are always quoted, whatever stands around them."""
    place = r"\.".join(re.escape(quote(part, dialect)) for part in (namespace.catalog, namespace.schema) if part)
    mark = re.escape(quote("x", dialect)[0])
    found = re.findall(rf"{place}\.{mark}((?:[^{mark}]|{mark}{mark})*){mark}", sql)
    return {name.replace(quote("x", dialect)[0] * 2, quote("x", dialect)[0]) for name in found}
