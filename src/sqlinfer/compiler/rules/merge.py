"""A derived table with calls that only selects, projects and filters dissolves into the query that reads it."""

from __future__ import annotations

from sqlglot import exp

from sqlinfer.compiler.scopes.analyse import (
    flat_conjuncts,
    has_calls,
    is_aggregated,
    is_volatile,
    own_calls,
    replace_top_down,
    walk_own,
)


def merge(query: exp.Query) -> exp.Query:
    """
    >>> from sqlglot import parse_one
    >>> from sqlinfer.compiler.calls.canonical import PredictCall
    >>> tree = parse_one("SELECT c.p AS p FROM (SELECT t.g AS g, f(t.x) AS p FROM t AS t) AS c WHERE c.g = 1")
    >>> merge(tree.transform(lambda n: PredictCall(this='f', expressions=n.expressions) if n.name == 'f' else n)).sql()
    'SELECT SQLINFER_PREDICT(f, t.x) AS p FROM t AS t WHERE t.g = 1'
    """
    for select in reversed(list(query.find_all(exp.Select))):
        for derived in _derived_tables(select):
            if _mergeable(select, derived):
                _merge_into(select, derived)
    return query


def _derived_tables(select: exp.Select) -> list[exp.Subquery]:
    clause = select.args.get("from_")
    items = [clause.this] if clause is not None else []
    items += [join.this for join in select.args.get("joins") or []]
    return [item for item in items if isinstance(item, exp.Subquery)]


def preserved(select: exp.Select, derived: exp.Expr) -> bool:
    """Whether a filter over the source's columns may move into the source: it is never NULL-extended."""
    joins = select.args.get("joins") or []
    join = derived.parent if isinstance(derived.parent, exp.Join) else None
    later = joins if join is None else joins[joins.index(join) + 1 :]
    if any(j.side in ("RIGHT", "FULL") or j.method in ("POSITIONAL", "ASOF") for j in later):
        return False
    if join is None:
        return True
    return not join.side and join.kind in ("", "INNER", "CROSS") and not join.method


def _mergeable(select: exp.Select, derived: exp.Subquery) -> bool:
    inner = derived.this
    if not isinstance(inner, exp.Select) or not has_calls(inner) or not preserved(select, derived):
        return False
    if any(derived.args.get(k) for k in ("pivots", "sample", "joins")):
        return False
    keys = ("distinct", "group", "having", "qualify", "limit", "offset", "windows", "sample", "laterals", "with_")
    if any(inner.args.get(k) for k in keys) or is_aggregated(inner) or not inner.args.get("from_"):
        return False
    if inner.args.get("order") and (select.args.get("limit") or select.args.get("offset")):
        return False  # DuckDB keeps the order of a subquery, so this LIMIT means its first rows
    if any(isinstance(n, (exp.Window, exp.Unnest, exp.Explode)) for e in inner.expressions for n in walk_own(e)):
        return False
    if any(is_volatile(e) for e in inner.expressions) or (derived.args["alias"].args.get("columns")):
        return False
    if _repeats_subquery(select, derived):
        return False
    inner_joins = inner.args.get("joins") or []
    if isinstance(derived.parent, exp.Join) and any(j.side or j.method or j.kind not in ("", "INNER", "CROSS")
                                                    for j in inner_joins):  # fmt: skip
        return False
    return not _call_columns_in_outer_joins(select, derived)


def _repeats_subquery(select: exp.Select, derived: exp.Subquery) -> bool:
    """A subquery that is written twice is staged twice, and is no group key of itself any more."""
    held = {e.alias for e in derived.this.expressions if e.find(exp.Query)}
    read = [c.name for c in select.find_all(exp.Column) if c.table == derived.alias and c.name in held] if held else []
    return len(read) > len(set(read))


def _call_columns_in_outer_joins(select: exp.Select, derived: exp.Subquery) -> bool:
    """A prediction in the condition of an outer join, a lateral source or a pivot is better computed before it."""
    scored = {e.alias for e in derived.this.expressions if any(True for _ in own_calls(e)) or has_calls(e)}
    places: list[exp.Expr] = [
        j for j in select.args.get("joins") or [] if j.side or j.method or j.kind not in ("", "INNER", "CROSS")
    ]
    places += [j.this for j in select.args.get("joins") or [] if not isinstance(j.this, (exp.Table, exp.Subquery))]
    places += select.args.get("laterals") or []
    places += list(select.find_all(exp.Lambda, exp.Comprehension, exp.Lateral))
    alias = derived.alias
    return any(c.table == alias and c.name in scored for p in places for c in p.find_all(exp.Column))


def _merge_into(select: exp.Select, derived: exp.Subquery) -> None:
    inner: exp.Select = derived.this
    alias = derived.alias
    projections = {e.alias_or_name: e.unalias() for e in inner.expressions}
    joins = list(inner.args.get("joins") or [])
    conditions = [inner.args["where"].this] if inner.args.get("where") else []
    parent = derived.parent
    source = inner.args["from_"].this
    outer_joins = list(select.args.get("joins") or [])
    if isinstance(parent, exp.Join):
        index = outer_joins.index(parent)
        if joins:
            conditions += [parent.args["on"]] if parent.args.get("on") else []
            parent = exp.Join(this=source, kind="CROSS")
            outer_joins[index] = parent
        else:
            parent.set("this", source)
        outer_joins[index + 1 : index + 1] = joins
    else:
        select.args["from_"].set("this", source)
        outer_joins = joins + outer_joins
    select.set("joins", outer_joins or None)
    _substitute(select, alias, projections)
    for condition in conditions:
        moved = [_substituted(c, alias, projections) for c in flat_conjuncts(condition)]
        select.where(*moved, copy=False)


def _substitute(select: exp.Select, alias: str, projections: dict[str, exp.Expr]) -> None:
    for projection in select.expressions:  # a bare column keeps its output name
        if isinstance(projection, exp.Column) and projection.table == alias:
            projection.replace(exp.alias_(projection.copy(), projection.name, quoted=True))
    for column in list(select.find_all(exp.Column)):
        if column.table == alias and column.name in projections:
            column.replace(parenthesised(projections[column.name], column))


def _substituted(condition: exp.Expr, alias: str, projections: dict[str, exp.Expr]) -> exp.Expr:
    return replace_top_down(
        condition,
        lambda n: (
            parenthesised(projections[n.name], n)
            if isinstance(n, exp.Column) and n.table == alias and n.name in projections
            else None
        ),
    )


def parenthesised(expression: exp.Expr, column: exp.Column) -> exp.Expr:
    copy = expression.copy()
    needs = isinstance(copy, (exp.Binary, exp.Unary, exp.Between, exp.In, exp.Case)) and not isinstance(copy, exp.Paren)
    return exp.Paren(this=copy) if needs and not isinstance(column.parent, exp.Alias) else copy
