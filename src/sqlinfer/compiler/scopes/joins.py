"""Calls in join conditions, lateral sources and pivots.

Inner joins: the condition moves to WHERE. Outer, semi and anti joins: the matching pairs are found by an inner query,
whose calls see only pairs that satisfy the rest of the condition, and the join is then one over row numbers.
"""

from __future__ import annotations

from sqlglot import exp

from sqlinfer.compiler.plan.builder import Builder
from sqlinfer.compiler.plan.pins import Pins
from sqlinfer.compiler.scopes.analyse import (
    and_all,
    calls_in,
    columns_in,
    flat_conjuncts,
    has_calls,
    is_volatile,
    own_calls,
    replace_top_down,
    sources,
    tables_of,
    text,
)
from sqlinfer.errors import UnsupportedQuery


def predicates_to_where(select: exp.Select) -> None:
    """Move conditions with calls of inner joins to WHERE, where nothing later NULL-extends the rows."""
    joins = select.args.get("joins") or []
    for index, join in enumerate(joins):
        later = joins[index + 1 :]
        plain = not join.side and not join.method and join.kind in ("", "INNER", "CROSS")
        if not plain or not join.args.get("on") or any(j.side in ("RIGHT", "FULL") for j in later):
            continue
        parts = flat_conjuncts(join.args["on"])
        above = [p for p in parts if has_calls(p)]
        if above:
            join.set("on", and_all(p for p in parts if not has_calls(p)) or exp.true())
            select.where(*[p.copy() for p in above], copy=False)


def needs_pairs(select: exp.Select) -> bool:
    return any(has_calls(j.args.get("on")) for j in select.args.get("joins") or [])


def pairs(select: exp.Select, builder: Builder, pins: Pins) -> exp.Select:
    """Rewrite the first join whose condition still holds calls."""
    all_joins = list(select.args.get("joins") or [])
    index = next(i for i, j in enumerate(all_joins) if has_calls(j.args.get("on")))
    join = all_joins[index]
    if join.method == "ASOF" or join.method == "POSITIONAL":
        raise UnsupportedQuery(
            f"predict() cannot stand in the condition of a {join.method} join",
            hint="compute the prediction in a subquery and join on its column",
            location=builder.source.locate(next(calls_in(join.args["on"]))),
        )
    names = list(sources(select))
    first = select.args["from_"].this
    left_names = [n for n in names if n in _names_of(first, all_joins[:index])]
    right_name = join.this.alias_or_name
    left_query = exp.select(copy=False).from_(first.copy())
    left_query.set("joins", [j.copy() for j in all_joins[:index]] or None)
    if join.side in ("", "LEFT") and not any(j.side in ("RIGHT", "FULL") for j in all_joins[index + 1 :]):
        left_query.where(*_filters_of(select, set(left_names)), copy=False)
    left = _numbered(select, left_query, left_names, builder, pins)
    right_query = exp.select(copy=False).from_(join.this.copy())
    right = _numbered(select, right_query, [right_name], builder, pins)
    matches = _matches(join, left, right, builder)
    new_joins = _rejoined(join, left, right, matches)
    rest = all_joins[index + 1 :]
    select.set("from_", exp.From(this=left.table()))
    select.set("joins", new_joins + rest)

    def moved(node: exp.Expr) -> exp.Expr | None:
        for side in (left, right):
            if isinstance(node, exp.Column) and (node.table, node.name) in side.columns:
                return exp.column(side.columns[node.table, node.name], table=side.alias, quoted=True)
        return None

    for key in ("expressions", "where", "group", "having", "qualify", "order", "distinct"):
        value = select.args.get(key)
        if isinstance(value, list):
            select.set(key, [_renamed(v, replace_top_down(v, moved)) for v in value])
        elif value is not None:
            select.set(key, replace_top_down(value, moved))
    for later in rest:
        if later.args.get("on"):
            later.set("on", replace_top_down(later.args["on"], moved))
    return select


def _filters_of(select: exp.Select, names: set[str]) -> list[exp.Expr]:
    """Conditions of WHERE that the left side's rows must meet in the end; they stay in WHERE, too."""
    parts = flat_conjuncts(select.args.get("where"))
    plain = [p for p in parts if not has_calls(p) and not is_volatile(p) and p.find(exp.Query) is None]
    return [p.copy() for p in plain if tables_of(p) and tables_of(p) <= names]


def _renamed(before: exp.Expr, after: exp.Expr) -> exp.Expr:
    if isinstance(after, exp.Alias) or not before.alias_or_name:
        return after
    return exp.alias_(after, before.alias_or_name, quoted=True)


class _Side:
    """One side of the join, staged with row numbers."""

    def __init__(self, relation: exp.Table, alias: str, columns: dict[tuple[str, str], str]) -> None:
        self.relation, self.alias, self.columns = relation, alias, columns

    def table(self) -> exp.Expr:
        return exp.alias_(self.relation.copy(), self.alias, table=True, quoted=True)

    def row(self) -> exp.Column:
        return exp.column("_row", table=self.alias, quoted=True)


def _names_of(first: exp.Expr, joins: list[exp.Join]) -> set[str]:
    return {first.alias_or_name, *(j.this.alias_or_name for j in joins if j.kind not in ("SEMI", "ANTI"))}


def _numbered(select: exp.Select, query: exp.Select, names: list[str], builder: Builder, pins: Pins) -> _Side:
    """Stage a side with the columns that the whole SELECT reads of it, and ``_row``."""
    used = list(dict.fromkeys((c.table, c.name) for c in columns_in(select) if c.table in names))
    columns = {key: f"c{i + 1}" for i, key in enumerate(used)}
    projections = [
        exp.alias_(exp.column(name, table=table, quoted=True), columns[table, name], quoted=True)
        for table, name in used
    ]
    number = exp.Window(this=exp.RowNumber(), over="OVER")
    query.set("expressions", [*projections, exp.alias_(number, "_row", quoted=True)])
    relation = pins.materialise(query)
    return _Side(relation, builder.alias("j"), columns)


def _matches(join: exp.Join, left: _Side, right: _Side, builder: Builder) -> exp.Subquery:
    l_alias, r_alias = builder.alias("l"), builder.alias("r")

    def over(node: exp.Expr) -> exp.Expr | None:
        for side, alias in ((left, l_alias), (right, r_alias)):
            if isinstance(node, exp.Column) and (node.table, node.name) in side.columns:
                return exp.column(side.columns[node.table, node.name], table=alias, quoted=True)
        return None

    parts = [replace_top_down(p, over) for p in flat_conjuncts(join.args["on"])]
    inner = exp.select(
        exp.alias_(exp.column("_row", table=l_alias, quoted=True), "_left", quoted=True),
        exp.alias_(exp.column("_row", table=r_alias, quoted=True), "_right", quoted=True),
        copy=False,
    ).from_(exp.alias_(left.relation.copy(), l_alias, table=True, quoted=True))
    below = and_all(p for p in parts if not has_calls(p)) or exp.true()
    inner.set("joins", [exp.Join(this=exp.alias_(right.relation.copy(), r_alias, table=True, quoted=True), on=below)])
    inner.where(*[p for p in parts if has_calls(p)], copy=False)
    return inner.subquery(builder.alias("m"), copy=False)


def _rejoined(join: exp.Join, left: _Side, right: _Side, matches: exp.Subquery) -> list[exp.Join]:
    m = matches.alias
    on_left = exp.EQ(this=left.row(), expression=exp.column("_left", table=m, quoted=True))
    on_right = exp.EQ(this=exp.column("_right", table=m, quoted=True), expression=right.row())
    if join.kind in ("SEMI", "ANTI"):
        return [exp.Join(this=matches, kind=join.kind, on=on_left)]
    side = join.side or ""
    to_matches = exp.Join(this=matches, side="LEFT" if side in ("LEFT", "FULL") else None, on=on_left)
    to_right = exp.Join(this=right.table(), side=side or None, on=on_right)
    return [to_matches, to_right]


def hoist_into_prefix(select: exp.Select, builder: Builder) -> None:
    """A call in UNNEST(…), a table function or a LATERAL over an earlier source's columns: the source computes it."""
    for source in list(sources(select).values()):
        if isinstance(source, (exp.Table, exp.Subquery)) and not isinstance(source.this, exp.Func):
            continue
        target = source.this if isinstance(source, exp.Lateral) else source
        query = target.unnest()
        inner = set(sources(query)) if isinstance(query, exp.Select) else set()
        for call in list(calls_in(source)):
            tables = tables_of(call)
            if not tables or tables & inner or call.find_ancestor(type(call)) is not None:
                continue
            if len(tables) == 1 and next(iter(tables)) in sources(select):
                _compute_in_source(select, call, next(iter(tables)), builder)
            else:
                raise UnsupportedQuery(
                    "predict() in a lateral source takes the columns of one earlier source",
                    hint="compute it in a subquery first",
                    location=builder.source.locate(call),
                )


def _compute_in_source(select: exp.Select, call: exp.Expr, alias: str, builder: Builder) -> None:
    """Replace a source by a derived table that also has the call as a column."""
    source = sources(select)[alias]
    name = builder.alias("c")
    inner_alias = builder.alias("i")
    used = list(dict.fromkeys(c.name for c in columns_in(select) if c.table == alias))
    identity = text(call)

    def inward(node: exp.Expr) -> exp.Expr | None:
        is_mine = isinstance(node, exp.Column) and node.table == alias
        return exp.column(node.name, table=inner_alias, quoted=True) if is_mine else None

    computed = exp.alias_(replace_top_down(call, inward), name, quoted=True)
    columns = [exp.alias_(exp.column(n, table=inner_alias, quoted=True), n, quoted=True) for n in used]
    bare = source.copy()
    bare.set("joins", None)
    columns_alias = source.args["alias"].args.get("columns") if source.args.get("alias") else None
    inner_name = exp.to_identifier(inner_alias, quoted=True)
    bare.set("alias", exp.TableAlias(this=inner_name, columns=columns_alias))
    derived = exp.select(*columns, computed, copy=False).from_(bare).subquery(alias, copy=False)
    for found in list(calls_in(select)):
        if text(found) == identity:
            found.replace(exp.column(name, table=alias, quoted=True))
    source.replace(derived)


def precompute_pivots(select: exp.Select, builder: Builder) -> None:
    """A call in the aggregate of a PIVOT becomes a column of the pivoted source."""
    for source in list(sources(select).values()):
        pivots = source.args.get("pivots") or []
        found = {text(c): c for pivot in pivots for c in own_calls(pivot)}
        if not found:
            continue
        if not isinstance(source, (exp.Subquery, exp.Table)) or len(pivots) != 1:
            raise UnsupportedQuery(
                "predict() in a chain of PIVOTs", hint="compute it in a subquery",
                location=builder.source.locate(next(iter(found.values()))),
            )  # fmt: skip
        _pivot_over_column(source, pivots[0], list(found.values()), builder)


def _pivot_over_column(source: exp.Expr, pivot: exp.Expr, calls: list[exp.Expr], builder: Builder) -> None:
    available = _columns_of(source, builder)
    consumed = {c.name.casefold() for call in calls for c in columns_in(call)}
    names = {text(c): builder.alias("c") for c in calls}
    copies = {text(c): c.copy() for c in calls}
    for call in calls:
        call.replace(exp.column(names[text(call)], quoted=True))
    for other in list(own_calls(pivot)):
        other.replace(exp.column(names[text(other)], quoted=True))
    still = {c.name.casefold() for c in columns_in(pivot)}
    inner_alias = builder.alias("i")
    kept = [n for n in available if n.casefold() not in consumed or n.casefold() in still]
    columns = [exp.alias_(exp.column(n, table=inner_alias, quoted=True), n, quoted=True) for n in kept]

    def inward(node: exp.Expr) -> exp.Expr | None:
        return exp.column(node.name, table=inner_alias, quoted=True) if isinstance(node, exp.Column) else None

    computed = [exp.alias_(replace_top_down(copies[i], inward), name, quoted=True) for i, name in names.items()]
    bare = source.copy()
    bare.set("pivots", None)
    bare.set("joins", None)
    bare.set("alias", exp.TableAlias(this=exp.to_identifier(inner_alias, quoted=True)))
    derived = exp.select(*columns, *computed, copy=False).from_(bare).subquery(source.alias or None, copy=False)
    derived.set("pivots", [pivot])
    source.replace(derived)


def _columns_of(source: exp.Expr, builder: Builder) -> list[str]:
    from sqlinfer.relation import Relation

    if isinstance(source, exp.Subquery):
        return [e.alias_or_name for e in source.this.selects]
    if not isinstance(source, exp.Table):
        return []
    found = builder.catalog.find(Relation(source.name, source.db or None, source.catalog or None))
    return [c.name for c in found.columns] if found is not None else []
