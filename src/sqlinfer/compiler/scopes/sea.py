"""The items of a FROM, and which of them plain equality joins connect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import PredictCall
from sqlinfer.compiler.plan.builder import Builder
from sqlinfer.compiler.rules.weaken import factors
from sqlinfer.compiler.scopes.analyse import (
    columns_in,
    flat_conjuncts,
    has_calls,
    inner_aliases,
    is_volatile,
    own_calls,
    tables_of,
    without_parentheses,
)
from sqlinfer.compiler.scopes.guards import chained, guards_of

SEALING = ("RIGHT", "FULL")


def parts_of(node: exp.Expr | None) -> list[exp.Expr]:
    """Conjuncts without the parentheses around them."""
    return [without_parentheses(part) for part in flat_conjuncts(node)]


@dataclass(slots=True)
class Sea:
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
    def of(cls, select: exp.Select) -> Sea | None:
        """None where the sources cannot be taken apart."""
        joins = list(select.args.get("joins") or [])
        if not joins or any(select.args.get(k) for k in ("laterals", "sample")) or select.find(exp.TableColumn):
            return None
        sea = cls.at(select)
        if not sea._bind(joins):
            return None
        sea.bound = list(sea.root)
        for condition in sea.pool:
            sea.connect(condition)
        return sea

    @classmethod
    def at(cls, select: exp.Select) -> Sea:
        """Every item by itself, the conditions of WHERE."""
        items = [select.args["from_"].this, *(select.args.get("joins") or [])]
        names: dict[str, int] = {}
        for index, item in enumerate(items):
            source = item.this if isinstance(item, exp.Join) else item
            names[source.alias_or_name] = index
            names |= {p.alias: index for p in source.args.get("pivots") or [] if p.alias}
        return cls(select, items, names, parts_of(select.args.get("where")), list(range(len(items))))

    def _bind(self, joins: list[exp.Join]) -> bool:
        """Items that only mean something together; the conditions of inner joins go to the pool."""
        sealed = max((i for i, j in enumerate(joins, 1) if j.side in SEALING or j.method), default=0)
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
                self.pool += parts_of(join.args.get("on"))
                continue
            others = {self.names[t] for t in tables_of(join.args.get("on")) if t in self.names} - {index}
            self._union([index, *(others if others and not join.args.get("using") else range(index))])
        return True

    def _union(self, indexes: object) -> None:
        roots = {self.root[i] for i in indexes}  # type: ignore[attr-defined]
        if roots:
            self.root = [min(roots) if r in roots else r for r in self.root]

    def connect(self, condition: exp.Expr) -> None:
        for part in factors(condition) if isinstance(condition.unnest(), exp.Or) else [condition]:
            if isinstance(part, (exp.EQ, exp.NullSafeEQ)) and not has_calls(part) and not is_volatile(part):
                left, right = self.items_of(part.this), self.items_of(part.expression)
                if left and right and not left & right and part.find(exp.Query) is None:
                    self._union(left | right)

    def links(self, condition: exp.Expr) -> bool:
        """Whether it is an equality of two islands that holds a call."""
        if not isinstance(condition, (exp.EQ, exp.NullSafeEQ)) or not has_calls(condition):
            return False
        left, right = ({self.root[i] for i in self.items_of(s)} for s in (condition.this, condition.expression))
        return bool(left and right and not left & right)

    def connect_all(self) -> None:
        """Any condition without calls connects: its pairs are what the call is to be scored over."""
        for condition in self.pool:
            if not has_calls(condition) and not is_volatile(condition):
                self._union(self.items_of(condition))

    def unit(self, call: PredictCall, condition: exp.Expr) -> list[int]:
        """The items that the call needs, where they are one source (or an outer join, which is one)."""
        items = self.items_of(call).union(*(self.items_of(g) for g in self._strict(call, condition)))
        roots = {self.bound[i] for i in items}
        return [i for i, r in enumerate(self.bound) if r in roots] if len(roots) == 1 else []

    def named(self, items: list[int]) -> frozenset[str]:
        return frozenset(name for name, index in self.names.items() if index in items)

    def without(self, unit: list[int]) -> list[list[int]]:
        """The other items, those that equalities connect together."""
        other = Sea(self.select, self.items, self.names, self.pool, list(self.bound))
        for condition in self.pool:
            if not self.items_of(condition) & set(unit):
                other.connect(condition)
        return [part for part in other.islands() if not set(part) & set(unit)]

    def exists(self, part: list[int], unit: list[int], builder: Builder) -> exp.Expr | None:
        """Whether a row of the unit finds rows in the part, or None where that is not said or not simple."""
        mine = [c for c in self.pool if not has_calls(c) and not is_volatile(c) and self.is_own(c)]
        links = [c for c in mine if self.items_of(c) <= {*part, *unit} and self.items_of(c) & set(part)]
        tables = [self.items[i].this if isinstance(self.items[i], exp.Join) else self.items[i] for i in part]
        joined = any(self.items[i].args.get("side") or self.items[i].args.get("kind") in ("SEMI", "ANTI") for i in part)
        simple = all(isinstance(t, exp.Table) and not any(t.args.get(k) for k in ("pivots", "sample")) for t in tables)
        if joined or not simple or not any(self.items_of(c) & set(unit) for c in links):
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

    def items_of(self, node: exp.Expr) -> set[int]:
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
            if self.items_of(c) and self.items_of(c) <= set(island) and self.is_own(c) and not is_volatile(c)
        ]  # fmt: skip

    def movable_calls(self, condition: exp.Expr) -> Iterator[PredictCall]:
        """Outermost calls over rows of FROM; where one is guarded by what cannot move, none."""
        for call in own_calls(condition):
            if call.find_ancestor(PredictCall) is None and self.items_of(call) and self.is_own(call):
                strict = self._strict(call, condition)
                if not is_volatile(call) and all(self.is_own(g) and not is_volatile(g) for g in strict):
                    yield call

    def reach(self, call: PredictCall, condition: exp.Expr) -> set[int]:
        """The islands whose columns a call and the conditions that it must not be evaluated without need."""
        items = self.items_of(call).union(*(self.items_of(g) for g in self._strict(call, condition)))
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
        return self.items_of(node) <= set(island) and self.is_own(node) and not is_volatile(node)

    def _strict(self, call: PredictCall, condition: exp.Expr) -> list[exp.Expr]:
        return [g.condition for g in guards_of(call, condition, lambda _: False) if g.strict]
