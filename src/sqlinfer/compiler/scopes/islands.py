"""Sources that plain equality joins connect, where calls are all that connects them with the others.

``from a, b where f(a.x) = b.y`` would be scored over every pair. ``a`` is an island: its rows, after their own filters,
are scored below, and the join is an equality join: ``from (select f(a.x) as p1 from a) as q, b where q.p1 = b.y``.
No more inputs are scored than before: every row of an island occurs in some pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import PredictCall
from sqlinfer.compiler.plan.builder import Builder
from sqlinfer.compiler.rules.weaken import factors
from sqlinfer.compiler.scopes.analyse import (
    and_all,
    calls_in,
    columns_in,
    flat_conjuncts,
    has_calls,
    inner_aliases,
    is_aggregated,
    is_volatile,
    own_calls,
    sources,
    tables_of,
    text,
    without_parentheses,
)
from sqlinfer.compiler.scopes.guards import chained, guards_of
from sqlinfer.spec.function import FunctionContract

BELOW = "below_join"
"""Metadata of a SELECT: its calls that were taken out of the condition of a join."""
_SEALING = ("RIGHT", "FULL")


def separate(select: exp.Select, functions: Mapping[str, FunctionContract], builder: Builder) -> None:
    """Turn islands with calls in join conditions into derived tables that have the calls as columns, the cheapest
    condition first: it connects islands, and the next one sees survivors only."""
    while (sea := _Sea.of(select)) is not None and len(sea.islands()) > 1:
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
    while (sea := _Sea.of(select)) is not None and (found := _first_link(sea, functions)) is not None:
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


def _first_link(sea: _Sea, functions: Mapping[str, FunctionContract]) -> tuple[exp.Expr, list[int]] | None:
    """The cheapest equality of a call over one source with another source."""
    for condition in sorted(sea.pool, key=lambda c: _cost(c, functions)):
        if not isinstance(condition, (exp.EQ, exp.NullSafeEQ)):
            continue
        for call in sea.movable_calls(condition):
            unit = sea.unit(call, condition)
            side = condition.this if _within(call, condition.this) else condition.expression
            other = condition.expression if side is condition.this else condition.this
            if unit and sea._items(side) <= set(unit) and sea._items(other) - set(unit):
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
        sea = _Sea.at(select)
        left, right = list(range(index)), [index]
        sea.root = [0] * index + [index] + [-1 - i for i in range(index + 1, len(sea.items))]
        later = select.args["joins"][index:]
        kept = join.side not in _SEALING and not any(j.side in _SEALING or j.method for j in later)
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
    sealed = any(j.side in _SEALING for j in joins[index:])
    plain = not join.side and join.kind in ("", "INNER", "CROSS")
    if on is None or not has_calls(on) or join.method or (plain and not sealed) or select.args.get("laterals"):
        return False
    if any(tables_of(j.this) - inner_aliases(j.this) - {j.this.alias_or_name} for j in joins[:index]):
        return False
    sea = _Sea.at(select)
    sea.root = [0] * index + [index] + [-1 - i for i in range(index + 1, len(sea.items))]
    if not (sea.computes(on, [index]) or sea.computes(on, [0])):
        return False
    conditions = _parts(on)
    if not any(sea.links(c) for c in conditions):
        loose = [c for c in conditions if not has_calls(c)]
        return not any(index in sea._items(c) and len(sea._items(c)) > 1 for c in loose)
    for condition in conditions:
        sea._connect(condition)
    return sea.root[index] != sea.root[0]


def _first_ready(sea: _Sea, functions: Mapping[str, FunctionContract]) -> exp.Expr | None:
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


def _parts(node: exp.Expr | None) -> list[exp.Expr]:
    """Conjuncts without the parentheses around them."""
    return [without_parentheses(part) for part in flat_conjuncts(node)]


def _shown(calls: Sequence[PredictCall], builder: Builder) -> str:
    """As they read in the query."""
    return ", ".join(dict.fromkeys(builder.source.quote(call, builder.catalog.dialect) for call in calls))


def _cost(condition: exp.Expr, functions: Mapping[str, FunctionContract]) -> float:
    return max((functions[c.function].cost_per_row for c in calls_in(condition)), default=0.0)


@dataclass(slots=True)
class _Sea:
    """The items of a FROM, the conditions of its inner joins and WHERE, and which items belong together."""

    select: exp.Select
    items: list[exp.Expr]
    """FROM's first source, then the joins."""
    names: dict[str, int]
    """Alias → item."""
    pool: list[exp.Expr]
    root: list[int] = field(default_factory=list)
    bound: list[int] = field(default_factory=list)
    """Like ``root``, before any condition connected them."""

    @classmethod
    def of(cls, select: exp.Select) -> _Sea | None:
        """None where the sources cannot be taken apart."""
        joins = list(select.args.get("joins") or [])
        if not joins or any(select.args.get(k) for k in ("laterals", "sample")) or select.find(exp.TableColumn):
            return None
        sea = cls.at(select)
        if not sea._bind(joins):
            return None
        sea.bound = list(sea.root)
        for condition in sea.pool:
            sea._connect(condition)
        return sea

    @classmethod
    def at(cls, select: exp.Select) -> _Sea:
        """Every item by itself, the conditions of WHERE."""
        items = [select.args["from_"].this, *(select.args.get("joins") or [])]
        names: dict[str, int] = {}
        for index, item in enumerate(items):
            source = item.this if isinstance(item, exp.Join) else item
            names[source.alias_or_name] = index
            names |= {p.alias: index for p in source.args.get("pivots") or [] if p.alias}
        return cls(select, items, names, _parts(select.args.get("where")), list(range(len(items))))

    def _bind(self, joins: list[exp.Join]) -> bool:
        """Items that only mean something together; the conditions of inner joins go to the pool."""
        sealed = max((i for i, j in enumerate(joins, 1) if j.side in _SEALING or j.method), default=0)
        self._union(range(sealed + 1))
        for index, join in enumerate(joins, 1):
            inside = tables_of(join.this) - inner_aliases(join.this) - {join.this.alias_or_name}
            if not inside <= set(self.names):
                return False
            self._union([index, *(self.names[t] for t in inside)])
            plain = not join.side and join.kind in ("", "INNER", "CROSS")
            if index <= sealed:
                continue
            if plain and not join.args.get("using"):
                self.pool += _parts(join.args.get("on"))
                continue
            others = {self.names[t] for t in tables_of(join.args.get("on")) if t in self.names} - {index}
            self._union([index, *(others if others and not join.args.get("using") else range(index))])
        return True

    def _union(self, indexes: object) -> None:
        roots = {self.root[i] for i in indexes}  # type: ignore[attr-defined]
        if roots:
            self.root = [min(roots) if r in roots else r for r in self.root]

    def _connect(self, condition: exp.Expr) -> None:
        for part in factors(condition) if isinstance(condition.unnest(), exp.Or) else [condition]:
            if isinstance(part, (exp.EQ, exp.NullSafeEQ)) and not has_calls(part) and not is_volatile(part):
                left, right = self._items(part.this), self._items(part.expression)
                if left and right and not left & right and part.find(exp.Query) is None:
                    self._union(left | right)

    def links(self, condition: exp.Expr) -> bool:
        """Whether it is an equality of two islands that holds a call."""
        if not isinstance(condition, (exp.EQ, exp.NullSafeEQ)) or not has_calls(condition):
            return False
        left, right = ({self.root[i] for i in self._items(s)} for s in (condition.this, condition.expression))
        return bool(left and right and not left & right)

    def connect_all(self) -> None:
        """Any condition without calls connects: its pairs are what the call is to be scored over."""
        for condition in self.pool:
            if not has_calls(condition) and not is_volatile(condition):
                self._union(self._items(condition))

    def unit(self, call: PredictCall, condition: exp.Expr) -> list[int]:
        """The items that the call needs, where they are one source (or an outer join, which is one)."""
        items = self._items(call).union(*(self._items(g) for g in self._strict(call, condition)))
        roots = {self.bound[i] for i in items}
        return [i for i, r in enumerate(self.bound) if r in roots] if len(roots) == 1 else []

    def named(self, items: list[int]) -> frozenset[str]:
        return frozenset(name for name, index in self.names.items() if index in items)

    def without(self, unit: list[int]) -> list[list[int]]:
        """The other items, those that equalities connect together."""
        other = _Sea(self.select, self.items, self.names, self.pool, list(self.bound))
        for condition in self.pool:
            if not self._items(condition) & set(unit):
                other._connect(condition)
        return [part for part in other.islands() if not set(part) & set(unit)]

    def exists(self, part: list[int], unit: list[int], builder: Builder) -> exp.Expr | None:
        """Whether a row of the unit finds rows in the part, or None where that is not said or not simple."""
        mine = [c for c in self.pool if not has_calls(c) and not is_volatile(c) and self.is_own(c)]
        links = [c for c in mine if self._items(c) <= {*part, *unit} and self._items(c) & set(part)]
        tables = [self.items[i].this if isinstance(self.items[i], exp.Join) else self.items[i] for i in part]
        joined = any(self.items[i].args.get("side") or self.items[i].args.get("kind") in ("SEMI", "ANTI") for i in part)
        simple = all(isinstance(t, exp.Table) and not any(t.args.get(k) for k in ("pivots", "sample")) for t in tables)
        if joined or not simple or not any(self._items(c) & set(unit) for c in links):
            return None
        if any(c.find(exp.Query) is not None for c in links):
            return None
        fresh = {t.alias_or_name: builder.alias("e") for t in tables}
        query = exp.select(exp.alias_(exp.Literal.number(1), "_", quoted=True), copy=False)
        for table in tables:
            copied = table.copy()
            copied.set("joins", None)
            columns = copied.args["alias"].args.get("columns") if copied.args.get("alias") else None
            name = exp.to_identifier(fresh[table.alias_or_name], quoted=True)
            copied.set("alias", exp.TableAlias(this=name, columns=columns))
            if query.args.get("from_"):
                query.append("joins", exp.Join(this=copied, kind="CROSS"))
            else:
                query.set("from_", exp.From(this=copied))
        for link in links:
            condition = link.copy()
            for column in columns_in(condition):
                if column.table in fresh:
                    column.set("table", exp.to_identifier(fresh[column.table], quoted=True))
            query.where(condition, copy=False)
        return exp.Exists(this=query)

    def _items(self, node: exp.Expr) -> set[int]:
        return {self.names[t] for t in tables_of(node) if t in self.names}

    def islands(self) -> list[list[int]]:
        return [[i for i, r in enumerate(self.root) if r == root] for root in dict.fromkeys(self.root)]

    def is_own(self, node: exp.Expr) -> bool:
        """Whether an expression holds no column of an outer query."""
        return tables_of(node) <= set(self.names) | inner_aliases(node)

    def local(self, island: list[int]) -> list[exp.Expr]:
        """Conditions over one island."""
        return [
            c for c in self.pool
            if self._items(c) and self._items(c) <= set(island) and self.is_own(c) and not is_volatile(c)
        ]  # fmt: skip

    def movable_calls(self, condition: exp.Expr) -> Iterator[PredictCall]:
        """Outermost calls over rows of FROM; where one is guarded by what cannot move, none."""
        for call in own_calls(condition):
            if call.find_ancestor(PredictCall) is None and self._items(call) and self.is_own(call):
                strict = self._strict(call, condition)
                if not is_volatile(call) and all(self.is_own(g) and not is_volatile(g) for g in strict):
                    yield call

    def reach(self, call: PredictCall, condition: exp.Expr) -> set[int]:
        """The islands whose columns a call and the conditions that it must not be evaluated without need."""
        items = self._items(call).union(*(self._items(g) for g in self._strict(call, condition)))
        return {self.root[i] for i in items}

    def merge(self, call: PredictCall, condition: exp.Expr) -> None:
        self._union(self.reach(call, condition))

    def computes(self, condition: exp.Expr, island: list[int]) -> list[PredictCall]:
        return [c for c in self.movable_calls(condition) if self.reach(c, condition) == {self.root[island[0]]}]

    def own_calls(self, condition: exp.Expr, unit: list[int]) -> list[PredictCall]:
        return [c for c in self.movable_calls(condition) if self.unit(c, condition) == unit]

    def guard(self, call: PredictCall, condition: exp.Expr, island: list[int]) -> exp.Expr | None:
        """Of the conditions around a call in ``condition`` those that the island knows."""
        found = guards_of(call, condition, lambda operand: not has_calls(operand) and self._knows(operand, island))
        return chained(found) if found else None

    def _knows(self, node: exp.Expr, island: list[int]) -> bool:
        return self._items(node) <= set(island) and self.is_own(node) and not is_volatile(node)

    def _strict(self, call: PredictCall, condition: exp.Expr) -> list[exp.Expr]:
        return [g.condition for g in guards_of(call, condition, lambda _: False) if g.strict]


def _enclose(
    select: exp.Select,
    sea: _Sea,
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


def _equal(select: exp.Select, sea: _Sea, call: PredictCall) -> list[PredictCall]:
    """Over groups a column is not what an expression over the group's key is."""
    identity = text(call)
    group = select.args.get("group")
    anywhere = not is_aggregated(select) or (group is not None and identity in {text(c) for c in own_calls(group)})
    places = [select] if anywhere else list(sea.pool)  # a pool's conditions are nodes of the select
    return [c for place in places for c in list(own_calls(place)) if text(c) == identity]


def _wrap(select: exp.Select, sea: _Sea, join: exp.Join, builder: Builder) -> None:
    """Let the right side of an outer join compute its calls; what it says of itself in ON filters it first."""
    alias, on, index = builder.alias("q"), join.args["on"], sea.items.index(join)
    computed: dict[str, exp.Expr] = {}
    shown = _shown(sea.computes(on, [index]), builder)
    for call in sea.computes(on, [index]):
        _compute(call, sea.guard(call, on, [index]), [], computed, alias)
    inner = exp.Select()
    inner.meta[BELOW] = shown
    inner.set("from_", exp.From(this=join.this.copy()))
    if join.side not in _SEALING:
        mine = [c for c in _parts(join.args["on"]) if sea._items(c) == {index} and sea.is_own(c)]
        inner.where(*[c.copy() for c in mine if not has_calls(c) and not is_volatile(c)], copy=False)
    join.set("this", exp.Subquery(this=inner, alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True))))
    visible = {name for name, place in sea.names.items() if place == index}
    _project(select, inner, visible, computed, alias)


def _take(
    select: exp.Select, sea: _Sea, island: list[int], inner: exp.Select, alias: str, remaining: list[exp.Expr]
) -> None:
    """Move the island's items into the inner SELECT; a stand-in of its alias takes the place of the first."""
    stand_in = exp.Subquery(this=exp.Select(), alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
    pooled = {id(c) for c in sea.pool}
    keep = {id(c) for c in remaining}
    above = [c for c in _parts(select.args.get("where")) if id(c) in keep]
    outside: list[exp.Join] = []
    for index, item in enumerate(sea.items):
        inside = index in island
        if isinstance(item, exp.Join):
            on = _parts(item.args.get("on"))
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
