"""Columns of a SELECT's sources under the names that they have in its stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import PredictCall
from sqlinfer.compiler.plan.builder import Builder, column_type
from sqlinfer.compiler.plan.sites import Site
from sqlinfer.compiler.plan.stages import is_reserved
from sqlinfer.compiler.scopes.analyse import columns_in, replace_top_down, sources, text
from sqlinfer.compiler.scopes.volatile import pinned_by_row


class StageNames:
    """What the columns of a SELECT's sources are called in its stages, and how expressions read over them."""

    def __init__(
        self,
        builder: Builder,
        select: exp.Select,
        alias: str,
        outputs: dict[str, Site],
        constant: Callable[[exp.Expr], exp.Expr] | None,
    ) -> None:
        self.builder = builder
        self.constant = constant
        self.alias = alias
        self.outputs = outputs
        self.sources = sources(select)
        self.columns: dict[str, exp.Expr] = {}
        self._taken: dict[tuple[str, str], str] = {}
        self._folded: set[str] = set()
        self._moved: dict[str, Site] = {}
        self._reads: dict[int, tuple[exp.Expr, tuple[str, ...]]] = {}

    def over(self, node: exp.Expr) -> exp.Expr:
        """The expression over the scored relation: calls and source columns become its columns."""
        return replace_top_down(node, self._column)

    def _column(self, node: exp.Expr) -> exp.Expr | None:
        if isinstance(node, exp.Dot) and isinstance(node.this.unnest(), PredictCall):
            site = self.outputs.get(text(node.this.unnest()))
            if site is not None and self.builder.columns_of(site):
                return self._flat(site)[node.expression.name.casefold()]
        if isinstance(node, PredictCall) and text(node) in self.outputs:
            site = self.outputs[text(node)]
            if self.builder.columns_of(site):
                columns = self._flat(site).values()
                names = (output.name for output in site.contract.outputs)
                return self.builder.form.struct(dict(zip(names, columns, strict=True)))
            return exp.column(site.output, table=self.alias, quoted=True)
        if isinstance(node, exp.Column) and node.table in self.sources:
            return exp.column(self._name(node, node.table, node.name), table=self.alias, quoted=True)
        if pinned_by_row(node):
            captured = node.find_ancestor(exp.Lambda, exp.Comprehension) is not None  # which take no subquery
            if self.constant is not None and not captured:
                return self.constant(node)
            return exp.column(self._name(node, "", text(node), "now"), table=self.alias, quoted=True)
        return None

    def _flat(self, site: Site) -> dict[str, exp.Column]:
        """Folded name of a field → its column."""
        pairs = zip(site.contract.outputs, self.builder.columns_of(site), strict=True)
        return {o.name.casefold(): exp.column(name, table=self.alias, quoted=True) for o, name in pairs}

    def _name(self, node: exp.Expr, table: str, identity: str, wanted: str = "") -> str:
        if (table, identity) not in self._taken:
            wanted = wanted or identity
            name, number = wanted, 2
            while name.casefold() in self._folded or is_reserved(name):
                name, number = f"{table}_{wanted}_{number}".lstrip("_"), number + 1
            self._folded.add(name.casefold())
            self._taken[table, identity] = name
            self.columns[name] = node.copy()
        return self._taken[table, identity]

    def site(self, site: Site) -> Site:
        """A later wave's call, its arguments and guard over the wave before."""
        if site.identity not in self._moved:
            self._moved[site.identity] = self._site(site)
        return self._moved[site.identity]

    def _site(self, site: Site) -> Site:
        call = PredictCall(this=site.call.this, expressions=[self.over(e) for e in site.call.expressions])
        call.meta.update(site.call.meta)
        guard = self.over(site.guard) if site.guard is not None else None
        return replace(site, call=call, guard=guard)

    def needed(self, places: list[exp.Expr], later: list[Site]) -> tuple[str, ...]:
        """Names that the rest of the query and later waves read, in order of first use."""
        for site in later:
            moved = self.site(site)
            places += [*moved.call.expressions, *([moved.guard] if moved.guard is not None else [])]
        return tuple(dict.fromkeys(name for place in places for name in self._read(place)))

    def _read(self, place: exp.Expr) -> tuple[str, ...]:
        if id(place) not in self._reads:
            found = tuple(c.name for c in columns_in(place) if c.table == self.alias)
            self._reads[id(place)] = (place, found)  # kept, so that no other node gets its id
        return self._reads[id(place)][1]

    def projections(self, needed: tuple[str, ...], scored: exp.Table | None) -> dict[str, exp.Expr]:
        """What a wave takes from the rows, or from the wave before."""
        if scored is None:
            return {n: self.columns[n] for n in needed if n in self.columns}
        known = self.builder.column_types[scored.name]
        mine = {name for site in self.outputs.values() for name in self.builder.columns_of(site) or (site.output,)}
        done = {n for n in needed if n in self.columns} | (set(known) & mine)
        return {n: exp.column(n, table=self.alias, quoted=True) for n in needed if n in done}

    def types(self, needed: tuple[str, ...]) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for name in needed:
            column = self.columns.get(name)
            if isinstance(column, exp.Column):
                found[name] = column_type(self.builder, self.sources.get(column.table), column.name)
        return found
