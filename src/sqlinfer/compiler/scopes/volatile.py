"""What another evaluation may see differently is evaluated once.

Volatile values (random(), uuid(), nextval()) that a call depends on become columns below the model:
``case when random() < 0.5 then f(x) end`` reads its coin twice, in the stage and in the result.

Stable values (now(), current_date, current_setting()) are one value for the whole query, which runs as several
statements: those that read the warehouse share one transaction, and what comes later reads the value they saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.parse.verbatim import Verbatim
from sqlinfer.compiler.plan.builder import Builder
from sqlinfer.compiler.plan.sites import filters
from sqlinfer.compiler.scopes.analyse import (
    columns_in,
    flat_conjuncts,
    is_aggregate,
    is_aggregated,
    is_stable_function,
    is_volatile_function,
    own_calls,
    replace_top_down,
    sources,
    text,
    walk_own,
)
from sqlinfer.compiler.scopes.layers import group_keys
from sqlinfer.errors import UnsupportedQuery
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Catalog

_CONDITIONAL = (exp.And, exp.Or, exp.If, exp.Case, exp.Coalesce, exp.Filter)
_BELOW = ("from_", "joins", "laterals", "sample")
_SEQUENCES = ("nextval", "currval", "setval")
_KEYWORDS: dict[type[exp.Expr], str] = {
    exp.CurrentDate: "today", exp.CurrentTimestamp: "now", exp.CurrentTime: "get_current_time",
    exp.Localtime: "current_localtime", exp.Localtimestamp: "current_localtimestamp",
    exp.CurrentCatalog: "current_catalog",
}  # fmt: skip
_WORDS = {
    "current_date": "today", "current_timestamp": "now", "current_time": "get_current_time",
    "localtime": "current_localtime", "localtimestamp": "current_localtimestamp",
}  # fmt: skip
_COLUMN_LIKE = ("current_schema", "current_catalog", "current_user", "current_role", "session_user", "user")
"""Values that are spelt without parentheses, and that sqlglot takes for columns."""


def refuse_sequences(query: exp.Query, source: Source) -> None:
    """A sequence is written when it is read, and the warehouse is only open for reading while rows are staged."""
    for node in query.find_all(exp.Anonymous):
        if str(node.name).casefold() in _SEQUENCES:
            raise UnsupportedQuery(
                f"{str(node.name).lower()}() cannot stand in a query with predict()",
                hint="number the rows with row_number() over (…), or draw from the sequence in a model that reads this",
                location=source.locate(node),
            )


def keywords_as_functions(query: exp.Query, catalog: Catalog) -> exp.Query:
    """DuckDB takes ``current_date`` and ``user`` for columns where there are such, as a result column of that name
    would be; ``today()`` never is one."""
    for node in list(query.find_all(*_KEYWORDS)):
        if not any(node.args.values()):
            node.replace(exp.Anonymous(this=_KEYWORDS[type(node)]))
    for piece in list(query.find_all(Verbatim)):
        word = str(piece.this).strip().casefold()
        if word in _COLUMN_LIKE or word in _WORDS:
            piece.replace(exp.Anonymous(this=_WORDS.get(word, word)))
    found = [c for c in query.find_all(exp.Column) if c.name.casefold() in _COLUMN_LIKE and not c.table]
    if found:
        tables = (catalog.find(Relation(t.name, t.db or None, t.catalog or None)) for t in query.find_all(exp.Table))
        columns = {c.name.casefold() for table in tables if table is not None for c in table.columns}
        columns |= {node.alias.casefold() for node in query.find_all(exp.Alias)}
        columns |= {c.name.casefold() for a in query.find_all(exp.TableAlias) for c in a.args.get("columns") or []}
        for column in found:
            if column.name.casefold() not in columns and not column.this.quoted:
                call = exp.Anonymous(this=column.name.lower())
                call.meta.update(column.this.meta)
                named = isinstance(column.parent, exp.Select) and column.arg_key == "expressions"
                column.replace(exp.alias_(call, column.name, quoted=True) if named else call)
    return query


def pinned_by_row(node: exp.Expr) -> bool:
    """Whether a stable value may be read from the rows of a stage: not inside a subquery, which has rows of its own."""
    return is_stable_function(node) and node.find_ancestor(exp.Query) is None


def pinned_over_groups(select: exp.Select, constant: Callable[[exp.Expr], exp.Expr]) -> exp.Select:
    """LIMIT, and expressions over groups that are no group key: no row has their stable values, they are constants."""
    keys = {text(k) for k in group_keys(select.args.get("group"))}
    grouped = is_aggregated(select)

    def change(node: exp.Expr) -> exp.Expr | None:
        if grouped and (text(node) in keys or is_aggregate(node)):
            return node.copy()
        return constant(node) if is_stable_function(node) else None

    for key in ("limit", "offset", *(("having", "qualify", "order", "distinct") if grouped else ())):
        if select.args.get(key):
            select.set(key, replace_top_down(select.args[key], change))
    if grouped:
        select.set("expressions", [replace_top_down(e, change) for e in select.expressions])
    return select


def hoist(select: exp.Select, builder: Builder) -> exp.Select:
    """The SELECT over a derived table that has its volatile values as columns; itself where there are none."""
    nodes = _volatile_nodes(select)
    if not nodes:
        return select
    alias = builder.alias("v")
    names = set(sources(select))
    twins = _twins(select)
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
        for same in (node, *twins.get(id(node), ())):
            same.replace(exp.column(name, table=alias, quoted=True))
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
    """The volatile values that calls of the SELECT depend on. A group key stands for all that repeat it."""
    found: dict[int, exp.Expr] = {}
    repeated = {id(node) for same in _twins(select).values() for node in same}
    for call in own_calls(select):
        for place in (call, *_conditions_around(call, select)):
            found.update({id(n): n for n in walk_own(place) if is_volatile_function(n) and id(n) not in repeated})
    return list(found.values())


def _twins(select: exp.Select) -> dict[int, list[exp.Expr]]:
    """Volatile node of a group key with a call → the same node in each expression that repeats the key."""
    keys = {text(k): k for k in group_keys(select.args.get("group")) if any(own_calls(k)) and any(_coins(k))}
    found: dict[int, list[exp.Expr]] = {}
    if not keys:
        return found
    for node in walk_own(select):
        key = keys.get(text(node))
        if key is not None and key is not node:
            for mine, theirs in zip(_coins(key), _coins(node), strict=True):
                found.setdefault(id(mine), []).append(theirs)
    return found


def _coins(node: exp.Expr) -> Iterator[exp.Expr]:
    return (found for found in walk_own(node) if is_volatile_function(found))


def _conditions_around(call: exp.Expr, select: exp.Select) -> list[exp.Expr]:
    """The widest condition around the call, below aggregates, windows and the conjuncts of WHERE."""
    conjuncts = {id(part) for part in flat_conjuncts(select.args.get("where"))}
    widest: list[exp.Expr] = []
    node: exp.Expr | None = call
    while node is not None and node is not select and not is_aggregate(node) and not isinstance(node, exp.Window):
        if isinstance(node, _CONDITIONAL) and node is not call:
            widest = [node]
        if id(node) in conjuncts:
            break
        node = node.parent
    return widest
