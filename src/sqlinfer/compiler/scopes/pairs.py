"""A call inside a correlated subquery whose arguments come from several levels of the query.

The combinations of argument values that the correlation can make are staged and scored, and the call becomes a
look-up by those values: ``(select max(f(t.x, u.z)) from u where u.k = t.k)`` →
``(select max((select any_value(m.p) from pairs m where m.a1 is not distinct from t.x and m.a2 is not distinct from
u.z)) from u where u.k = t.k)``. Where a subquery sees one level alone, the pairs are joined to ``u`` instead: every row
has its pair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import PredictCall, calls_in
from sqlinfer.compiler.forms import Form
from sqlinfer.compiler.plan.builder import Builder, column_type
from sqlinfer.compiler.scopes.analyse import (
    and_all,
    can_try,
    columns_in,
    flat_conjuncts,
    has_calls,
    inner_aliases,
    is_aggregate,
    is_volatile,
    replace_top_down,
    sources,
    tables_of,
    text,
)
from sqlinfer.compiler.scopes.guards import chained, guards_of
from sqlinfer.compiler.scopes.layers import ROWS, level_of

if TYPE_CHECKING:
    from sqlinfer.compiler.plan.planner import Planner

_Moved = dict[tuple[str, str], exp.Column]


def look_up(select: exp.Select, node: exp.Query, call: PredictCall, planner: Planner) -> bool:
    """Replace ``call``, which stands somewhere in ``node`` below ``select``; False where it cannot be done."""
    levels = _levels(select, call)
    if levels is None or level_of(call, levels[-1]) != ROWS:
        return False
    if any(is_aggregate(n) or isinstance(n, exp.Window) for n in call.walk()):
        return False
    planner.pins.pin_inside(select)
    combinations, moved = _combinations(levels, planner)
    if combinations is None:
        return False
    visible = {name for level in levels for name in sources(level)}
    if not tables_of(call) <= visible | inner_aliases(call):
        return False
    leaves = _exact(
        list({text(c): c for c in columns_in(call) if c.table in visible}.values()), levels, planner.builder
    )
    _project(combinations, call, leaves, levels[-1], moved, planner.builder)
    relation = planner.pins.materialise(planner.visit(combinations))
    same = [c for c in calls_in(node) if text(c) == text(call) and c.parent_select is levels[-1]]
    if not planner.builder.form.sees_outer_levels:
        joined = _join(relation, leaves, levels[-1], planner.builder)
        for found in same:
            found.replace(joined.copy())
        return True
    for found in same:
        found.replace(_read(relation, leaves, planner.builder.alias("m"), planner.builder.form))
    return True


def _exact(leaves: list[exp.Column], levels: list[exp.Select], builder: Builder) -> list[exp.Expr]:
    """Values that are one input have one of these: a collation takes several texts for equal."""
    tables = {name: table for level in levels for name, table in sources(level).items()}
    return [builder.form.exact(leaf, _type(leaf, tables.get(leaf.table), builder)) for leaf in leaves]


def _type(leaf: exp.Column, table: exp.Expr | None, builder: Builder) -> str | None:
    pinned = builder.pinned_types.get(table.name, {}).get(leaf.name) if isinstance(table, exp.Table) else None
    return pinned or column_type(builder, table, leaf.name)


def _levels(select: exp.Select, call: PredictCall) -> list[exp.Select] | None:
    """The SELECTs from ``select`` down to the call's own, or None where the call stands in a FROM between them."""
    path: list[exp.Select] = []
    node: exp.Expr | None = call
    while node is not None and node is not select:
        parent = node.parent
        if isinstance(parent, (exp.From, exp.Join)) and node.arg_key == "this":
            lateral = isinstance(node, exp.Lateral) and parent.parent is select
            if not lateral:
                return None
        if isinstance(parent, exp.Select):
            path.append(parent)
        node = parent
    return list(reversed(path)) if path and path[-1] is select else None


def _combinations(levels: list[exp.Select], planner: Planner) -> tuple[exp.Select | None, _Moved]:
    """FROM and filters of the outer SELECT, each deeper level as a lateral source; projections are added later."""
    outer = levels[0]
    whole = exp.Select()
    if not outer.args.get("from_"):
        return None, {}
    _copy_from(outer, whole, without=levels[1].find_ancestor(exp.Lateral))
    _filter(whole, outer, {})
    moved: _Moved = {}
    for level in levels[1:]:
        if not level.args.get("from_"):
            continue
        planner._sources(level)
        if has_calls(level.args["from_"]) or any(has_calls(j) and j.side for j in level.args.get("joins") or []):
            return None, {}
        whole.append("joins", exp.Join(this=_lateral(level, moved, planner), kind="CROSS"))
    return whole, moved


def _lateral(level: exp.Select, moved: _Moved, planner: Planner) -> exp.Lateral:
    alias = planner.builder.alias("l")
    query = exp.Select()
    _copy_from(level, query)
    query = replace_top_down(query, lambda n: _move(n, moved))  # type: ignore[assignment]
    _filter(query, level, moved)
    names = set(sources(level))
    used = list(dict.fromkeys((c.table, c.name) for c in columns_in(level) if c.table in names))
    projections = [
        exp.alias_(exp.column(name, table=table, quoted=True), f"c{i}", quoted=True)
        for i, (table, name) in enumerate(used, 1)
    ]
    query.set("expressions", projections or [exp.alias_(exp.Literal.number(1), "_", quoted=True)])
    moved.update({key: exp.column(f"c{i}", table=alias, quoted=True) for i, key in enumerate(used, 1)})
    identifier = exp.to_identifier(alias, quoted=True)
    return exp.Lateral(this=exp.Subquery(this=query), alias=exp.TableAlias(this=identifier))


def _copy_from(level: exp.Select, query: exp.Select, without: exp.Expr | None = None) -> None:
    """FROM and joins up to a lateral source, without inner join conditions that call: more rows do no harm."""
    query.set("from_", level.args["from_"].copy())
    query.set("laterals", [item.copy() for item in level.args.get("laterals") or []] or None)
    before = list(level.args.get("joins") or [])
    stop = next((i for i, join in enumerate(before) if join.this is without), len(before))
    joins = [join.copy() for join in before[:stop]]
    for join in joins:
        if has_calls(join.args.get("on")) and not join.side:
            join.set("on", and_all(p for p in flat_conjuncts(join.args["on"]) if not has_calls(p)) or exp.true())
    query.set("joins", joins or None)


def _filter(query: exp.Select, level: exp.Select, moved: _Moved) -> None:
    known = set(sources(query)) | {table for table, _ in moved}
    for part in flat_conjuncts(level.args.get("where")):
        if not has_calls(part) and not is_volatile(part) and tables_of(part) <= known | inner_aliases(part):
            query.where(replace_top_down(part, lambda n: _move(n, moved)), copy=False)


def _move(node: exp.Expr, moved: _Moved) -> exp.Expr | None:
    return moved[node.table, node.name].copy() if isinstance(node, exp.Column) and (node.table, node.name) in moved \
        else None  # fmt: skip


def _project(
    whole: exp.Select,
    call: PredictCall,
    leaves: list[exp.Expr],
    home: exp.Select,
    moved: _Moved,
    builder: Builder,
) -> None:
    value, guard = call.copy(), None
    same = [c for c in calls_in(home) if text(c) == text(call) and c.parent_select is home]
    guards = guards_of(call, _root(call, home), lambda operand: False)
    usable = [g for g in guards if _over_rows(g.condition)]
    if len(same) == 1 and usable:
        guard = chained(usable)
    if guards and (guard is None or len(usable) < len(guards)):
        for argument in value.expressions:
            if can_try(argument) and not has_calls(argument):
                argument.replace(builder.tried(argument, call))
    answer: exp.Expr = value if guard is None else exp.case().when(guard, value)
    columns = [*leaves, answer]
    names = [*(f"a{i}" for i in range(1, len(leaves) + 1)), "p"]
    over = [replace_top_down(c, lambda n: _move(n, moved)) for c in columns]
    whole.set("expressions", [exp.alias_(e, name, quoted=True) for e, name in zip(over, names, strict=True)])
    whole.set("distinct", exp.Distinct())


def _over_rows(condition: exp.Expr) -> bool:
    return not has_calls(condition) and not is_volatile(condition) and condition.find(*_BEYOND_ROWS) is None


_BEYOND_ROWS = (exp.Window, exp.AggFunc, exp.AnonymousAggFunc, exp.Query)


def _root(call: exp.Expr, home: exp.Select) -> exp.Expr:
    node = call
    while node.parent is not None and node.parent is not home:
        node = node.parent
    return node


def _join(relation: exp.Table, leaves: list[exp.Expr], home: exp.Select, builder: Builder) -> exp.Column:
    """Join the pairs to the rows of ``home``; the column of the answers."""
    alias, own = builder.alias("m"), set(sources(home))
    names = [f"a{i}" for i in range(1, len(leaves) + 1)]
    answer = builder.form.look_up(exp.column("p", quoted=True), exp.Select().from_(relation.copy(), copy=False))
    keys = [exp.column(name, quoted=True) for name in names]
    answer.set("expressions", [*(key.copy() for key in keys), *answer.expressions])
    answer.group_by(*keys, copy=False) if keys else None
    same = [
        exp.NullSafeEQ(this=exp.column(name, table=alias, quoted=True), expression=leaf.copy())
        for name, leaf in zip(names, leaves, strict=True)
    ]
    here = [condition for condition, leaf in zip(same, leaves, strict=True) if tables_of(leaf) <= own]
    table = answer.subquery(alias, copy=False)
    if home.args.get("from_"):
        home.append("joins", exp.Join(this=table, kind="INNER" if here else "CROSS", on=and_all(here)))
    else:
        home.set("from_", exp.From(this=table))
    home.where(*[condition for condition in same if condition not in here], copy=False)
    return exp.column("p", table=alias, quoted=True)


def _read(relation: exp.Table, leaves: list[exp.Expr], alias: str, form: Form) -> exp.Subquery:
    conditions = [
        exp.NullSafeEQ(this=exp.column(f"a{i}", table=alias, quoted=True), expression=leaf.copy())
        for i, leaf in enumerate(leaves, 1)
    ]
    source = exp.alias_(relation.copy(), alias, table=True, quoted=True)
    query = form.look_up(exp.column("p", table=alias, quoted=True), exp.Select().from_(source, copy=False))
    return query.where(*conditions, copy=False).subquery(copy=False)
