"""Emit stages: the rows of a SELECT with the arguments, keys and statuses of its calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.calls.casts import CastArgument, cast_argument, status
from sqlinfer.compiler.calls.fits import fit, is_certain
from sqlinfer.compiler.forms import Form, form_of
from sqlinfer.compiler.forms.base import is_null
from sqlinfer.compiler.plan.reading import reads_of
from sqlinfer.compiler.plan.scans import Emitted, origins_of, others_of, passed_rows, scan_of
from sqlinfer.compiler.plan.sites import Site
from sqlinfer.compiler.scopes.analyse import can_try, columns_in, is_volatile, replace_top_down, sources, text, varies
from sqlinfer.errors import CallError, UnsupportedQuery
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Catalog
from sqlinfer.spec.function import Argument
from sqlinfer.spec.names import OURS, output_columns, scored_name, stage_name
from sqlinfer.spec.plan import Call, PlanReads, Result, Scan, Stage

_MADE: dict[type[exp.Expr], str] = {
    exp.Array: "ANY[]", exp.Struct: "STRUCT", exp.Map: "MAP", exp.VarMap: "MAP", exp.ToMap: "MAP",
    exp.Interval: "INTERVAL", exp.CurrentTimestamp: "TIMESTAMP", exp.CurrentDate: "DATE", exp.CurrentTime: "TIME",
}  # fmt: skip
_CLOCK = {"today": "DATE", "now": "TIMESTAMP", "get_current_time": "TIME", "get_current_timestamp": "TIMESTAMP",
          "current_localtime": "TIME", "current_localtimestamp": "TIMESTAMP"}  # fmt: skip
"""Expressions whose kind of type can be seen; that is enough to know that it never fits."""


_OURS = frozenset({"key", "status", "guard", "raw"})
"""What else of a call a stage may hold, by the end of its column's name."""


_RESERVED = re.compile(rf"_p\d|{OURS}|rowid$", re.IGNORECASE)
"""How our columns of a stage begin, and what hides the id of its rows. The user's are called otherwise there."""


def is_reserved(name: str) -> bool:
    """Whether a column of the user may not have this name in a stage."""
    return _RESERVED.match(name) is not None


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
            told = {data_type: _canonical(data_type, self.form) for data_type in {one.data_type for one in columns}}
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


@dataclass(slots=True)
class Layer:
    """The rows that one wave is scored over: a FROM with filters, and names for the columns taken from it."""

    builder: Builder
    body: exp.Select
    """FROM, joins, WHERE, perhaps ORDER BY and LIMIT; projections are added here."""
    columns: Mapping[str, exp.Expr]
    """Name in the stage → expression over the body, for what the rest of the query needs."""
    column_types: Mapping[str, str | None]
    sites: tuple[Site, ...]
    pushed: tuple[str, ...] = ()
    hidden: set[str] = field(default_factory=set)
    """Columns of the innermost query of the stage that go no further."""
    known: dict[str, str] = field(default_factory=dict)
    """Identity of an expression → its column in the innermost query, where that is handed on."""

    def emit(self) -> Stage:
        """Three nested queries at most: raw arguments and guards; casts and statuses; keys. Trivial ones fall away."""
        self._check_types()
        for name, node in self.columns.items():
            self.known.setdefault(text(node), name)
        raw: dict[str, exp.Expr] = dict(self.columns)
        casts: dict[str, exp.Expr] = {}
        keys: dict[str, exp.Expr] = {}
        calls = []
        for site in self.sites:
            calls.append(self._call(site, raw, casts, keys))
        query, untyped = self._nested(raw, casts, keys), self._untyped(raw)
        stage = self.builder.add(query, tuple(self.columns), tuple(calls), self.pushed, untyped)
        known = dict(self.column_types)
        self.builder.column_types[stage.relation.name] = {n: known.get(n) for n in raw}
        if stage.scored is not None:
            outputs: dict[str, str | None] = {}
            for site in self.sites:
                flat = self.builder.columns_of(site)
                types_of = [o.data_type for o in site.contract.outputs] if flat else [site.contract.return_type]
                outputs |= dict(zip(flat or (site.output,), types_of, strict=True))
            self.builder.column_types[stage.scored.name] = {n: known.get(n) for n in self.columns} | outputs
        return stage

    def _call(
        self, site: Site, raw: dict[str, exp.Expr], casts: dict[str, exp.Expr], keys: dict[str, exp.Expr]
    ) -> Call:
        guard = None
        if site.guard is not None:
            raw[f"{site.output}_guard"] = self._tried(site.guard, site)
            self.hidden.add(f"{site.output}_guard")
            guard = exp.column(f"{site.output}_guard", quoted=True)
        finals: list[tuple[Argument, CastArgument, exp.Expr]] = []
        names: list[str] = []
        own = _column_names(site)
        for argument, value in zip(site.contract.arguments, site.call.expressions, strict=True):
            names.append(self._argument(site, argument, own[argument.name], value, raw, casts, finals))
        state = status(finals, guard)
        status_name = None
        if state is not None:
            status_name = f"{site.output}_status"
            casts[status_name] = state
        key_name = None
        if site.contract.strategy == "store":
            key_name = f"{site.output}_key"
            keys[key_name] = self._key(names, site)
        dialect = self.builder.catalog.dialect
        return Call(
            function=site.contract.name,
            digest=site.contract.digest,
            strategy=site.contract.strategy,
            arguments=tuple(names),
            output=site.output,
            key=key_name,
            status=status_name,
            sql=self.builder.source.quote(site.call, dialect),
            guards=(site.guard.sql(dialect=dialect),) if site.guard is not None else (),
            columns=self.builder.columns_of(site),
        )

    def _argument(
        self,
        site: Site,
        argument: Argument,
        own: str,
        value: exp.Expr,
        raw: dict[str, exp.Expr],
        casts: dict[str, exp.Expr],
        finals: list[tuple[Argument, CastArgument, exp.Expr]],
    ) -> str:
        """Add what one argument needs, in column ``own`` where the stage has none; the name of its final column."""
        given = self._given(site, argument, value)
        plain = (
            site.guard is None and fit(given, argument.data_type) == "same" and argument.on_null in ("null", "error")
        )
        if plain:
            name = self.known.setdefault(text(value), own)
            if name not in raw:
                raw[name] = value.copy()
            column = exp.column(name, quoted=True)
            finals.append((argument, cast_argument(column, argument, given, self.builder.form), column))
            return name
        source_name, name = f"{own}_raw", own
        self.hidden.add(source_name)
        tried = self._tried(value, site)
        raw[source_name] = tried if site.guard is None else exp.case().when(self._tried(site.guard, site), tried)
        column = exp.column(source_name, quoted=True)
        cast = cast_argument(column, argument, given, self.builder.form)
        final = cast.value
        if site.guard is not None and argument.on_null in ("default", "nan"):
            final = exp.case().when(exp.column(f"{site.output}_guard", quoted=True), final.copy())
        casts[name] = final
        finals.append((argument, cast, final))
        return name

    def _tried(self, node: exp.Expr, site: Site) -> exp.Expr:
        """NULL instead of an error where SQL might not have evaluated the expression."""
        risky = site.partial and can_try(node) and not is_volatile(node)
        return self.builder.tried(node, site.call) if risky else node.copy()

    def _key(self, names: list[str], site: Site) -> exp.Expr:
        form, contract = self.builder.form, site.contract
        pairs: list[tuple[exp.Expr, str]] = [
            (exp.column(name, quoted=True), argument.data_type)
            for name, argument in zip(names, contract.arguments, strict=True)
        ]
        known = exp.and_(*[exp.not_(is_null(column)) for column, _ in pairs])
        for name, argument in zip(names, contract.arguments, strict=True):
            if argument.name == contract.file_argument:  # what is scored is the file, not its name
                pairs.append((self.builder.file_stamp(name, site.call), "TEXT"))
        return exp.case().when(known, form.key(pairs))

    def _given(self, site: Site, argument: Argument, value: exp.Expr) -> str | None:
        """The type of what a call is given, from the query or, where that does not tell, from the warehouse."""
        seen = self._type(value)
        told = self.builder.catalog.arguments.get(f"{site.output}.{argument.name}")
        return seen if told is None or is_certain(seen) else _canonical(told, self.builder.form)

    def _type(self, value: exp.Expr) -> str | None:
        """The canonical type of an argument where it is certain: columns, casts and literals."""
        node = value.unnest()
        if isinstance(node, exp.Column):
            return self._column_type(node)
        if isinstance(node, (exp.Cast, exp.TryCast)):
            return _cast_type(node.to, self.builder.form)
        if isinstance(node, exp.Literal):
            return "TEXT" if node.is_string else ("INT" if node.is_int and abs(int(node.this)) < 2**31 else None)
        if isinstance(node, exp.Anonymous):
            return _CLOCK.get(str(node.name).casefold())
        return next((name for kind, name in _MADE.items() if isinstance(node, kind)), None)

    def _column_type(self, column: exp.Column) -> str | None:
        table = sources(self.body).get(column.table)
        return column_type(self.builder, table, column.name)

    def _check_types(self) -> None:
        for site in self.sites:
            for argument, value in zip(site.contract.arguments, site.call.expressions, strict=True):
                given = self._given(site, argument, value)
                if fit(given, argument.data_type) == "never":
                    ours = any(column.table.startswith("_") for column in columns_in(value))
                    shown = None if ours else value.sql(dialect="duckdb", comments=False)
                    raise CallError.never_fits(
                        site.contract.name, argument.name, argument.data_type, shown, str(given),
                        self.builder.source.locate(site.call),
                    )  # fmt: skip

    def _untyped(self, raw: Mapping[str, exp.Expr]) -> exp.Select | None:
        """The arguments whose type is not certain, named ``<output>.<argument>``."""
        unsure = {
            f"{site.output}.{argument.name}": raw[f"{own}_raw"]
            for site in self.sites
            for argument, own, value in zip(
                site.contract.arguments, _column_names(site).values(), site.call.expressions, strict=True
            )
            if f"{own}_raw" in raw and not is_certain(self._given(site, argument, value))
        }
        if not unsure:
            return None
        query = self.body.copy()
        query.set("expressions", _aliased(unsure))
        return query

    def _nested(self, raw: dict[str, exp.Expr], casts: dict[str, exp.Expr], keys: dict[str, exp.Expr]) -> exp.Select:
        query = self.body.copy()
        if not casts and all(isinstance(e, exp.Column) for e in raw.values()):
            keys = {name: _over(node, raw) for name, node in keys.items()}
            query.set("expressions", _aliased(raw | keys) or [exp.alias_(exp.Literal.number(1), "_", quoted=True)])
            return query
        query.set("expressions", _aliased(raw) or [exp.alias_(exp.Literal.number(1), "_", quoted=True)])
        hidden = self.hidden
        if casts:
            kept = [exp.column(n, quoted=True) for n in raw if n not in hidden]
            query = exp.select(*kept, *_aliased(casts), copy=False).from_(query.subquery("_raw", copy=False))
        if keys:
            kept = [exp.column(n, quoted=True) for n in (*(n for n in raw if n not in hidden), *casts)]
            query = exp.select(*kept, *_aliased(keys), copy=False).from_(query.subquery("_cast", copy=False))
        return query


def _column_names(site: Site) -> dict[str, str]:
    """Argument → its column in the stage, which meets neither another argument's nor what else is ours."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for argument in site.contract.arguments:
        name = argument.name
        while name.casefold() in taken or name.casefold() in _OURS or name.casefold().endswith("_raw"):
            name += "_"
        taken.add(name.casefold())
        names[argument.name] = f"{site.output}_{name}"
    return names


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
            return _cast_type(value.to, builder.form)
    return None


def _cast_type(data_type: exp.DataType, form: Form) -> str | None:
    """Of ``cast(x as t)``; sqlglot's tree of a type is read in the warehouse's spelling."""
    return _canonical(data_type.sql(form.dialect), form)


def _canonical(data_type: str, form: Form) -> str | None:
    try:
        return form.canonical(data_type)
    except Exception:  # an engine's own type that sqlglot does not parse is simply not certain
        return None


def _aliased(columns: Mapping[str, exp.Expr]) -> list[exp.Expr]:
    return [exp.alias_(node.copy(), name, quoted=True) for name, node in columns.items()]


def _over(node: exp.Expr, columns: Mapping[str, exp.Expr]) -> exp.Expr:
    """Column names of this query replaced by what they stand for."""
    return replace_top_down(
        node,
        lambda n: columns[n.name].copy() if isinstance(n, exp.Column) and not n.table and n.name in columns else None,
    )
