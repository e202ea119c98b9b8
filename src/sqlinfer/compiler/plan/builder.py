"""The stages of one node and what is known of their columns, while its query is rewritten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.forms import Form, form_of
from sqlinfer.compiler.plan.reading import reads_of
from sqlinfer.compiler.plan.scans import Emitted, origins_of, others_of, passed_rows, scan_of
from sqlinfer.compiler.plan.sites import Site
from sqlinfer.compiler.scopes.analyse import sources, varies
from sqlinfer.errors import UnsupportedQuery
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Catalog
from sqlinfer.spec.names import output_columns, scored_name, stage_name
from sqlinfer.spec.plan import Call, PlanReads, Result, Scan, Stage


@dataclass(slots=True)
class Builder:
    """Collects the stages of one node while its query is rewritten."""

    catalog: Catalog
    side: str
    """What the node's stages are called."""
    source: Source
    stages: list[Stage] = field(default_factory=list)
    column_types: dict[str, dict[str, str | None]] = field(default_factory=dict)
    """Relation name → its columns' types, for stages and scored relations."""
    pinned_types: dict[str, dict[str, str | None]] = field(default_factory=dict)
    """The same of pinned stages, as far as it is known; their casts do not rest on it."""
    _table_types: dict[Relation, dict[str, str | None]] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    """Scored relations, and stages that read one."""
    names: int = 0
    outputs: int = 0

    def alias(self, prefix: str) -> str:
        """A name that stands nowhere in the query."""
        self.names += 1
        while f"_{prefix}{self.names}" in self.source.sql.casefold():
            self.names += 1
        return f"_{prefix}{self.names}"

    @property
    def form(self) -> Form:
        return form_of(self.catalog)

    def tried(self, node: exp.Expr, call: exp.Expr) -> exp.Expr:
        """An expression that fails gives NULL.

        Raises:
            UnsupportedQuery: the warehouse has no form for that.
        """
        tried = self.form.tried(node)
        if tried is None:
            raise UnsupportedQuery(
                "this call may be evaluated for rows that the query leaves out, and its argument may fail for them",
                hint="put the condition and the argument into a subquery or a CTE of their own",
                location=self.source.locate(call),
            )
        return tried

    def file_stamp(self, column: str, call: exp.Expr) -> exp.Expr:
        """Raises UnsupportedQuery where the warehouse cannot look at files."""
        stamp = self.form.file_stamp(exp.column(column, quoted=True))
        if stamp is None:
            raise UnsupportedQuery(
                f"{self.catalog.dialect} cannot see when a file changes, which the store needs to know",
                hint="set reuse: false for the function: every row is scored then",
                location=self.source.locate(call),
            )
        return stamp

    def relation(self, name: str) -> Relation:
        return replace(self.catalog.namespace, name=name)

    def columns_of(self, site: Site) -> tuple[str, ...]:
        """Where the outputs of a struct lie in the scored relation; empty where it is one column."""
        if not (site.contract.is_struct and self.form.flat_structs):
            return ()
        return output_columns(site.output, len(site.contract.outputs))

    def is_staged(self, table: exp.Table) -> bool:
        return table.name in self.column_types and table.db == (self.catalog.namespace.schema or "")

    def table_types(self, relation: Relation) -> Mapping[str, str | None]:
        """Column of a table of the warehouse, in lower case → its canonical type where that is certain."""
        if relation not in self._table_types:
            found = self.catalog.find(relation)
            columns = found.columns if found is not None else ()
            told = {data_type: canonical_type(data_type, self.form) for data_type in {one.data_type for one in columns}}
            self._table_types[relation] = {one.name.casefold(): told[one.data_type] for one in reversed(columns)}
        return self._table_types[relation]

    def emitted(self, query: exp.Expr) -> Emitted:
        return Emitted(query, self.form.sql(query, pretty=True), self.catalog.dialect)

    def reads(self, emitted: Emitted) -> PlanReads:
        return reads_of(emitted, self.catalog.namespace)

    def scan(self, emitted: Emitted) -> Scan | None:
        found = scan_of(emitted, self.form.row_id)
        mine = replace(self.catalog.namespace, name=found.table.name) if found is not None else None
        # A stage is read as it is: its rows have no ids that anything else knows.
        return replace(found, by_row="") if found is not None and found.table == mine else found

    def result(self, query: exp.Expr, columns: tuple[str, ...]) -> Result:
        """The rest of the query, once all stages are there."""
        emitted = self.emitted(query)
        # A stream is scored by this run as a whole: only look-ups know of earlier runs.
        looked_up = [s for s in self.stages if s.scored and all(call.strategy == "store" for call in s.calls)]
        scored = [stage.scored.name for stage in looked_up if stage.scored]
        return Result(
            emitted.sql,
            columns,
            self.reads(emitted),
            self.scan(emitted),
            passed_rows(emitted, columns, scored),
            tuple(origins_of(query).items()),
            sees_others=others_of(query),
        )

    def reads_scored(self, query: exp.Expr) -> bool:
        """Whether a query depends on predictions: it must then leave the warehouse alone, whose rows were pinned."""
        return any(t.name in self.late for t in query.find_all(exp.Table) if self.is_staged(t))

    def add(
        self,
        select: exp.Query,
        columns: tuple[str, ...],
        calls: tuple[Call, ...] = (),
        pushed: tuple[str, ...] = (),
        untyped: exp.Query | None = None,
    ) -> Stage:
        number = len(self.stages) + 1
        relation = self.relation(stage_name(self.side, number))
        scored = self.relation(scored_name(self.side, number)) if calls else None
        emitted = self.emitted(select)
        stage = Stage(
            name=f"s{number}",
            relation=relation,
            scored=scored,
            sql=emitted.sql,
            columns=columns,
            calls=calls,
            pushed=pushed,
            reproducible=self._reproducible(select),
            untyped=self.form.sql(untyped) if untyped else "",
            reads=self.reads(emitted),
            scan=self.scan(emitted),
        )
        if self.reads_scored(select):
            self.late.add(relation.name)
        if scored is not None:
            self.late.add(scored.name)
        self.stages.append(stage)
        return stage

    def _reproducible(self, select: exp.Expr) -> bool:
        """The whitelist: scans of native tables, filters, joins, projections; no volatile function, file or sample."""
        if varies(select):
            return False
        kinds = (exp.Limit, exp.Offset, exp.TableSample, exp.Window, exp.Group, exp.AggFunc, exp.AnonymousAggFunc,
                 exp.Anonymous, exp.Lateral)  # fmt: skip
        for node in select.find_all(*kinds):
            if isinstance(node, exp.Anonymous) and str(node.this).casefold() in self.form.pure_functions:
                continue
            return False
        distincts = [s for s in select.find_all(exp.Distinct) if s.args.get("on")]
        return not distincts and all(self._native(t) for t in select.find_all(exp.Table))

    def _native(self, table: exp.Table) -> bool:
        if self.is_staged(table):
            return True
        found = self.catalog.find(Relation(table.name, table.db or None, table.catalog or None))
        return found is not None and found.kind == "table"


def column_type(builder: Builder, table: exp.Expr | None, name: str) -> str | None:
    """The canonical type of a source's column, through derived tables, or None where it is not certain."""
    if isinstance(table, exp.Table):
        if builder.is_staged(table):
            return builder.column_types[table.name].get(name)
        return builder.table_types(Relation(table.name, table.db or None, table.catalog or None)).get(name.casefold())
    if isinstance(table, exp.Subquery) and isinstance(table.this, exp.Select):
        inner = next((e for e in table.this.expressions if e.alias_or_name == name), None)
        value = inner.unalias() if inner is not None else None
        if isinstance(value, exp.Column):
            return column_type(builder, sources(table.this).get(value.table), value.name)
        if isinstance(value, exp.Cast):
            return cast_type(value.to, builder.form)
    return None


def cast_type(data_type: exp.DataType, form: Form) -> str | None:
    """Of ``cast(x as t)``; sqlglot's tree of a type is read in the warehouse's spelling."""
    return canonical_type(data_type.sql(form.dialect), form)


def canonical_type(data_type: str, form: Form) -> str | None:
    try:
        return form.canonical(data_type)
    except Exception:  # an engine's own type that sqlglot does not parse is simply not certain
        return None
