"""What the rest of a query reads besides scored rows is staged too, so that all of it is one moment."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from sqlinfer.compiler.plan.builder import Builder, column_type
from sqlinfer.compiler.scopes.analyse import (
    columns_in,
    has_calls,
    inner_aliases,
    is_stable_function,
    is_volatile,
    tables_of,
    text,
)


class Pins:
    """Replaces parts of queries by stages without calls; equal parts are staged once."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self._known: dict[str, exp.Table] = {}
        self._ctes: dict[str, exp.Table] = {}

    def pin(self, query: exp.Expr) -> exp.Expr:
        """The query, reading stages only: whole predict-free subqueries where possible, else single tables."""
        holder = exp.Paren(this=query)
        if not self._reads_warehouse(query):
            return self._released(holder)
        self._stage_ctes(holder)
        self._branches(holder.this)
        self._stage_subqueries(holder)
        for inner in list(holder.find_all(exp.Select, exp.SetOperation)):
            if inner is not holder.this and self._expression_query(inner, holder):
                inner.replace(self._read_all(inner))
        self._stage_tables(holder)
        return self._released(holder)

    def _released(self, holder: exp.Paren) -> exp.Expr:
        self._stage_constants(holder)
        result: exp.Expr = holder.this
        result.pop()
        return result

    def pin_inside(self, select: exp.Select) -> None:
        """Let everything inside a SELECT that stays where it is read stages."""
        self._stage_ctes(select)
        self._stage_subqueries(select)
        self._stage_tables(select)
        self._stage_constants(select)

    def constant(self, node: exp.Expr) -> exp.Expr:
        """A value that is the same for the whole query, as the statement saw it that read the warehouse."""
        relation = self.materialise(exp.select(exp.alias_(node.copy(), "v", quoted=True), copy=False))
        alias = self.builder.alias("k")
        value = exp.select(exp.column("v", table=alias, quoted=True), copy=False)
        return exp.Subquery(this=value.from_(exp.alias_(relation, alias, table=True, quoted=True), copy=False))

    def materialise(self, query: exp.Expr, cte: str = "") -> exp.Table:
        """A stage of a whole query; the same text is staged once, but two coins of one text are two coins."""
        identity = text(query)
        if is_volatile(query):
            identity = f"{cte or len(self._known)}: {identity}"
        if identity not in self._known:
            bare = self.pin(query.copy()) if self.builder.reads_scored(query) else query
            assert isinstance(bare, exp.Query)
            names = [e.alias_or_name for e in query.selects]  # type: ignore[attr-defined]
            stage = self.builder.add(bare, tuple(names))
            self.builder.column_types[stage.relation.name] = dict.fromkeys(names)
            whole = exp.Subquery(this=bare.copy())
            self.builder.pinned_types[stage.relation.name] = {n: column_type(self.builder, whole, n) for n in names}
            self._known[identity] = stage.relation.expression()
        return self._known[identity].copy()

    def shared(self, place: exp.Expr, name: str, body: exp.Expr, columns: Sequence[str] = ()) -> None:
        """Let every reference to a CTE read its stage."""
        references = [t for t in place.find_all(exp.Table) if t.name == name and not t.db]
        if not references:
            return
        relation = self.materialise(_renamed(body, columns), cte=name)
        for table in references:
            replacement = relation.copy()
            replacement.set(
                "alias", table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(name, quoted=True))
            )
            for key in ("joins", "pivots", "sample"):
                replacement.set(key, table.args.get(key))
            table.replace(replacement)

    def recursive(self, place: exp.Expr, cte: exp.CTE) -> None:
        """A recursive CTE without calls becomes a stage that holds the WITH RECURSIVE clause."""
        whole = exp.select(*[exp.column(n, quoted=True) for n in _outputs(cte)], copy=False)
        whole.from_(exp.table_(cte.alias, quoted=True), copy=False)
        whole.set("with_", exp.With(expressions=[cte.copy()], recursive=True))
        self.shared(place, cte.alias, whole)

    def _reads_warehouse(self, node: exp.Expr) -> bool:
        return any(not self.builder.is_staged(t) for t in node.find_all(exp.Table))

    def _branches(self, query: exp.Expr) -> None:
        """A branch of UNION without predictions is staged as a whole."""
        if not isinstance(query, exp.SetOperation):
            return
        for side in (query.this, query.expression):
            if isinstance(side, exp.SetOperation):
                self._branches(side)
            elif isinstance(side, exp.Select) and self._pure(side) and not side.args.get("with_"):
                side.replace(self._read_all(side))

    def _pure(self, node: exp.Expr) -> bool:
        if has_calls(node):
            return False
        return self._reads_warehouse(node) and not any(self.builder.is_staged(t) for t in node.find_all(exp.Table))

    def _stage_ctes(self, holder: exp.Expr) -> None:
        for clause in reversed(list(holder.find_all(exp.With))):
            owner, later = clause.parent, list(clause.expressions)
            if owner is None or has_calls(clause) or tables_of(clause) - inner_aliases(clause):
                continue
            clause.pop()
            while later:
                cte = later.pop(0)
                for place in (*later, owner):
                    if is_recursive(cte, clause):
                        self.recursive(place, cte)
                    else:
                        self.shared(place, cte.alias, cte.this, column_names(cte))

    def _stage_subqueries(self, holder: exp.Expr) -> None:
        for node in list(holder.find_all(exp.Subquery)):
            if self._stageable(node, holder):
                self._stage_subquery(node)

    def _stage_constants(self, holder: exp.Expr) -> None:
        for node in list(holder.walk()):
            if is_stable_function(node) and _attached(node, holder):
                node.replace(self.constant(node))

    def _stage_tables(self, holder: exp.Expr) -> None:
        for table in list(holder.find_all(exp.Table)):
            if not self.builder.is_staged(table) and _attached(table, holder):
                self._stage_table(table, holder)

    def _stageable(self, node: exp.Subquery, holder: exp.Expr) -> bool:
        if not isinstance(node.parent, (exp.From, exp.Join)) or not _attached(node, holder):
            return False
        return self._pure(node) and not (tables_of(node.this) - inner_aliases(node.this))

    def _stage_subquery(self, node: exp.Subquery) -> None:
        relation = self.materialise(node.this)
        for key in ("alias", "pivots", "sample", "joins"):
            relation.set(key, node.args.get(key))
        node.replace(relation)

    def _expression_query(self, node: exp.Expr, holder: exp.Expr) -> bool:
        """A whole uncorrelated subquery of an expression."""
        if not _attached(node, holder) or isinstance(node.parent, (exp.SetOperation, exp.From, exp.Join)):
            return False
        if isinstance(node.parent, exp.Subquery) and isinstance(node.parent.parent, (exp.From, exp.Join)):
            return False
        if node.find_ancestor(exp.Select) is None:
            return False
        return self._pure(node) and not (tables_of(node) - inner_aliases(node))

    def _read_all(self, query: exp.Expr) -> exp.Select:
        relation = self.materialise(query)
        alias = self.builder.alias("r")
        names = list(dict.fromkeys(e.alias_or_name for e in query.selects))  # type: ignore[attr-defined]
        columns = [exp.alias_(exp.column(n, table=alias, quoted=True), n, quoted=True) for n in names]
        return exp.select(*columns, copy=False).from_(exp.alias_(relation, alias, table=True, quoted=True))

    def _stage_table(self, table: exp.Table, holder: exp.Expr) -> None:
        alias = table.alias_or_name
        used = list(dict.fromkeys(c.name for c in columns_in(holder) if c.table == alias))
        source = table.copy()
        for key in ("joins", "pivots"):
            source.set(key, None)
        columns = [exp.alias_(exp.column(n, table=alias, quoted=True), n, quoted=True) for n in used]
        if table.args.get("pivots"):
            columns = [exp.Star()]
        query = exp.select(*(columns or [exp.alias_(exp.Literal.number(1), "_", quoted=True)]), copy=False).from_(
            source
        )
        relation = self.materialise(query)
        for key in ("alias", "joins", "pivots"):
            relation.set(key, table.args.get(key))
        if not relation.alias:
            relation.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
        table.replace(relation)


def is_recursive(cte: exp.CTE, clause: exp.With) -> bool:
    if not clause.args.get("recursive"):
        return False
    return any(t.name == cte.alias and not t.db for t in cte.find_all(exp.Table))


def column_names(cte: exp.CTE) -> list[str]:
    return [c.name for c in cte.args["alias"].args.get("columns") or []]


def _renamed(body: exp.Expr, columns: Sequence[str]) -> exp.Expr:
    """``with c(a, b) as (select x, y)``: the columns of the stage are a and b."""
    if not columns or [e.alias_or_name for e in body.selects][: len(columns)] == list(columns):  # type: ignore[attr-defined]
        return body
    inner = exp.Subquery(
        this=body,
        alias=exp.TableAlias(
            this=exp.to_identifier("_c"), columns=[exp.to_identifier(c, quoted=True) for c in columns]
        ),
    )
    names = [*columns, *[e.alias_or_name for e in body.selects][len(columns) :]]  # type: ignore[attr-defined]
    return exp.select(*[exp.column(n, table="_c", quoted=True) for n in names], copy=False).from_(inner)


def _outputs(cte: exp.CTE) -> list[str]:
    return column_names(cte) or [e.alias_or_name for e in cte.this.selects]


def _attached(node: exp.Expr, holder: exp.Expr) -> bool:
    """Whether an earlier replacement has not already taken the node out of the tree."""
    current: exp.Expr | None = node
    while current is not None and current is not holder:
        current = current.parent
    return current is holder
