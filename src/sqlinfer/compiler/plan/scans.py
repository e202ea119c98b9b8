"""The one table that a query scans, and the scored relation whose rows it hands on. Pure.

In: a query of a plan as a tree, with the text that it is emitted as. Out: what ``spec.plan`` says of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from sqlglot import exp

from sqlinfer.compiler.parse.parse import known_tree
from sqlinfer.compiler.parse.verbatim import Verbatim
from sqlinfer.relation import Relation, fold
from sqlinfer.spec.names import ROW, SCORED_AT, SCORED_BY
from sqlinfer.spec.plan import PassedRows, Scan

_PLAIN = ("joins", "group", "distinct", "having", "qualify", "limit", "offset", "laterals", "order", "with_", "sample")
"""Clauses that a scan has none of."""


@dataclass(frozen=True)
class Emitted:
    """A query of a plan and the text that it is emitted as."""

    query: exp.Expr
    sql: str
    dialect: str

    @cached_property
    def tree(self) -> exp.Expr | None:
        """The query with nothing hidden in the user's own text; None where the parser does not know that text."""
        return self.query if self.query.find(Verbatim) is None else known_tree(self.sql, self.dialect)


def scan_of(emitted: Emitted, row_id: str) -> Scan | None:
    """The one table that nested SELECTs with nothing but filters and projections read.

    ``row_id``: the hidden column that tells its rows; empty: there is none.
    """
    tree = emitted.tree
    found = _levels(tree) if tree is not None else None
    if tree is None or found is None or tree.find(exp.UDTF, exp.Explode):  # with these a row becomes several
        return None
    _, table = found
    if not isinstance(table.this, exp.Identifier):
        return None
    relation = Relation(table.name, table.db or None, table.catalog or None)
    by_row = _by_row(tree, emitted.dialect, row_id) if tree is emitted.query and row_id else ""
    return Scan(relation, _columns(tree), by_row)


def _levels(tree: exp.Expr) -> tuple[list[exp.Select], exp.Table] | None:
    levels: list[exp.Select] = []
    node: exp.Expr | None = tree
    while isinstance(node, exp.Select) and not any(node.args.get(name) for name in _PLAIN):
        levels.append(node)
        source = node.args.get("from_")
        node = source.this if source is not None else None
        if isinstance(node, exp.Subquery) and not node.args.get("pivots"):
            node = node.this
    if not isinstance(node, exp.Table) or node.args.get("pivots") or node.args.get("sample"):
        return None
    return levels, node


def _columns(tree: exp.Expr) -> int | None:
    if tree.find(exp.Window, exp.AggFunc, exp.AnonymousAggFunc, exp.Star) or len(list(tree.find_all(exp.Table))) != 1:
        return None
    return len({column.name for column in tree.find_all(exp.Column)})


def _by_row(query: exp.Expr, dialect: str, row_id: str) -> str:
    found = _levels(query.copy())
    if found is None:
        return ""
    levels, table = found
    whole = levels[0]
    column = exp.column(row_id, table=table.alias_or_name, quoted=True)
    levels.pop().select(exp.alias_(column, ROW, quoted=True), copy=False)
    for level in levels:
        level.select(exp.column(ROW, quoted=True), copy=False)
    return whole.sql(dialect=dialect, comments=False, identify=True)


def passed_rows(emitted: Emitted, columns: Iterable[str], scored: Iterable[str]) -> PassedRows | None:
    """``scored``: names of scored relations that know which run has scored a row. ``columns``: of the query."""
    tree, dialect = emitted.tree, emitted.dialect
    if not isinstance(tree, exp.Select):
        return None
    source = tree.args.get("from_")
    if source is None or not isinstance(source.this, exp.Table) or source.this.name not in set(scored):
        return None
    folds = any(tree.args.get(part) for part in ("group", "distinct", "having", "qualify"))
    sums = any(not item.find_ancestor(exp.Window) for item in tree.find_all(exp.AggFunc))
    if folds or sums or tree.find(exp.Star):
        return None
    if tree is not emitted.query:
        written = tree.sql(dialect=dialect, pretty=True, comments=False, identify=True)
        if written != emitted.sql:
            return None  # the user's text in it would be written otherwise
    taken = {fold(name) for name in columns}
    by, at = _free(SCORED_BY, taken), _free(SCORED_AT, taken)
    alias = source.this.alias_or_name
    pairs = ((SCORED_BY, by), (SCORED_AT, at))
    items = [exp.alias_(exp.column(name, table=alias, quoted=True), own, quoted=True) for name, own in pairs]
    return PassedRows(source.this.name, tree.select(*items).sql(dialect=dialect, comments=False, identify=True), by, at)


def _free(name: str, taken: set[str]) -> str:
    return name if name not in taken else _free(f"{name}_", taken)


_OTHERS: dict[type[exp.Expr], str] = {
    exp.Window: "a window function", exp.Limit: "LIMIT", exp.Fetch: "FETCH", exp.Offset: "OFFSET",
    exp.TableSample: "a sample",
}  # fmt: skip


def others_of(query: exp.Expr) -> str:
    """What of a query makes a row depend on others than those that have its key; empty where nothing does."""
    for node in query.walk():
        if type(node) in _OTHERS:
            return _OTHERS[type(node)]
        if isinstance(node, exp.Distinct) and node.args.get("on"):
            return "DISTINCT ON"
    names = [table.name.casefold() for table in query.find_all(exp.Table)]
    return "one relation that is read twice" if len(set(names)) < len(names) else ""


def origins_of(query: exp.Expr) -> Mapping[str, str]:
    """Column of the query → the column of its sources that it hands on as it is."""
    if not isinstance(query, exp.Select):
        return {}
    handed = [(item.alias_or_name, item.unalias()) for item in query.selects]
    return {name: column.name for name, column in handed if isinstance(column, exp.Column)}
