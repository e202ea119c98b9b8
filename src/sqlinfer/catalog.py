"""The I/O that compiling needs: which relations exist, their columns, what nodes that are not built yet will have.

``ProjectCompiler`` compiles nodes in topological order. Each compiled node enters a shadow database as an empty table,
so that the next one finds its columns and types before anything is built.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace

from sqlinfer.adapters.base import Adapter, ShadowDatabase
from sqlinfer.compiler.calls import Source, may_call
from sqlinfer.compiler.column_lineage import column_lineage
from sqlinfer.compiler.compile import compile_query, reads, without_predictions
from sqlinfer.compiler.hooks import NONE, Hooks, refuse_late, render_hooks
from sqlinfer.compiler.lower import lowered
from sqlinfer.compiler.parameters import Parameters, moved_places, with_parameters
from sqlinfer.compiler.parse import check_depth
from sqlinfer.compiler.reading import relations_of
from sqlinfer.compiler.render import RenderedNode, RenderFlags, external_sql, render, render_inline
from sqlinfer.compiler.said import mentioned
from sqlinfer.errors import (
    AdapterError,
    ColumnError,
    CompileError,
    Location,
    SqlinferError,
    StatementRefused,
    did_you_mean,
)
from sqlinfer.plan_memory import Plans, Text, Watched, columns_of, digest, facts, place_of, told_of, words_of
from sqlinfer.project import Node, Project
from sqlinfer.project.remembered import versions
from sqlinfer.project.ways import with_way
from sqlinfer.project.witness import watching
from sqlinfer.relation import Relation, fold, quote, side_name
from sqlinfer.spec.catalog import Catalog, Column, Table
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.lineage import ColumnLineage
from sqlinfer.spec.plan import Call, Plan, Stage
from sqlinfer.spec.window import Window

_PIVOT = re.compile(r"\bpivot", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CompiledNode:
    plan: Plan
    rendered: RenderedNode
    columns: tuple[Column, ...]
    """Names and types of the result, as the warehouse gives them."""
    unique_key: tuple[str, ...] = ()
    """As the result spells its columns."""
    published: tuple[Column, ...] | None = None
    """Columns of the table that is there already; None where there is none."""
    hooks: Hooks = NONE
    lineage: tuple[ColumnLineage, ...] = ()
    """Of a plan that scores."""

    @property
    def is_slice(self) -> bool:
        return self.rendered.is_slice


@dataclass(frozen=True, slots=True)
class _Instead(Mapping[str, FunctionContract]):
    """Some contracts in the place of those that are known; none is read before it is asked for."""

    others: Mapping[str, FunctionContract]
    known: Mapping[str, FunctionContract]

    def __getitem__(self, name: str) -> FunctionContract:
        return self.others[name] if name in self.others else self.known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)


@dataclass(slots=True)
class ProjectCompiler:
    """Opened by ``open_compiler``. Keeps what it learns: tables of the warehouse, columns of compiled nodes."""

    project: Project
    adapter: Adapter
    shadow: ShadowDatabase
    contracts: Mapping[str, FunctionContract]
    full_refresh: bool = False
    empty: bool = False
    run: Mapping[str, object] = field(default_factory=dict)
    """What hooks know of the run: ``invocation_id``, ``run_started_at``."""
    """No row is read: the plans have the columns and nothing else, and what is published loses nothing."""
    window: Window | None = None
    """The slice of a backfill: nodes are slices of their tables, which need not be there."""
    existing: dict[Relation, Table] = field(default_factory=dict)
    """Relations of the warehouse by folded full name, columns filled in."""
    _compiled: dict[str, CompiledNode] = field(default_factory=dict)
    _tables: dict[Relation, Table] = field(default_factory=dict)
    _functions: dict[str, tuple[Column, ...]] = field(default_factory=dict)
    _shadowed: set[Relation] = field(default_factory=set)
    _files: dict[str, Relation] = field(default_factory=dict)
    """External nodes compiled so far: the literal that their ref renders to → their shadow table."""
    _watched: Watched = field(init=False)
    plans: Plans | None = None
    """What was compiled before."""
    _names: dict[str, dict[Relation, None]] = field(default_factory=dict)
    """Folded name → relations that are called so, by their folded full names."""
    _asked: bool = False
    """Whether the warehouse itself was asked about the node in hand: it may say something else next time."""

    def __post_init__(self) -> None:
        self.contracts = self._watched = Watched(self.contracts)
        for folded in self.existing:
            self._names.setdefault(folded.name, {})[folded] = None

    def compile(self, node: Node, *, limit: int | None = None) -> CompiledNode:
        """The plan of a model against the warehouse and the nodes compiled so far.

        Raises:
            CompileError, RenderError: with the place in the node's file.
        """
        incremental = self._is_incremental(node)
        compiled = self._remembered(node, incremental, limit)
        key = resolved_key(node, compiled.columns)
        there = self.existing.get(self._full(node.relation).folded())
        published = there.columns if there is not None and there.kind == "table" else None
        hooks = render_hooks(node, self.project, is_incremental=incremental, flags=self._flags, extra=self.run)
        if compiled.plan.stages:
            refuse_late(hooks, node, compiled.plan.sql, self.adapter.dialect)
        compiled = replace(compiled, unique_key=key, published=published, hooks=hooks)
        self._learn(node, compiled)
        return compiled

    def with_others(self, node: Node, others: Mapping[str, FunctionContract], unique_id: str) -> Plan:
        """The plan of a compiled node with other functions behind names that its SQL calls; ``unique_id``: its owner.

        Nothing is learnt or remembered of it.
        """
        kept, self.contracts = self.contracts, _Instead(others, self.contracts)
        try:
            rendered = render(node, self.project, is_incremental=self._is_incremental(node), flags=self._flags)
            with self._showing_ways():
                return self._planned(rendered, node.name, None, unique_id).plan
        finally:
            self.contracts = kept

    def _remembered(self, node: Node, incremental: bool, limit: int | None) -> CompiledNode:
        plans = self.plans if limit is None and not self.empty and self.window is None else None
        if plans is None:
            return self._anew(node, incremental, limit)
        made_of = {"incremental": incremental, "full_refresh": self.full_refresh, "node": told_of(node)}
        found = plans.recall(node, made_of, self._reads)
        if found is None:
            self._asked, opened = False, set[str]()
            with watching() as witness, self._watched.watching(opened):
                found = self._anew(node, incremental, limit)
            witness.fleeting = witness.fleeting or self._asked
            plans.keep(node, made_of, self._reads, found, witness, opened)
        return found

    def _anew(self, node: Node, incremental: bool, limit: int | None) -> CompiledNode:
        rendered = render(node, self.project, is_incremental=incremental, flags=self._flags)
        if self.empty:  # a view reads nothing by itself, and would stay empty
            rendered, limit = replace(rendered, is_slice=True), None if node.config.materialized == "view" else 0
        with self._showing_ways():
            return self._planned(rendered, node.name, limit, node.unique_id)

    def _reads(self, text: Text) -> list[object] | None:
        """What a query reads, as it is now; None: that cannot be told."""
        words, known = text.words, (self.project.nodes, self.project.sources)
        lost = any(uid not in here for here, ids in zip(known, (text.refs, text.sources), strict=True) for uid in ids)
        if lost or any(macro.relation.name.casefold() in words for macro in self.shadow.macros):
            return None
        for uid in text.refs:
            self._make_known(uid)
        nodes = [self.project.nodes[uid] for uid in text.refs]
        ephemeral = any(node.config.materialized == "ephemeral" for node in nodes)
        every = self.project.nodes.values()
        return [
            [told_of(node) for node in every if node.config.materialized == "ephemeral"] if ephemeral else [],
            [place_of(node) for node in (every if ephemeral else nodes)],
            [repr(self.project.sources[uid].relation) for uid in text.sources],
            sorted(columns_of(self.catalog_tables(words))),
            [name for name in self.contracts if name.casefold() in words],
            [repr(self.contracts[name]) for name in text.functions],
        ]

    def catalog_tables(self, words: Collection[str]) -> list[Table]:
        """The relations that are called like one of the words."""
        keys = [folded for word in words for folded in self._names.get(word, ())]
        return [self._tables.get(key) or self.existing[key] for key in keys]

    def named(self, item: CompiledNode) -> tuple[str, ...]:
        """The relations of the warehouse that a plan names, for people."""
        plan = item.plan
        if plan.stages or self.plans is None:
            return relations_of(plan)
        return self.plans.named(plan.unique_id, plan.result.sql, lambda _: relations_of(plan))

    def inline(
        self, sql: str, *, limit: int | None = None, name: str = "inline_query", params: Parameters | None = None
    ) -> CompiledNode:
        """The plan of SQL that stands in no file (``--inline``, ``connect().sql``)."""
        rendered = render_inline(sql, self.project, flags=self._flags)
        with self._showing_ways():
            filled = with_parameters(rendered, params, self.adapter.dialect)
            return self._planned(filled, name, limit, asked=rendered)

    @contextmanager
    def _showing_ways(self) -> Iterator[None]:
        try:
            yield
        except SqlinferError as error:
            raise with_way(error, self.project) from error.__cause__

    @property
    def _flags(self) -> RenderFlags:
        return RenderFlags(full_refresh=self.full_refresh, window=self.window)

    def _is_incremental(self, node: Node) -> bool:
        if node.config.materialized != "incremental":
            return False
        if self.window is not None:
            return True
        refresh = self.full_refresh if node.config.full_refresh is None else node.config.full_refresh
        found = self.existing.get(self._full(node.relation).folded())
        return not refresh and found is not None and found.kind == "table"

    def _planned(
        self,
        rendered: RenderedNode,
        name: str,
        limit: int | None,
        unique_id: str = "",
        asked: RenderedNode | None = None,
    ) -> CompiledNode:
        source = Source(rendered.sql, rendered.path, rendered.locate)
        if may_call(rendered.sql, self.contracts):
            check_depth(source, self.adapter.dialect)
            names = self.shadow.result_names((asked or rendered).sql)
            source = replace(source, names=names if asked is None else moved_places(names, asked, rendered))
        self._look_up(source, rendered)
        source, catalog = lowered(source, self.catalog(), self._port)
        catalog = self._with_table_functions(source, catalog)
        bare = self._without_files(without_predictions(source, catalog))
        try:
            columns = self._described(bare, catalog)
        except AdapterError as error:
            raise self._explained(error, source, catalog, name, bare) from error
        side = side_name(unique_id) if unique_id else ""
        plan = compile_query(source, catalog, node=name, output=columns, limit=limit, side=side)
        if any(stage.untyped for stage in plan.stages):
            catalog = replace(catalog, arguments=self._argument_types(plan))
            plan = compile_query(source, catalog, node=name, output=columns, limit=limit, side=side)
        lineage = column_lineage(plan, self.contracts) if plan.stages and unique_id else ()
        return CompiledNode(
            replace(plan, unique_id=unique_id), rendered, self._published(bare, columns), lineage=lineage
        )

    @property
    def _port(self) -> _Asked:
        def asked() -> None:
            self._asked = True

        return _Asked(self.shadow, self.adapter, asked)

    def _described(self, sql: str, catalog: Catalog) -> tuple[Column, ...]:
        """Of a query without calls the warehouse itself may know more than its shadow: sequences, types, extensions."""
        if may_call(sql, catalog.functions):
            return self.shadow.describe(sql)
        try:
            columns = self.shadow.describe(sql)
        except StatementRefused as error:
            if error.unknown_name:
                self._asked = True
                with suppress(AdapterError):
                    return self.adapter.describe(sql)
            raise
        return self._port.describe_rows(sql) if _PIVOT.search(sql) else columns

    def _published(self, bare: str, columns: tuple[Column, ...]) -> tuple[Column, ...]:
        """The columns as a table has them: a result may repeat a name, a table numbers the second one."""
        names = {column.name.casefold() for column in columns}
        return columns if len(names) == len(columns) else self.shadow.describe(f"select * from (\n{bare}\n) as _named")

    def _argument_types(self, plan: Plan) -> dict[str, str]:
        """The warehouse's types of what the compiler was not sure of, as far as its stages can be described."""
        found: dict[str, str] = {}
        with suppress(AdapterError):  # a stage's own error comes when it is run
            for stage in plan.stages:
                if stage.untyped:
                    described = self.shadow.describe(self._without_files(stage.untyped))
                    found |= {column.name: column.data_type for column in described}
                self._shadow_stage(stage)
        return found

    def _shadow_stage(self, stage: Stage) -> None:
        """What later stages read of this one."""
        columns = self.shadow.describe(self._without_files(stage.sql))
        self.shadow.add_table(stage.relation, columns)
        if stage.scored is not None:
            kept = [column for column in columns if column.name in stage.columns]
            outputs = [column for call in stage.calls for column in _outputs(call, self.contracts[call.function])]
            self.shadow.add_table(stage.scored, (*kept, *outputs))

    def _without_files(self, sql: str) -> str:
        """External nodes of this project by their shadow tables: their files may not be written yet."""
        for literal, relation in self._files.items():
            for spelled in (literal, quote(literal[1:-1].replace("''", "'"))):
                if spelled in sql:
                    self._shadow(relation)
                sql = sql.replace(spelled, relation.sql(self.adapter.dialect))
        return sql

    def catalog(self) -> Catalog:
        return Catalog(
            dialect=self.adapter.dialect,
            default=self.adapter.default,
            tables=self.existing | self._tables,
            functions=self.contracts,
            table_functions=self._functions,
            macros=self.shadow.macros,
            namespace=self.adapter.namespace,
            version=self.shadow.version,
        )

    def _explained(self, error: AdapterError, source: Source, catalog: Catalog, name: str, bare: str) -> SqlinferError:
        """The compiler's own error where it has one (it knows the place), else the warehouse's."""
        if may_call(source.sql, catalog.functions):
            try:
                compile_query(source, catalog, node=name)
            except SqlinferError as better:
                return better
        return CompileError(
            error.message, hint=error.hint or _similar(error, catalog), location=_place(error, bare, source)
        )

    def _look_up(self, source: Source, rendered: RenderedNode) -> None:
        """Put what the query reads into the shadow database."""
        for unique_id in (*rendered.refs, *rendered.sources):
            self._ensure(unique_id)
        self._mentioned(source.sql, set())

    def _mentioned(self, sql: str, done: set[Relation]) -> None:
        """Relations and macros whose name the text holds; a macro reads relations of its own."""
        words = words_of(sql)
        for table in self.catalog_tables(words):
            self._shadow(self._full(table.relation))
        for macro in self.shadow.macros:
            if macro.relation.name.casefold() in words and macro.relation not in done:
                done.add(macro.relation)
                for same in (m for m in self.shadow.macros if m.relation == macro.relation):
                    self._mentioned(same.definition, done)
                self.shadow.define(macro)

    def _with_table_functions(self, source: Source, catalog: Catalog) -> Catalog:
        """Table functions and files of a query with calls, described."""
        if not may_call(source.sql, catalog.functions):
            return catalog
        for text in reads(source, catalog)[1]:
            if text not in catalog.table_functions:
                self._asked = True
                with suppress(AdapterError):  # an unknown file is the warehouse's error to report, at its place
                    described = self.shadow.describe(f"select * from {text}")
                    self._functions[text] = tuple(Column(c.name, c.data_type) for c in described)
        return replace(catalog, table_functions={**catalog.table_functions, **self._functions})

    def _ensure(self, unique_id: str) -> None:
        """Columns of a referenced node or source, in the shadow."""
        self._make_known(unique_id)
        member = self.project.nodes.get(unique_id) or self.project.sources.get(unique_id)
        if member is not None and not (isinstance(member, Node) and member.config.materialized == "ephemeral"):
            self._shadow(self._full(member.relation))

    def _make_known(self, unique_id: str) -> None:
        """Compiled here, built already, or compiled now."""
        node = self.project.nodes.get(unique_id)
        if node is None or unique_id in self._compiled or node.config.materialized == "ephemeral":
            return
        folded = self._full(node.relation).folded()
        if folded not in self._tables and folded not in self.existing and node.resource_type == "model":
            self.compile(node)

    def _shadow(self, relation: Relation) -> bool:
        folded = relation.folded()
        if folded in self._shadowed:
            return True
        table = self._tables.get(folded) or self.existing.get(folded)
        if table is None:
            return False
        self.shadow.add_table(relation, table.columns)
        self._shadowed.add(folded)
        return True

    def add_table(self, relation: Relation, columns: tuple[Column, ...]) -> None:
        """A relation that this run will build before it is read, such as a seed."""
        full = self._full(relation)
        self._put(Table(full, columns))

    def _put(self, table: Table) -> None:
        """It enters the shadow when a query reads it."""
        folded = table.relation.folded()
        self._tables[folded] = table
        self._names.setdefault(folded.name, {})[folded] = None
        self._shadowed.discard(folded)

    def _learn(self, node: Node, compiled: CompiledNode) -> None:
        self._compiled[node.unique_id] = compiled
        if node.config.materialized == "ephemeral":
            return
        full = self._full(node.relation)
        kind = "view" if node.config.materialized == "view" else "table"
        self._put(Table(full, compiled.columns, kind))  # type: ignore[arg-type]
        if node.config.materialized == "external":
            literal = external_sql(node, self.project)
            self._files[literal] = full
            self._functions[quote(literal[1:-1].replace("''", "'"))] = compiled.columns

    def _full(self, relation: Relation) -> Relation:
        default = self.adapter.default
        return Relation(relation.name, relation.schema or default.schema, relation.catalog or default.catalog)


def _outputs(call: Call, contract: FunctionContract) -> tuple[Column, ...]:
    """What a scored relation has of a call."""
    if not call.columns:
        return (Column(call.output, contract.return_type),)
    return tuple(Column(n, o.data_type) for n, o in zip(call.columns, contract.outputs, strict=True))


def resolved_key(node: Node, columns: tuple[Column, ...]) -> tuple[str, ...]:
    """``unique_key`` as the result spells its columns; a name may be quoted, as dbt users write it.

    Raises:
        ColumnError: it is no column of the query.
    """
    if node.config.materialized in ("view", "ephemeral"):
        return node.config.unique_key
    exact = {column.name: column.name for column in columns}
    folded = {fold(column.name): column.name for column in columns}
    found = []
    for key in node.config.unique_key:
        name = exact.get(key) or folded.get(fold(key)) or folded.get(fold(_unquoted(key)))
        if name is None:
            names = [column.name for column in columns]
            hint = did_you_mean(key, names) or "its columns: " + ", ".join(names)
            if any(mark in key for mark in ",(|"):
                hint = "name one column, or several as a list: unique_key=['a', 'b']"
            raise ColumnError(f"unique_key '{key}' is no column of the query", hint=hint,
                              location=node.unique_key_at or Location(node.path))  # fmt: skip
        found.append(name)
    return tuple(dict.fromkeys(found))


def _unquoted(name: str) -> str:
    quoted = re.fullmatch(r'"((?:[^"]|"")+)"|`([^`]+)`|\[([^]]+)\]', name.strip())
    return next(filter(None, quoted.groups())).replace('""', '"') if quoted else name.strip()


@dataclass(frozen=True, slots=True)
class _Asked:
    """The port of ``compiler.lower``. The shadow has no rows: what is found in rows is asked of the warehouse."""

    shadow: ShadowDatabase
    adapter: Adapter
    asked: Callable[[], None]

    def tree(self, sql: str) -> str | None:
        return self.shadow.tree(sql)

    def text_of(self, tree: str) -> str:
        return self.shadow.text_of(tree)

    def describe(self, sql: str) -> tuple[Column, ...]:
        return self.shadow.describe(sql)

    def describe_rows(self, sql: str) -> tuple[Column, ...]:
        columns = self.shadow.describe(sql)
        self.asked()
        try:
            return self.adapter.describe(sql)
        except AdapterError:  # a relation that this run builds first
            return columns

    def remember(self, name: str, columns: tuple[Column, ...]) -> None:
        self.shadow.remember(name, columns)


def _place(error: AdapterError, bare: str, source: Source) -> Location:
    """Where the warehouse's caret points, found again in the user's text: the same occurrence of the same word."""
    where = error.location
    if where is None or where.line is None or where.column is None or where.text is None:
        return mentioned(error.message, source)
    caret = sum(len(line) for line in bare.splitlines(keepends=True)[: where.line - 1]) + where.column - 1
    word = re.compile(rf"(?<!\w){re.escape(bare[caret : caret + where.length])}(?!\w)", re.IGNORECASE)
    ours = [match.start() for match in word.finditer(source.sql)]
    before = sum(match.start() < caret for match in word.finditer(bare))
    if not ours:
        return mentioned(error.message, source)
    start = ours[min(before, len(ours) - 1)]
    return source.place(start, start + where.length)


def _similar(error: AdapterError, catalog: Catalog) -> str | None:
    """A function of the project, where the warehouse does not know one of nearly that name."""
    name = re.search(r"Function with name \"?(\w+)", error.message)
    hint = did_you_mean(name[1], catalog.functions) if name else None
    return hint if hint and hint.startswith("did you mean") else None


@contextmanager
def open_compiler(
    project: Project,
    adapter: Adapter,
    contracts: Mapping[str, FunctionContract],
    *,
    full_refresh: bool = False,
    empty: bool = False,
    run: Mapping[str, object] | None = None,
    key: bytes | None = None,
    window: Window | None = None,
) -> Iterator[ProjectCompiler]:
    """Read the warehouse's catalog once and open a shadow database. ``key``: for plans that are remembered."""
    with ExitStack() as stack:
        with adapter.visit():
            listed = adapter.list_relations()
            columns = adapter.columns([t.relation for t in listed])
            shadow = stack.enter_context(adapter.shadow())
        known = ((t, columns[t.relation]) for t in listed if t.relation in columns)
        existing = {t.relation.folded(): replace(t, columns=found) for t, found in known}
        compiler = ProjectCompiler(
            project, adapter, shadow, contracts, full_refresh, empty, run or {}, window, existing
        )
        if key is not None:
            compiler.plans = stack.enter_context(closing(_plans(compiler, key)))
        yield compiler


def _plans(compiler: ProjectCompiler, key: bytes) -> Plans:
    """Of this target, made by these versions in this warehouse."""
    project, adapter = compiler.project, compiler.adapter
    relations = [table.relation for table in compiler.existing.values()]
    relations += [node.relation for node in project.nodes.values()]
    always = {
        "versions": versions(), "project": [project.name, str(project.root), dict(project.vars)],
        "profile": facts(project.profile, key), "macros": [[one.package, one.names] for one in project.macros],
        "warehouse": [adapter.type, adapter.dialect, repr(adapter.default), repr(adapter.namespace)],
        "types": getattr(compiler.shadow, "types", ()),
        "schemas": sorted({f"{one.catalog}.{one.schema}" for one in relations}),
    }  # fmt: skip
    profile = project.profile
    return Plans.opened(project, key, digest([str(project.root), profile.name, profile.target, profile.type]), always)


__all__ = ["CompiledNode", "ProjectCompiler", "open_compiler"]
