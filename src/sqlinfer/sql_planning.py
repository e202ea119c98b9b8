"""The plan of a rendered query, made from its SQL: what a node takes whose plan is not remembered.

In: rendered SQL and what ``ProjectCompiler`` knows of the warehouse. Out: the plan with the columns of its result.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import Adapter, ShadowDatabase
from sqlinfer.compiler.calls.canonical import Source, may_call
from sqlinfer.compiler.compile import compile_query, reads, without_predictions
from sqlinfer.compiler.compiled import CompiledNode
from sqlinfer.compiler.parse.lower import lowered
from sqlinfer.compiler.parse.parse import check_depth
from sqlinfer.compiler.parse.said import mentioned
from sqlinfer.compiler.plan.column_lineage import column_lineage
from sqlinfer.compiler.template.parameters import moved_places
from sqlinfer.compiler.template.rendered import RenderedNode
from sqlinfer.errors import AdapterError, CompileError, Location, SqlinferError, StatementRefused, did_you_mean
from sqlinfer.plan_memory import words_of
from sqlinfer.project import Node
from sqlinfer.relation import Relation, quote, side_name
from sqlinfer.spec.catalog import Catalog, Column
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.plan import Call, Plan, Stage

if TYPE_CHECKING:
    from sqlinfer.catalog import ProjectCompiler

_PIVOT = re.compile(r"\bpivot", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SqlPlanner:
    """Puts what a query reads into the shadow database of ``of``, and plans it there."""

    of: ProjectCompiler

    def planned(
        self,
        rendered: RenderedNode,
        name: str,
        limit: int | None,
        unique_id: str = "",
        asked: RenderedNode | None = None,
    ) -> CompiledNode:
        source = Source(rendered.sql, rendered.path, rendered.locate)
        if may_call(rendered.sql, self.of.contracts):
            check_depth(source, self.of.adapter.dialect)
            names = self.of.shadow.result_names((asked or rendered).sql)
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
        lineage = column_lineage(plan, self.of.contracts) if plan.stages and unique_id else ()
        return CompiledNode(
            replace(plan, unique_id=unique_id), rendered, self._published(bare, columns), lineage=lineage
        )

    @property
    def _port(self) -> _Asked:
        def asked() -> None:
            self.of.asked = True

        return _Asked(self.of.shadow, self.of.adapter, asked)

    def _described(self, sql: str, catalog: Catalog) -> tuple[Column, ...]:
        """Of a query without calls the warehouse itself may know more than its shadow: sequences, types, extensions."""
        if may_call(sql, catalog.functions):
            return self.of.shadow.describe(sql)
        try:
            columns = self.of.shadow.describe(sql)
        except StatementRefused as error:
            if error.unknown_name:
                self.of.asked = True
                with suppress(AdapterError):
                    return self.of.adapter.describe(sql)
            raise
        return self._port.describe_rows(sql) if _PIVOT.search(sql) else columns

    def _published(self, bare: str, columns: tuple[Column, ...]) -> tuple[Column, ...]:
        """The columns as a table has them: a result may repeat a name, a table numbers the second one."""
        names = {column.name.casefold() for column in columns}
        if len(names) == len(columns):
            return columns
        return self.of.shadow.describe(f"select * from (\n{bare}\n) as _named")

    def _argument_types(self, plan: Plan) -> dict[str, str]:
        """The warehouse's types of what the compiler was not sure of, as far as its stages can be described."""
        found: dict[str, str] = {}
        with suppress(AdapterError):  # a stage's own error comes when it is run
            for stage in plan.stages:
                if stage.untyped:
                    described = self.of.shadow.describe(self._without_files(stage.untyped))
                    found |= {column.name: column.data_type for column in described}
                self._shadow_stage(stage)
        return found

    def _shadow_stage(self, stage: Stage) -> None:
        """What later stages read of this one."""
        columns = self.of.shadow.describe(self._without_files(stage.sql))
        self.of.shadow.add_table(stage.relation, columns)
        if stage.scored is not None:
            kept = [column for column in columns if column.name in stage.columns]
            outputs = [column for call in stage.calls for column in _outputs(call, self.of.contracts[call.function])]
            self.of.shadow.add_table(stage.scored, (*kept, *outputs))

    def _without_files(self, sql: str) -> str:
        """External nodes of this project by their shadow tables: their files may not be written yet."""
        for literal, relation in self.of.files.items():
            for spelled in (literal, quote(literal[1:-1].replace("''", "'"))):
                if spelled in sql:
                    self._shadow(relation)
                sql = sql.replace(spelled, relation.sql(self.of.adapter.dialect))
        return sql

    def catalog(self) -> Catalog:
        return Catalog(
            dialect=self.of.adapter.dialect,
            default=self.of.adapter.default,
            tables=ChainMap(self.of.tables, self.of.existing),
            functions=self.of.contracts,
            table_functions=self.of.functions,
            macros=self.of.shadow.macros,
            namespace=self.of.adapter.namespace,
            version=self.of.shadow.version,
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
        for table in self.of.catalog_tables(words):
            self._shadow(self.of.full(table.relation))
        for macro in self.of.shadow.macros:
            if macro.relation.name.casefold() in words and macro.relation not in done:
                done.add(macro.relation)
                for same in (m for m in self.of.shadow.macros if m.relation == macro.relation):
                    self._mentioned(same.definition, done)
                self.of.shadow.define(macro)

    def _with_table_functions(self, source: Source, catalog: Catalog) -> Catalog:
        """Table functions and files of a query with calls, described."""
        if not may_call(source.sql, catalog.functions):
            return catalog
        for text in reads(source, catalog)[1]:
            if text not in catalog.table_functions:
                self.of.asked = True
                with suppress(AdapterError):  # an unknown file is the warehouse's error to report, at its place
                    described = self.of.shadow.describe(f"select * from {text}")
                    self.of.functions[text] = tuple(Column(c.name, c.data_type) for c in described)
        return replace(catalog, table_functions={**catalog.table_functions, **self.of.functions})

    def _ensure(self, unique_id: str) -> None:
        """Columns of a referenced node or source, in the shadow."""
        self.of.make_known(unique_id)
        member = self.of.project.nodes.get(unique_id) or self.of.project.sources.get(unique_id)
        if member is not None and not (isinstance(member, Node) and member.config.materialized == "ephemeral"):
            self._shadow(self.of.full(self.of.read_as(member) if isinstance(member, Node) else member.relation))

    def _shadow(self, relation: Relation) -> bool:
        folded = relation.folded()
        if folded in self.of.shadowed:
            return True
        table = self.of.tables.get(folded) or self.of.existing.get(folded)
        if table is None:
            return False
        self.of.shadow.add_table(relation, table.columns)
        self.of.shadowed.add(folded)
        return True


def _outputs(call: Call, contract: FunctionContract) -> tuple[Column, ...]:
    """What a scored relation has of a call."""
    if not call.columns:
        return (Column(call.output, contract.return_type),)
    return tuple(Column(n, o.data_type) for n, o in zip(call.columns, contract.outputs, strict=True))


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
