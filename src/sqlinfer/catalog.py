"""The I/O that compiling needs: which relations exist, their columns, what nodes that are not built yet will have.

``ProjectCompiler`` compiles nodes in topological order. Each compiled node enters a shadow database as an empty table,
so that the next one finds its columns and types before anything is built. What needs Jinja and the parser is imported
where a plan is not remembered (``sql_planning``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlinfer import storage
from sqlinfer.adapters.base import Adapter, ShadowDatabase
from sqlinfer.compiler.compiled import CompiledNode
from sqlinfer.compiler.template.hooked import NONE, Hooks
from sqlinfer.compiler.template.rendered import RenderedNode, external_sql
from sqlinfer.errors import ColumnError, Location, SqlinferError, did_you_mean
from sqlinfer.plan_memory import ANEW, Plans, Text, Watched, columns_of, digest, facts, place_of, told_of
from sqlinfer.project import Node, Project
from sqlinfer.project.remembered import versions
from sqlinfer.project.ways import with_way
from sqlinfer.project.witness import watching
from sqlinfer.relation import Relation, fold, quote
from sqlinfer.spec.catalog import Column, Table
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.plan import Plan
from sqlinfer.spec.window import Window

if TYPE_CHECKING:
    from sqlinfer.compiler.template.parameters import Parameters
    from sqlinfer.compiler.template.render import RenderFlags


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
    """No row is read: the plans have the columns and nothing else, and what is published loses nothing."""
    run: Mapping[str, object] = field(default_factory=dict)
    """What hooks know of the run: ``invocation_id``, ``run_started_at``."""
    window: Window | None = None
    """The slice of a backfill: nodes are slices of their tables, which need not be there."""
    existing: dict[Relation, Table] = field(default_factory=dict)
    """Relations of the warehouse by folded full name, columns filled in."""
    _compiled: dict[str, CompiledNode] = field(default_factory=dict)
    tables: dict[Relation, Table] = field(default_factory=dict)
    functions: dict[str, tuple[Column, ...]] = field(default_factory=dict)
    shadowed: set[Relation] = field(default_factory=set)
    files: dict[str, Relation] = field(default_factory=dict)
    """External nodes compiled so far: the literal that their ref renders to → their shadow table."""
    _watched: Watched = field(init=False)
    plans: Plans | None = None
    """What was compiled before."""
    _names: dict[str, dict[Relation, None]] = field(default_factory=dict)
    """Folded name → relations that are called so, by their folded full names."""
    asked: bool = False
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
        there = self.existing.get(self.full(node.relation).folded())
        published = there.columns if there is not None and there.kind != "view" else None
        hooks = self._hooks(node, compiled, incremental)
        compiled = replace(compiled, unique_key=key, published=published, hooks=hooks)
        self._learn(node, compiled)
        return compiled

    def _hooks(self, node: Node, compiled: CompiledNode, incremental: bool) -> Hooks:
        if not node.config.pre_hook and not node.config.post_hook:
            return NONE
        from sqlinfer.compiler.template.hooks import refuse_late, render_hooks

        hooks = render_hooks(node, self.project, is_incremental=incremental, flags=self._flags, extra=self.run)
        if compiled.plan.stages:
            refuse_late(hooks, node, compiled.plan.sql, self.adapter.dialect)
        return hooks

    def with_others(self, node: Node, others: Mapping[str, FunctionContract], unique_id: str) -> Plan:
        """The plan of a compiled node with other functions behind names that its SQL calls; ``unique_id``: its owner.

        Nothing is learnt or remembered of it.
        """
        from sqlinfer.compiler.template.render import render

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
        name = f"{node.unique_id}{ANEW}" if self.full_refresh else node.unique_id
        found = plans.recall(name, made_of, self._reads)
        if found is None:
            self.asked, opened = False, set[str]()
            with watching() as witness, self._watched.watching(opened):
                found = self._anew(node, incremental, limit)
            witness.fleeting = witness.fleeting or self.asked
            plans.keep(name, made_of, self._reads, found, witness, opened)
        return found

    def _anew(self, node: Node, incremental: bool, limit: int | None) -> CompiledNode:
        from sqlinfer.compiler.template.render import render

        rendered = render(node, self.project, is_incremental=incremental, flags=self._flags)
        if self.empty:  # a view reads nothing by itself, and would stay empty
            rendered, limit = replace(rendered, is_slice=True), None if node.config.materialized == "view" else 0
        with self._showing_ways():
            return self._planned(rendered, node.name, limit, node.unique_id)

    def _planned(
        self,
        rendered: RenderedNode,
        name: str,
        limit: int | None,
        unique_id: str = "",
        asked: RenderedNode | None = None,
    ) -> CompiledNode:
        from sqlinfer.sql_planning import SqlPlanner

        return SqlPlanner(self).planned(rendered, name, limit, unique_id, asked)

    def _reads(self, text: Text) -> list[object] | None:
        """What a query reads, as it is now; None: that cannot be told."""
        words, known = text.words, (self.project.nodes, self.project.sources)
        lost = any(uid not in here for here, ids in zip(known, (text.refs, text.sources), strict=True) for uid in ids)
        if lost or any(macro.relation.name.casefold() in words for macro in self.shadow.macros):
            return None
        for uid in (*text.refs, *text.sources):
            self.make_known(uid)
        nodes = [self.project.nodes[uid] for uid in text.refs]
        ephemeral = any(node.config.materialized == "ephemeral" for node in nodes)
        every = self.project.nodes.values()
        return [
            [told_of(node) for node in every if node.config.materialized == "ephemeral"] if ephemeral else [],
            [place_of(node) for node in (every if ephemeral else nodes)],
            [repr((self.project.sources[uid].relation, self.project.sources[uid].place)) for uid in text.sources],
            sorted(columns_of(self.catalog_tables(words))),
            [name for name in self.contracts if name.casefold() in words],
            [repr(self.contracts[name]) for name in text.functions],
        ]

    def catalog_tables(self, words: Collection[str]) -> list[Table]:
        """The relations that are called like one of the words."""
        keys = [folded for word in words for folded in self._names.get(word, ())]
        return [self.tables.get(key) or self.existing[key] for key in keys]

    def named(self, item: CompiledNode) -> tuple[str, ...]:
        """The relations of the warehouse that a plan names, for people."""
        plan = item.plan
        if plan.stages:
            return plan.relations

        def found(_: str) -> tuple[str, ...]:
            from sqlinfer.compiler.plan.reading import relations_of

            return relations_of(plan)

        if self.plans is None:
            return found("")
        return self.plans.named(plan.unique_id, plan.result.sql, found)

    def inline(
        self, sql: str, *, limit: int | None = None, name: str = "inline_query", params: Parameters | None = None
    ) -> CompiledNode:
        """The plan of SQL that stands in no file (``--inline``, ``connect().sql``)."""
        from sqlinfer.compiler.template.parameters import with_parameters
        from sqlinfer.compiler.template.render import render_inline

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
        from sqlinfer.compiler.template.render import RenderFlags

        return RenderFlags(full_refresh=self.full_refresh, window=self.window)

    def _is_incremental(self, node: Node) -> bool:
        if node.config.is_folder and node.config.incremental_strategy == "insert_overwrite":
            refresh = self.full_refresh if node.config.full_refresh is None else node.config.full_refresh
            place = storage.at(str(node.config.location), storage.Access.of(self.project.profile.config))
            from sqlinfer.storage.manifest import read_manifest

            return not refresh and read_manifest(place) is not None
        if node.config.materialized != "incremental":
            return False
        if self.window is not None:
            return True
        refresh = self.full_refresh if node.config.full_refresh is None else node.config.full_refresh
        found = self.existing.get(self.full(node.relation).folded())
        return not refresh and found is not None and found.kind != "view"

    def make_known(self, unique_id: str) -> None:
        """Compiled here, built already, or compiled now."""
        source = self.project.sources.get(unique_id)
        if source is not None and source.place is not None and source.relation.folded() not in self.tables:
            columns = self.adapter.describe(source.relation.query(self.adapter.dialect))
            self._put(Table(source.relation, columns, "foreign"))
        node = self.project.nodes.get(unique_id)
        if node is None or unique_id in self._compiled or node.config.materialized == "ephemeral":
            return
        folded = self.full(self.read_as(node)).folded()
        if folded not in self.tables and folded not in self.existing and node.resource_type == "model":
            self.compile(node)

    def add_table(self, relation: Relation, columns: tuple[Column, ...]) -> None:
        """A relation that this run will build before it is read, such as a seed."""
        full = self.full(relation)
        self._put(Table(full, columns))

    def _put(self, table: Table) -> None:
        """It enters the shadow when a query reads it."""
        folded = table.relation.folded()
        self.tables[folded] = table
        self._names.setdefault(folded.name, {})[folded] = None
        self.shadowed.discard(folded)

    def _learn(self, node: Node, compiled: CompiledNode) -> None:
        self._compiled[node.unique_id] = compiled
        if node.config.materialized == "ephemeral":
            return
        full = self.full(self.read_as(node))
        kind = {"view": "view", "external": "foreign"}.get(node.config.materialized, "table")
        self._put(Table(full, compiled.columns, kind))  # type: ignore[arg-type]
        if node.config.materialized == "external" and self.read_as(node) == node.relation:
            literal = external_sql(node, self.project)
            self.files[literal] = full
            self.functions[quote(literal[1:-1].replace("''", "'"))] = compiled.columns

    def read_as(self, node: Node) -> Relation:
        """DuckDB alone reads folders of versions."""
        return node.read_as if self.adapter.dialect == "duckdb" else node.relation

    def full(self, relation: Relation) -> Relation:
        default = self.adapter.default
        return Relation(relation.name, relation.schema or default.schema, relation.catalog or default.catalog)


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
