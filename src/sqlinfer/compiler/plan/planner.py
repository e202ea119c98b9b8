"""Query with calls → stages and a result: every scope's calls are scored over staged rows, inner scopes first."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from sqlinfer.compiler.forms import Form
from sqlinfer.compiler.plan.builder import Builder
from sqlinfer.compiler.plan.pins import Pins, column_names, is_recursive
from sqlinfer.compiler.plan.sites import Site, filters, has_sites, ordered_conjuncts, sites
from sqlinfer.compiler.plan.stage_names import StageNames
from sqlinfer.compiler.plan.stages import Layer
from sqlinfer.compiler.scopes import correlated, islands, joins
from sqlinfer.compiler.scopes.analyse import (
    calls_in,
    columns_in,
    has_calls,
    inner_aliases,
    is_aggregated,
    is_stable_function,
    own_calls,
    replace_top_down,
    sources,
    tables_of,
    text,
    walk_own,
)
from sqlinfer.compiler.scopes.layers import GROUPS, WINDOWS, levels_of, lift_aggregates, lift_windows
from sqlinfer.compiler.scopes.volatile import hoist, pinned_over_groups
from sqlinfer.errors import UnsupportedQuery
from sqlinfer.spec.function import FunctionContract

_LIMITS = ("limit", "offset")


class Planner:
    """Rewrites one query; what it emits is in ``builder.stages``."""

    def __init__(self, builder: Builder, functions: Mapping[str, FunctionContract]) -> None:
        self.builder = builder
        self.functions = functions
        self.pins = Pins(builder)

    def result(self, query: exp.Query) -> exp.Expr:
        """The query over stages and scored relations only."""
        return self.pins.pin(self.visit(query))

    def visit(self, query: exp.Expr) -> exp.Expr:
        """The query with every call replaced by a column of a scored relation."""
        if query.args.get("with_"):
            query = self._shared(query)
        if not has_calls(query):
            return query
        if isinstance(query, exp.Subquery):
            query.set("this", self.visit(query.this))
            return query
        if isinstance(query, exp.SetOperation):
            query.set("this", self.visit(query.this))
            query.set("expression", self.visit(query.expression))
            return query
        if isinstance(query, exp.Select):
            return self._select(query)
        if isinstance(query, exp.Values):
            return self.visit(_values(query, self.builder.form))
        raise UnsupportedQuery(
            f"predict() cannot stand in {query.key.upper()}", location=self.builder.source.locate(query)
        )

    def _shared(self, query: exp.Expr) -> exp.Expr:
        """CTEs that are read more than once are staged once."""
        clause = query.args["with_"]
        if not has_calls(query):
            return query
        clause.pop()
        later = list(clause.expressions)
        while later:
            cte = later.pop(0)
            if is_recursive(cte, clause):
                self._recursive(cte, [*later, query])
                continue
            body = self.visit(cte.this)
            for place in (*later, query):
                self.pins.shared(place, cte.alias, body, column_names(cte))
        return query

    def _recursive(self, cte: exp.CTE, places: list[exp.Expr]) -> None:
        call = next(iter(calls_in(cte)), None)
        if call is not None:
            raise UnsupportedQuery(
                "predict() cannot stand in a recursive CTE",
                hint="materialise the recursion as a model and predict over it",
                location=self.builder.source.locate(call),
            )
        for place in places:
            self.pins.recursive(place, cte)

    def _select(self, select: exp.Select) -> exp.Expr:
        self._refuse(select)
        islands.separate(select, self.functions, self.builder)
        islands.sides(select, self.builder)
        self._sources(select)
        self._subqueries(select)
        if not has_calls(select):
            return select
        joins.predicates_to_where(select)
        if joins.needs_pairs(select):
            return self.visit(joins.pairs(select, self.builder, self.pins))
        levels = set(levels_of(select).values())
        if WINDOWS in levels and is_aggregated(select):
            return self._select(lift_aggregates(select, self.builder.alias("g")))
        if WINDOWS in levels:
            return self._select(lift_windows(select, self.builder.alias("w")))
        if GROUPS in levels:
            return self._select(lift_aggregates(select, self.builder.alias("g")))
        return self._rows(select) if has_sites(select, self.functions) else select

    def _refuse(self, select: exp.Select) -> None:
        for call in own_calls(select):
            if _reads_parameters(call):
                raise UnsupportedQuery.in_lambda(self.builder.source.locate(call))

    def _sources(self, select: exp.Select) -> None:
        """Score inside FROM first, so that what is read here has plain columns."""
        joins.hoist_into_prefix(select, self.builder)
        joins.precompute_pivots(select, self.builder)
        for source in list(sources(select).values()):
            if isinstance(source, exp.Subquery) and has_calls(source.this):
                source.set("this", self.visit(source.this))
            elif isinstance(source, exp.Values) and has_calls(source):
                columns = source.args["alias"].args.get("columns") or []
                query = _values(source, self.builder.form, [c.name for c in columns])
                alias = exp.TableAlias(this=source.args["alias"].this.copy())
                source.replace(exp.Subquery(this=self.visit(query), alias=alias))
            elif isinstance(source, exp.Unnest) and isinstance(source.parent, exp.From) and has_calls(source):
                source.replace(self._unnested(source))
            elif isinstance(source, exp.Lateral) and has_calls(source.this):
                self._nested(select, source.this)

    def _unnested(self, source: exp.Unnest) -> exp.Subquery:
        """A list with predictions that comes first in FROM is a query of its own."""
        alias = source.args["alias"]
        names = [column.name for column in alias.args.get("columns") or []] or ["unnest"]
        lists = [
            exp.alias_(exp.Explode(this=e.copy()), n, quoted=True)
            for e, n in zip(source.expressions, names, strict=False)
        ]
        query = self.visit(exp.select(*lists, copy=False))
        return exp.Subquery(this=query, alias=exp.TableAlias(this=alias.this.copy()))

    def _subqueries(self, select: exp.Select) -> None:
        for node in list(walk_own(select)):
            if not isinstance(node, exp.Query) or node is select or not has_calls(node):
                continue
            if node.parent is not None and isinstance(node.parent, (exp.From, exp.Join, exp.Lateral)):
                continue
            self._nested(select, node)

    def _nested(self, select: exp.Select, node: exp.Query) -> None:
        """A subquery in an expression: uncorrelated ones are queries of their own."""
        outer = tables_of(node) - inner_aliases(node)
        if not outer:
            node.replace(self.visit(node.copy()))
            return
        names = set(sources(select))
        rest = [c for c in calls_in(node) if not (tables_of(c) and tables_of(c) <= names)]
        if not rest:
            return  # calls over the outer columns only are scored with the outer rows
        correlated.rewrite(select, node, rest, self)

    def _rows(self, select: exp.Select) -> exp.Select:
        """All calls stand over the rows of FROM: score them wave by wave and read the rest from the last wave."""
        select = self._once(select)
        found = sites(select, self.functions, self.builder.outputs + 1)
        self.builder.outputs += len(found)
        alias = self.builder.alias("s")
        # The rows of a stream carry a value of the clock along; a stage by key is made of native columns alone.
        carried = is_aggregated(select) or any(s.contract.strategy == "stream" for s in found)
        constant = None if carried else self.pins.constant
        names = StageNames(self.builder, select, alias, {s.identity: s for s in found}, constant)
        below, above = filters(select)
        waiting = [(c, names.over(c)) for c in ordered_conjuncts(select, self.functions)]
        ordered = {id(c) for c, _ in waiting}
        called = {id(c): {text(p) for p in calls_in(c)} & names.outputs.keys() for c, _ in waiting}
        outer_only = [names.over(c) for c in above if id(c) not in ordered]
        rest = _rest(select, names)
        limited = _limit_below(select, bool(above))
        last = max(s.wave for s in found)
        scored = exp.Table()
        for wave in range(last + 1):
            mine = tuple(s for s in found if s.wave == wave)
            later = [s for s in found if s.wave > wave]
            known = {s.identity for s in found if s.wave < wave}
            ready = [(c, o) for c, o in waiting if called[id(c)] <= known] if wave else []
            passed = {id(c) for c, _ in ready}
            waiting = [(c, o) for c, o in waiting if id(c) not in passed]
            needed = names.needed([rest, *outer_only, *(o for _, o in waiting)], later)
            body = self._first_body(select, below, limited, found) if wave == 0 else _next_body(scored, alias, ready)
            layer = Layer(
                builder=self.builder,
                body=body if wave == 0 else self.pins.pin(body),  # type: ignore[arg-type]
                columns=names.projections(needed, scored if wave else None),
                column_types=names.types(needed),
                sites=mine if wave == 0 else tuple(names.site(s) for s in mine),
                pushed=_pushed(below if wave == 0 else [c for c, _ in ready], limited and wave == 0, select, wave),
            )
            stage = layer.emit()
            assert stage.scored is not None
            scored = stage.scored.expression()
        for condition in [*(o for _, o in waiting), *outer_only]:
            rest.where(condition, copy=False)
        rest.set("from_", exp.From(this=exp.alias_(scored, alias, table=True, quoted=True)))
        for key in _LIMITS if limited else ():
            rest.set(key, None)
        return rest

    def _once(self, select: exp.Select) -> exp.Select:
        """Values that two evaluations may see differently become columns of the rows, or constants."""
        select = hoist(select, self.builder)
        if not self.builder.reads_scored(select):
            return pinned_over_groups(select, self.pins.constant)
        for node in [n for n in walk_own(select) if is_stable_function(n)]:  # later than what read the warehouse
            node.replace(self.pins.constant(node))
        return select

    def _first_body(self, select: exp.Select, below: list[exp.Expr], limited: bool, found: list[Site]) -> exp.Select:
        body = exp.Select()
        for key in ("from_", "joins", "laterals", "sample"):
            if select.args.get(key):
                value = select.args[key]
                body.set(key, [v.copy() for v in value] if isinstance(value, list) else value.copy())
        for condition in below:
            body.where(condition.copy(), copy=False)
        if limited:
            aliases = {e.alias: e.unalias() for e in select.expressions if isinstance(e, exp.Alias)}
            for key in ("order", *_LIMITS):
                if select.args.get(key):
                    body.set(key, _unaliased(select.args[key], aliases))
        if not self.builder.reads_scored(body):
            return body
        names = sources(body)  # what is pinned must hold all that will be selected from it
        used = {text(c): c.copy() for c in columns_in(select) if c.table in names}
        body.set("expressions", list(used.values()))
        pinned = self.pins.pin(body)
        pinned.set("expressions", [])
        return pinned  # type: ignore[return-value]


def _reads_parameters(call: exp.Expr) -> bool:
    """Whether a call depends on the elements of the list around it; else it has one value for the row."""
    names: set[str] = set()
    node: exp.Expr = call
    while node.parent is not None and not isinstance(node, exp.Query):
        parent = node.parent
        if isinstance(parent, exp.Lambda):
            names |= {p.name.casefold() for p in parent.expressions}
        elif isinstance(parent, exp.Comprehension) and node.arg_key != "iterator":
            names |= {i.name.casefold() for k in ("expression", "position") if (i := parent.args.get(k)) is not None}
        node = parent
    return any(
        i.name.casefold() in names and not (isinstance(i.parent, exp.Column) and i.parent.table)
        for i in call.find_all(exp.Identifier)
    )


def _rest(select: exp.Select, names: StageNames) -> exp.Select:
    rest = exp.Select()
    rest.set("expressions", [_kept_name(e, names.over(e)) for e in select.expressions])
    for key in ("distinct", "group", "having", "windows", "qualify", "order", "limit", "offset"):
        if select.args.get(key):
            rest.set(key, names.over(select.args[key]))
    if select.args.get("operation_modifiers"):
        rest.set("operation_modifiers", select.args["operation_modifiers"])
    return rest


def _kept_name(before: exp.Expr, after: exp.Expr) -> exp.Expr:
    if isinstance(after, exp.Alias) or not before.alias_or_name or before.alias_or_name == after.alias_or_name:
        return after
    return exp.alias_(after, before.alias_or_name, quoted=True)


def _limit_below(select: exp.Select, filtered_above: bool) -> bool:
    """Whether LIMIT may stand below the model: nothing between it and the rows depends on a prediction."""
    if not any(select.args.get(k) for k in _LIMITS) or filtered_above:
        return False
    if any(select.args.get(k) for k in ("distinct", "group", "having", "qualify")) or is_aggregated(select):
        return False
    kinds = (exp.Window, exp.Unnest, exp.Explode)
    if any(isinstance(n, kinds) for e in select.expressions for n in walk_own(e)):
        return False
    aliases = {e.alias: e for e in select.expressions}
    order = select.args.get("order")
    if order is None:
        return True
    if has_calls(order) or any(isinstance(o.this, exp.Literal) for o in order.expressions):
        return False
    named = [aliases[c.name] for c in order.find_all(exp.Column) if not c.table and c.name in aliases]
    return not any(has_calls(e) for e in named)


def _unaliased(node: exp.Expr, aliases: dict[str, exp.Expr]) -> exp.Expr:
    return replace_top_down(
        node,
        lambda n: aliases[n.name].copy() if isinstance(n, exp.Column) and not n.table and n.name in aliases else None,
    )


def _next_body(scored: exp.Table, alias: str, ready: list[tuple[exp.Expr, exp.Expr]]) -> exp.Select:
    body = exp.select(copy=False).from_(exp.alias_(scored.copy(), alias, table=True, quoted=True))
    for _, condition in ready:
        body.where(condition.copy(), copy=False)
    return body


def _pushed(conditions: list[exp.Expr], limited: bool, select: exp.Select, wave: int) -> tuple[str, ...]:
    before = select.meta.get(islands.BELOW) if wave == 0 else None
    lines = [f"before the join: {before}"] if before else []
    lines += [f"filter: {c.sql(dialect='duckdb', comments=False)}" for c in conditions]
    if limited:
        for key in ("order", *_LIMITS):
            if select.args.get(key):
                lines.append(select.args[key].sql(dialect="duckdb", comments=False).strip().lower().split(" ", 1)[0]
                             + ": " + select.args[key].sql(dialect="duckdb", comments=False).strip())  # fmt: skip
    return tuple(lines)


def _values(values: exp.Values, form: Form, columns: list[str] | None = None) -> exp.Expr:
    """VALUES (a, b), (c, d) → SELECT a, b UNION ALL SELECT c, d."""
    branches = []
    for row in values.expressions:
        items = row.expressions if isinstance(row, exp.Tuple) else [row.unnest()]
        names = columns or [form.values_column(i) for i in range(len(items))]
        aliased = [exp.alias_(item.copy(), name, quoted=True) for item, name in zip(items, names, strict=False)]
        branches.append(exp.select(*aliased, copy=False))
    whole: exp.Expr = branches[0]
    for branch in branches[1:]:
        whole = exp.Union(this=whole, expression=branch, distinct=False)
    return whole
