"""Hooks as written → SQL, with ``this`` and all that a model's Jinja knows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sqlinfer.compiler.template.hooked import NONE, Hooks
from sqlinfer.compiler.template.render import RenderFlags, _run, _scope
from sqlinfer.errors import CompileError, Location, RenderError, SqlinferError
from sqlinfer.project import Node, Project
from sqlinfer.project.hooks import ends_transaction
from sqlinfer.project.sandbox import Package
from sqlinfer.project.values import Hook
from sqlinfer.relation import Relation, fold

_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter, exp.TruncateTable)


def render_hooks(
    node: Node,
    project: Project,
    *,
    is_incremental: bool = False,
    flags: RenderFlags | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Hooks:
    """Raises RenderError or CompileError at the place of the hook. ``extra``: names of the run, such as its id."""
    if not node.config.pre_hook and not node.config.post_hook:
        return NONE
    known = replace(project, macros=(*project.macros, *project.hook_macros))

    def rendered(hooks: Iterable[Hook]) -> tuple[tuple[Hook, ...], tuple[Hook, ...]]:
        done: list[Hook] = []
        for hook in hooks:
            scope = _scope(known, node, incremental=is_incremental, flags=flags or RenderFlags())
            scope.extra = {**(extra or {}), "sqlinfer": Package(is_incremental=lambda: is_incremental)}
            done += _rendered(hook, scope, known, node.name)
        return tuple(h for h in done if not h.transaction), tuple(h for h in done if h.transaction)

    before, begin = rendered(node.config.pre_hook)
    after, end = rendered(node.config.post_hook)
    return Hooks(before, begin, end, after)


def render_run_hooks(project: Project, hooks: Iterable[Hook], extra: Mapping[str, Any]) -> tuple[Hook, ...]:
    """Hooks of the whole run. Raises RenderError."""
    done: list[Hook] = []
    for hook in hooks:
        scope = _scope(project, None, incremental=False, flags=RenderFlags())
        scope.extra = extra
        done += _rendered(hook, scope, project, "")
    return tuple(done)


def _rendered(hook: Hook, scope: Any, project: Project, node: str) -> Iterator[Hook]:
    label = f"{hook.name} of '{node}'" if node else hook.name
    try:
        sql = _run(hook.sql, None, scope, project, RenderFlags()).text.strip().rstrip(";").strip()
    except RenderError as error:
        raise RenderError(f"{label}: {error.message}", hint=error.hint, location=hook.location) from error
    word = ends_transaction(sql)
    if word is not None and hook.transaction and node:
        said = f"{label} says '{word}', and runs inside the transaction that publishes the node"
        raise CompileError(said, hint="leave the word out, or write {sql: …, transaction: false}",
                           location=hook.location)  # fmt: skip
    if sql:
        yield replace(hook, sql=sql)


def refuse_late(hooks: Hooks, node: Node, query: str, dialect: str) -> None:
    """A pre_hook in the transaction runs after the rows were read and scored: it cannot change what the query reads.

    Raises:
        CompileError: it writes a relation that the query reads.
    """
    if not hooks.begin:
        return
    read = {fold(table.name) for table in _trees_of(query, dialect, exp.Table)}
    for hook in hooks.begin:
        late = next((target for target in written(hook.sql, dialect) if fold(target.name) in read), None)
        if late is not None:
            raise CompileError(
                f"pre_hook of '{node.name}' writes {late.name}, which its query reads; in the transaction that would "
                "be after the rows were read and scored",
                hint="write {sql: …, transaction: false}: it runs before the query is read",
                location=hook.location or Location(node.path),
            )


def touches(hooks: Hooks, target: Relation, dialect: str) -> bool:
    """Whether hooks inside the transaction write the node's own table."""
    names = (one.name for hook in hooks.inside for one in written(hook.sql, dialect))
    return any(fold(name) == fold(target.name) for name in names)


def written(sql: str, dialect: str) -> tuple[Relation, ...]:
    """The relations that statements write, as far as they parse."""
    found = []
    for statement in _trees_of(sql, dialect, *_WRITES):
        table = statement.this.find(exp.Table) if isinstance(statement.this, exp.Expression) else None
        if table is not None:
            found.append(Relation(table.name, table.db or None, table.catalog or None))
    return tuple(found)


def _trees_of(sql: str, dialect: str, *kinds: type[exp.Expression]) -> Iterator[exp.Expression]:
    try:
        trees = sqlglot.parse(sql, dialect=dialect)
    except (SqlglotError, SqlinferError, RecursionError):
        return
    for tree in trees:
        if tree is not None:
            yield from tree.find_all(*kinds)
