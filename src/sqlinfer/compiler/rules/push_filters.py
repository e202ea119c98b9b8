"""A filter over plain columns of a derived table with calls is applied inside it too; the original stays."""

from __future__ import annotations

from sqlglot import exp

from sqlinfer.compiler.rules.merge import parenthesised, preserved
from sqlinfer.compiler.rules.weaken import implied
from sqlinfer.compiler.scopes.analyse import (
    flat_conjuncts,
    has_calls,
    is_aggregated,
    is_volatile,
    replace_top_down,
    sources,
    tables_of,
    text,
    walk_own,
)


def push_filters(query: exp.Query) -> exp.Query:
    """
    >>> from sqlglot import parse_one
    >>> from sqlinfer.compiler.calls.canonical import PredictCall
    >>> inner = "SELECT t.a AS a, f(SUM(t.x)) AS p FROM t AS t GROUP BY t.a"
    >>> tree = parse_one(f"SELECT c.a AS a FROM ({inner}) AS c WHERE c.a = 1")
    >>> tree = tree.transform(lambda n: PredictCall(this='f', expressions=n.expressions) if n.name == 'f' else n)
    >>> push_filters(tree).find(exp.Subquery).this.args["where"].sql()
    'WHERE t.a = 1'
    """
    for select in query.find_all(exp.Select):  # outermost first, so that a filter travels down several levels
        for alias, derived in sources(select).items():
            if isinstance(derived, exp.Subquery) and has_calls(derived) and preserved(select, derived):
                if any(derived.args.get(k) for k in ("pivots", "sample")):
                    continue
                for condition in _filters(select, alias):
                    _push(condition, alias, derived.this)
    return query


def _filters(select: exp.Select, alias: str) -> list[exp.Expr]:
    candidates = flat_conjuncts(select.args.get("where"))
    for join in select.args.get("joins") or []:
        if not join.side and join.kind in ("", "INNER") and not join.method:
            candidates += flat_conjuncts(join.args.get("on"))
    return [
        c
        for c in candidates
        if tables_of(c) == {alias} and not has_calls(c) and not is_volatile(c) and c.find(exp.Query) is None
    ]


def _push(condition: exp.Expr, alias: str, target: exp.Expr) -> None:
    if isinstance(target, exp.Subquery):
        _push(condition, alias, target.this)
    elif isinstance(target, exp.SetOperation):
        _push_into_branches(condition, alias, target)
    elif isinstance(target, exp.Select):
        moved = [_moved(condition, alias, target)]
        if moved == [None]:
            weaker = implied(condition, lambda atom: _moved(atom, alias, target) is None)
            moved = [_moved(part, alias, target) for part in weaker]
        for part in moved:
            if part is not None and text(part) not in {text(c) for c in flat_conjuncts(target.args.get("where"))}:
                target.where(part, copy=False)


def _push_into_branches(condition: exp.Expr, alias: str, union: exp.SetOperation) -> None:
    if union.args.get("by_name") or any(union.args.get(k) for k in ("limit", "offset")):
        return
    names = [p.alias_or_name for p in union.selects]
    for side in (union.left, union.right):
        branch = side.unnest() if isinstance(side, exp.Subquery) else side
        if not isinstance(branch, exp.Query) or len(branch.selects) != len(names):
            return
        theirs = dict(zip(names, [p.alias_or_name for p in branch.selects], strict=True))
        renamed = replace_top_down(
            condition,
            lambda n, theirs=theirs: (
                exp.column(exp.to_identifier(theirs[n.name], quoted=True), table=alias)  # type: ignore[misc]
                if isinstance(n, exp.Column) and n.name in theirs and n.name != theirs[n.name]
                else None
            ),
        )
        _push(renamed, alias, branch)


def _moved(condition: exp.Expr, alias: str, select: exp.Select) -> exp.Expr | None:
    """The condition in terms of the SELECT's own sources, or None where it may not stand below."""
    if any(select.args.get(k) for k in ("limit", "offset", "qualify", "sample")):
        return None
    distinct = select.args.get("distinct")
    if distinct is not None and distinct.args.get("on"):
        return None
    projections = {e.alias_or_name: e.unalias() for e in select.expressions}
    used = {c.name for c in condition.find_all(exp.Column)}
    if not used <= set(projections):
        return None
    exprs = [projections[name] for name in used]
    if any(_unmovable(e) for e in exprs) or not _is_key(select, exprs):
        return None
    return replace_top_down(
        condition, lambda n: parenthesised(projections[n.name], n) if isinstance(n, exp.Column) else None
    )


def _unmovable(expression: exp.Expr) -> bool:
    kinds = (exp.Window, exp.Query, exp.Unnest, exp.Explode)
    return has_calls(expression) or is_volatile(expression) or expression.find(*kinds) is not None


def _is_key(select: exp.Select, expressions: list[exp.Expr]) -> bool:
    """Filters keep whole groups and whole window partitions only over their keys."""
    if is_aggregated(select):
        group = select.args.get("group")
        if group is None or any(group.args.get(k) for k in ("grouping_sets", "cube", "rollup")):
            return False
        keys = {text(e) for e in group.expressions}
        if not all(text(e) in keys for e in expressions):
            return False
    windows = [n for e in select.expressions for n in walk_own(e) if isinstance(n, exp.Window)]
    return all(text(e) in {text(p) for p in w.args.get("partition_by") or []} for w in windows for e in expressions)
