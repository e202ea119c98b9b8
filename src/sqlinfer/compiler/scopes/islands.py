"""Sources that plain equality joins connect, where calls are all that connects them with the others.

``from a, b where f(a.x) = b.y`` would be scored over every pair. ``a`` is an island: its rows, after their own filters,
are scored below, and the join is an equality join: ``from (select f(a.x) as p1 from a) as q, b where q.p1 = b.y``.
No more inputs are scored than before: every row of an island occurs in some pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import PredictCall
from sqlinfer.compiler.plan.builder import Builder
from sqlinfer.compiler.scopes.analyse import (
    and_all,
    calls_in,
    columns_in,
    has_calls,
    inner_aliases,
    is_aggregated,
    is_volatile,
    own_calls,
    sources,
    tables_of,
    text,
)
from sqlinfer.compiler.scopes.sea import SEALING, Sea, parts_of
from sqlinfer.spec.function import FunctionContract

BELOW = "below_join"
"""Metadata of a SELECT: its calls that were taken out of the condition of a join."""


def separate(select: exp.Select, functions: Mapping[str, FunctionContract], builder: Builder) -> None:
    """Turn islands with calls in join conditions into derived tables that have the calls as columns, the cheapest
    condition first: it connects islands, and the next one sees survivors only."""
    while (sea := Sea.of(select)) is not None and len(sea.islands()) > 1:
        if not any(sea.links(c) for c in sea.pool):
            sea.connect_all()
        condition = _first_ready(sea, functions) if len(sea.islands()) > 1 else None
        if condition is None:
            break
        cost = _cost(condition, functions)
        called, others = [], []
        for island in sea.islands():
            plain = [c for c in sea.local(island) if not has_calls(c)]
            if sea.computes(condition, island):
                called.append(island)
            elif len(island) > 1 or plain:
                others.append((island, plain))
        if others:  # what is read beside them is staged filtered and joined
            _enclose(select, sea, *others[0], builder, None)
            continue
        local = [c for c in sea.local(called[0]) if not has_calls(c) or _cost(c, functions) <= cost]
        _enclose(select, sea, called[0], local, builder, condition, sea.computes(condition, called[0]))
    _unlink(select, functions, builder)


def _unlink(select: exp.Select, functions: Mapping[str, FunctionContract], builder: Builder) -> None:
    """``a.k = b.k and f(a.x) = b.y``: the rows that agree in k may be many more than the join has. ``a`` is scored
    where ``b`` has a row of that k: its inputs are those of the joined rows, its rows are no more than it has."""
    matches: dict[frozenset[str], list[exp.Expr]] = {}
    while (sea := Sea.of(select)) is not None and (found := _first_link(sea, functions)) is not None:
        condition, unit = found
        if not matches:
            for call in sea.movable_calls(condition):
                own = sea.unit(call, condition)
                parts = [sea.exists(part, own, builder) for part in sea.without(own)] if own else []
                matches[sea.named(own)] = [part for part in parts if part is not None]
        rest = [(part, [c for c in sea.local(part) if not has_calls(c)]) for part in sea.without(unit)]
        wide = next(((part, plain) for part, plain in rest if len(part) > 1 or plain), None)
        if wide is not None and sea.named(wide[0]) not in matches:
            _enclose(select, sea, *wide, builder, None)
            continue
        cost = _cost(condition, functions)
        local = [c for c in sea.local(unit) if not has_calls(c) or _cost(c, functions) <= cost]
        calls = sea.own_calls(condition, unit)
        _enclose(select, sea, unit, local, builder, condition, calls, matches=matches.pop(sea.named(unit), ()))


def _first_link(sea: Sea, functions: Mapping[str, FunctionContract]) -> tuple[exp.Expr, list[int]] | None:
    """The cheapest equality of a call over one source with another source."""
    for condition in sorted(sea.pool, key=lambda c: _cost(c, functions)):
        if not isinstance(condition, (exp.EQ, exp.NullSafeEQ)):
            continue
        for call in sea.movable_calls(condition):
            unit = sea.unit(call, condition)
            side = condition.this if _within(call, condition.this) else condition.expression
            other = condition.expression if side is condition.this else condition.this
            if unit and sea.items_of(side) <= set(unit) and sea.items_of(other) - set(unit):
                return condition, unit
    return None


def _within(node: exp.Expr, whole: exp.Expr) -> bool:
    current: exp.Expr | None = node
    while current is not None and current is not whole:
        current = current.parent
    return current is whole


def sides(select: exp.Select, builder: Builder) -> None:
    """The same for an outer, semi or anti join that no plain equality makes: its sides compute their calls."""
    index = next((i for i, j in enumerate(select.args.get("joins") or [], 1) if _is_loose(select, i, j)), None)
    while index is not None:
        join = select.args["joins"][index - 1]
        sea = Sea.at(select)
        left, right = list(range(index)), [index]
        sea.root = [0] * index + [index] + [-1 - i for i in range(index + 1, len(sea.items))]
        later = select.args["joins"][index:]
        kept = join.side not in SEALING and not any(j.side in SEALING or j.method for j in later)
        if sea.computes(join.args["on"], right):
            _wrap(select, sea, join, builder)
        elif sea.computes(join.args["on"], left):
            local = [c for c in sea.local(left) if not has_calls(c)] if kept else []
            calls = sea.computes(join.args["on"], left)
            _enclose(select, sea, left, local, builder, join.args["on"], calls, everywhere=kept)
        else:
            return
        index = next((i for i, j in enumerate(select.args.get("joins") or [], 1) if _is_loose(select, i, j)), None)


def _is_loose(select: exp.Select, index: int, join: exp.Join) -> bool:
    """Whether the join needs a call to find its pairs, and that call stands over one side."""
    on = join.args.get("on")
    joins = select.args["joins"]
    sealed = any(j.side in SEALING for j in joins[index:])
    plain = not join.side and join.kind in ("", "INNER", "CROSS")
    if on is None or not has_calls(on) or join.method or (plain and not sealed) or select.args.get("laterals"):
        return False
    if any(tables_of(j.this) - inner_aliases(j.this) - {j.this.alias_or_name} for j in joins[:index]):
        return False
    sea = Sea.at(select)
    sea.root = [0] * index + [index] + [-1 - i for i in range(index + 1, len(sea.items))]
    if not (sea.computes(on, [index]) or sea.computes(on, [0])):
        return False
    conditions = parts_of(on)
    if not any(sea.links(c) for c in conditions):
        loose = [c for c in conditions if not has_calls(c)]
        return not any(index in sea.items_of(c) and len(sea.items_of(c)) > 1 for c in loose)
    for condition in conditions:
        sea.connect(condition)
    return sea.root[index] != sea.root[0]


def _first_ready(sea: Sea, functions: Mapping[str, FunctionContract]) -> exp.Expr | None:
    """The cheapest condition whose calls each stand over one island; else over as few as possible, which become one."""
    waiting = sorted((c for c in sea.pool if any(sea.movable_calls(c))), key=lambda c: _cost(c, functions))
    for condition in waiting:
        if all(len(sea.reach(call, condition)) == 1 for call in sea.movable_calls(condition)):
            return condition
    for condition in waiting:
        for call in sea.movable_calls(condition):
            sea.merge(call, condition)
        if len(sea.islands()) > 1:
            return condition
    return None


def _shown(calls: Sequence[PredictCall], builder: Builder) -> str:
    """As they read in the query."""
    return ", ".join(dict.fromkeys(builder.source.quote(call, builder.catalog.dialect) for call in calls))


def _cost(condition: exp.Expr, functions: Mapping[str, FunctionContract]) -> float:
    return max((functions[c.function].cost_per_row for c in calls_in(condition)), default=0.0)


def _enclose(
    select: exp.Select,
    sea: Sea,
    island: list[int],
    local: list[exp.Expr],
    builder: Builder,
    cause: exp.Expr | None,
    calls: Sequence[PredictCall] = (),
    *,
    everywhere: bool = True,
    matches: Sequence[exp.Expr] = (),
) -> None:
    """Replace an island by a derived table of its own conditions, with calls of ``cause`` as columns."""
    alias = builder.alias("q")
    inner = exp.Select()
    if cause is not None:
        inner.meta[BELOW] = _shown(calls, builder)
    moved = {id(c) for c in local}
    computed: dict[str, exp.Expr] = {}
    if cause is not None and id(cause) not in moved:
        for call in calls:
            places = list(_equal(select, sea, call)) if everywhere else []
            _compute(call, sea.guard(call, cause, island), places, computed, alias)
    remaining = [c for c in sea.pool if id(c) not in moved]
    inner.where(*[c.copy() for c in local], *(m.copy() for m in matches), copy=False)
    _take(select, sea, island, inner, alias, remaining)
    visible = {name for name, index in sea.names.items() if index in island}
    _project(select, inner, visible, computed, alias)
    target = next(s for s in sources(select).values() if s.alias_or_name == alias)
    target.set("this", inner)


def _project(
    select: exp.Select, inner: exp.Select, visible: set[str], computed: dict[str, exp.Expr], alias: str
) -> None:
    """Give the inner SELECT the columns that the outer one reads, and let it read those."""
    own = {id(c) for c in columns_in(inner)}
    outside = [c for c in columns_in(select) if c.table in visible and id(c) not in own]
    columns = {key: f"c{i}" for i, key in enumerate(dict.fromkeys((c.table, c.name) for c in outside), 1)}
    for projection in select.expressions:  # keeps its name
        if isinstance(projection, exp.Column) and projection.table in visible:
            named = exp.alias_(exp.column(columns[projection.table, projection.name], table=alias, quoted=True),
                               projection.name, quoted=True)  # fmt: skip
            projection.replace(named)
    for column in outside:
        if column.parent is not None:
            column.replace(exp.column(columns[column.table, column.name], table=alias, quoted=True))
    read = [exp.alias_(exp.column(n, table=t, quoted=True), c, quoted=True) for (t, n), c in columns.items()]
    read += [exp.alias_(value, name, quoted=True) for name, value in computed.items()]
    inner.set("expressions", read or [exp.alias_(exp.Literal.number(1), "_", quoted=True)])


def _compute(
    call: PredictCall, guard: exp.Expr | None, equals: list[PredictCall], computed: dict[str, exp.Expr], alias: str
) -> None:
    """A column for the call, in its place and, where it is unguarded, in those of its equals."""
    value: exp.Expr = call.copy() if guard is None else exp.case().when(guard, call.copy())
    name = next((n for n, v in computed.items() if text(v) == text(value)), f"p{len(computed) + 1}")
    computed[name] = value
    column = exp.column(name, table=alias, quoted=True)
    for place in [call, *(equals if guard is None else ())]:
        if place.parent is not None:
            place.replace(column.copy())


def _equal(select: exp.Select, sea: Sea, call: PredictCall) -> list[PredictCall]:
    """Over groups a column is not what an expression over the group's key is."""
    identity = text(call)
    group = select.args.get("group")
    anywhere = not is_aggregated(select) or (group is not None and identity in {text(c) for c in own_calls(group)})
    places = [select] if anywhere else list(sea.pool)  # a pool's conditions are nodes of the select
    return [c for place in places for c in list(own_calls(place)) if text(c) == identity]


def _wrap(select: exp.Select, sea: Sea, join: exp.Join, builder: Builder) -> None:
    """Let the right side of an outer join compute its calls; what it says of itself in ON filters it first."""
    alias, on, index = builder.alias("q"), join.args["on"], sea.items.index(join)
    computed: dict[str, exp.Expr] = {}
    shown = _shown(sea.computes(on, [index]), builder)
    for call in sea.computes(on, [index]):
        _compute(call, sea.guard(call, on, [index]), [], computed, alias)
    inner = exp.Select()
    inner.meta[BELOW] = shown
    inner.set("from_", exp.From(this=join.this.copy()))
    if join.side not in SEALING:
        mine = [c for c in parts_of(join.args["on"]) if sea.items_of(c) == {index} and sea.is_own(c)]
        inner.where(*[c.copy() for c in mine if not has_calls(c) and not is_volatile(c)], copy=False)
    join.set("this", exp.Subquery(this=inner, alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True))))
    visible = {name for name, place in sea.names.items() if place == index}
    _project(select, inner, visible, computed, alias)


def _take(
    select: exp.Select, sea: Sea, island: list[int], inner: exp.Select, alias: str, remaining: list[exp.Expr]
) -> None:
    """Move the island's items into the inner SELECT; a stand-in of its alias takes the place of the first."""
    stand_in = exp.Subquery(this=exp.Select(), alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
    pooled = {id(c) for c in sea.pool}
    keep = {id(c) for c in remaining}
    above = [c for c in parts_of(select.args.get("where")) if id(c) in keep]
    outside: list[exp.Join] = []
    for index, item in enumerate(sea.items):
        inside = index in island
        if isinstance(item, exp.Join):
            on = parts_of(item.args.get("on"))
            if on and all(id(c) in pooled for c in on):
                rest = [c for c in on if id(c) in keep]
                if inside:
                    above += rest
                    rest = []
                item.set("on", and_all(rest))
                if not rest and not item.side:
                    item.set("kind", "CROSS")
            if inside and index != island[0]:
                inner.append("joins", item)
            elif not inside and outside is not None:
                outside.append(item)
        if inside and index == island[0]:
            source = item.this if isinstance(item, exp.Join) else item
            inner.set("from_", exp.From(this=source.copy()))
            if isinstance(item, exp.Join):
                outside.append(exp.Join(this=stand_in, kind="CROSS"))
            else:
                select.set("from_", exp.From(this=stand_in))
    select.set("joins", outside or None)
    condition = and_all(above)
    select.set("where", exp.Where(this=condition) if condition is not None else None)
