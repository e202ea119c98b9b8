"""Jinja of one node → SQL text, what it refers to, and the way from a place in that SQL back to the file.

Rendering is pure: no database, no clock, the environment comes with the project.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlinfer.compiler.template.rendered import RenderedNode, external_sql
from sqlinfer.errors import CompileError, Location, RenderError
from sqlinfer.project import DataTest, MacroFile, Node, Project, Source
from sqlinfer.project.basics import RelationValue, TemplateMessage
from sqlinfer.project.context import Macros, Scope, Seen, build
from sqlinfer.project.jinja import engine
from sqlinfer.project.sandbox import MAX_OUTPUT, MAX_SECONDS
from sqlinfer.project.segments import Segment
from sqlinfer.relation import Relation
from sqlinfer.spec.names import OURS
from sqlinfer.spec.window import Window

MAX_WORD = 1_000
"""Characters of a number or name outside of quotes; the parser's time grows with their square."""
CTE_PREFIX, SLICE_PREFIX = f"{OURS}__cte__", f"{OURS}__slice__"
_WITH = re.compile(r"^(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)*with\s+(?:recursive\s+)?", re.S | re.I)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a template calls: unique_ids of refs and sources, and the arguments of ``config()``."""

    refs: tuple[str, ...]
    sources: tuple[str, ...]
    config: Mapping[str, Any]
    functions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RenderFlags:
    full_refresh: bool = False
    which: str = "run"
    execute: bool = True
    seconds: float = MAX_SECONDS
    max_output: int = MAX_OUTPUT
    window: Window | None = None
    """What is referred to and has an event_time is limited to it."""


@lru_cache(maxsize=16)
def _macros(files: tuple[MacroFile, ...]) -> Macros:
    return Macros(files, engine())


def parse_pass(node: Node, project: Project) -> Parsed:
    """Refs, sources and ``config()`` of a node, without a database (``execute`` is false)."""
    scope = _scope(project, node, incremental=False, flags=RenderFlags(execute=False))
    _run(node.raw_sql, node.path, scope, project, RenderFlags(execute=False))
    refs, sources = _ids(scope.seen, project)
    return Parsed(refs, sources, dict(scope.seen.config), node.functions)


def refuse_uncompiled(node: Node) -> None:
    """Raises CompileError for a prediction node of dbt's: its template is dbt's to render."""
    if node.compiled is None and node.config.extra.get("materialized") == "prediction":
        hint = "`dbt parse`, `dbt ls` and a dbt command on other nodes do not compile it: run `dbt compile`, or leave "
        raise CompileError(f"the manifest has no compiled SQL of '{node.name}'", hint=hint + "out --manifest",
                           location=Location(node.path))  # fmt: skip


def render(node: Node, project: Project, *, is_incremental: bool = False,
           flags: RenderFlags | None = None) -> RenderedNode:  # fmt: skip
    """The SQL of a node. Raises RenderError with the place in its file."""
    if node.compiled is not None:
        return _given(node, node.compiled, project, is_incremental)
    refuse_uncompiled(node)
    flags = flags or RenderFlags()
    scope = _scope(project, node, incremental=is_incremental, flags=flags)
    return _rendered(node.raw_sql, node.path, scope, project, flags)


def _given(node: Node, sql: str, project: Project, is_incremental: bool) -> RenderedNode:
    """A node that dbt has rendered: its refs are relation names in the SQL; only nodes like it are compiled here."""
    path = node.compiled_path or node.path
    if not sql.strip():
        raise RenderError("the SQL is empty", hint="write one SELECT", location=Location(path, 1))
    _refuse_unfit(sql, path)
    refs = tuple(uid for uid in node.depends_on if uid in project.nodes and project.nodes[uid].compiled is not None)
    return RenderedNode(sql, sql, path, refs, is_slice=node.asks_incremental and is_incremental)


_UNFIT = re.compile(r"[\ud800-\udfff]")
_WORDS = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|(?P<word>[\w.]{1001,})""", re.S)


def _refuse_unfit(sql: str, path: Path | None) -> None:
    """What no warehouse reads, and what takes minutes to parse."""
    half = _UNFIT.search(sql)
    if half is not None:
        said = f"the SQL holds half a character (U+{ord(half[0]):04X})"
        raise RenderError(said, hint="is a text cut, or not UTF-8?", location=Location(path, 1))
    if len(sql) > MAX_WORD:
        word = next((found["word"] for found in _WORDS.finditer(sql) if found["word"]), None)
        if word is not None:
            said = f"a number or name of {len(word):,} characters: {word[:20]}…"
            raise RenderError(said, hint=f"at most {MAX_WORD:,}", location=Location(path, 1))


def render_inline(sql: str, project: Project, *, flags: RenderFlags | None = None,
                  path: Path | None = None) -> RenderedNode:  # fmt: skip
    """SQL that stands in no file (``--inline``, ``connect().sql``), or in a file that is no model."""
    flags = flags or RenderFlags()
    text = sql.replace("\r\n", "\n").replace("\r", "\n")
    return _rendered(text, path, _scope(project, None, incremental=False, flags=flags), project, flags)


def render_test(test: DataTest, project: Project) -> RenderedNode:
    """The SQL of a singular test."""
    path = test.location.path if test.location else None
    return render_inline(test.sql or "", project, path=path)


def render_generic(test: DataTest, project: Project, tested: Relation, name: str) -> str:
    """The SQL of a generic test of the project's own, which reads the tested rows under ``name`` (quoted)."""
    dialect = project.profile.type
    flags = RenderFlags(which="test")
    scope = _scope(project, None, incremental=False, flags=flags)
    scope.extra = {"model": RelationValue(tested, dialect, name)}
    try:
        sql = str(_run(test.sql or "", None, scope, project, flags).text).strip().rstrip(";")
    except RenderError as error:
        raise RenderError(f"test '{test.name}': {error.message}", hint=error.hint, location=test.location) from error
    return sql.replace(tested.sql(dialect), name)


def _scope(project: Project, node: Node | None, *, incremental: bool, flags: RenderFlags) -> Scope:
    dialect = project.profile.type

    def value(member: Node | Source) -> RelationValue:
        cut = flags.window is not None and event_time(member) is not None
        return RelationValue(member.relation, dialect, slice_name(member) if cut else None)

    def ref(name: str) -> RelationValue:
        found = project.node(name) or next(one for one in project.nodes.values() if one.name == name)
        if found.config.materialized == "ephemeral":
            return RelationValue(found.relation, dialect, CTE_PREFIX + found.name)
        if found.config.is_folder and dialect == "duckdb":
            return RelationValue(found.read_as, dialect)
        if found.config.materialized == "external":
            if dialect != "duckdb":
                raise TemplateMessage(f"'{name}' is an external model, and {dialect} does not read its files",
                                      "ref() the model that it selects from", name)  # fmt: skip
            return RelationValue(found.relation, dialect, external_sql(found, project))
        return value(found)

    def source(first: str, second: str) -> RelationValue:
        own = project.sources.get(f"source.{project.name}.{first}.{second}")
        every = (one for one in project.sources.values() if (one.source_name, one.name) == (first, second))
        return value(own or next(every))

    refs, sources = _known(project)
    return Scope(
        project.name, project.profile, project.vars, project.env, refs, sources, ref, source,
        this=RelationValue(node.read_as if dialect == "duckdb" else node.relation, dialect) if node else None,
        config=_config_values(node) if node else {}, incremental=incremental, execute=flags.execute,
        flags={"full_refresh": flags.full_refresh, "which": flags.which},
        model=_model_values(node) if node else {},
    )  # fmt: skip


def event_time(member: Node | Source) -> str | None:
    """SQL of the column with the time of a row."""
    found = member.event_time if isinstance(member, Source) else member.config.extra.get("event_time")
    return str(found) if found else None


def slice_name(member: Node | Source) -> str:
    """Of the CTE with the rows of a backfill's slice."""
    return SLICE_PREFIX + re.sub(r"\W", "_", member.unique_id.partition(".")[2])


Names = tuple[dict[str, None], dict[tuple[str, str], None]]


def _known(project: Project, last: list[tuple[object, object, Names]] = []) -> Names:  # noqa: B006
    """What ``ref`` and ``source`` may name; made once for the nodes of a project, which every render asks for."""
    if not last or last[0][0] is not project.nodes or last[0][1] is not project.sources:
        refs = dict.fromkeys(one.name for one in project.nodes.values())
        sources = dict.fromkeys((one.source_name, one.name) for one in project.sources.values())
        last[:] = [(project.nodes, project.sources, (refs, sources))]
    return last[0][2]


def _config_values(node: Node) -> dict[str, Any]:
    config = node.config
    return {
        "materialized": config.extra.get("materialized", config.materialized), "tags": list(config.tags),
        "unique_key": list(config.unique_key) or None,
        "incremental_strategy": config.incremental_strategy, "on_schema_change": config.on_schema_change,
        "on_missing": config.on_missing, "lineage": config.lineage, "enabled": config.enabled, "schema": config.schema,
        "alias": config.alias, "database": config.database, "location": config.location, "format": config.format,
        "meta": dict(config.meta), "full_refresh": config.full_refresh,
    }  # fmt: skip


def _model_values(node: Node) -> dict[str, Any]:
    relation = node.relation
    return {
        "name": node.name, "unique_id": node.unique_id, "resource_type": node.resource_type, "alias": relation.name,
        "schema": relation.schema, "database": relation.catalog, "tags": list(node.tags), "fqn": list(node.fqn),
        "description": node.description,
    }  # fmt: skip


def _ids(seen: Seen, project: Project) -> tuple[tuple[str, ...], tuple[str, ...]]:
    refs = tuple(node.unique_id for name in seen.refs if (node := project.node(name)))
    return refs, tuple(f"source.{project.name}.{a}.{b}" for a, b in seen.sources)


def _run(sql: str, path: Path | None, scope: Scope, project: Project, flags: RenderFlags) -> Any:
    macros = _macros(project.macros)
    compiled = engine().compile(sql, path)
    return engine().run(compiled, build(scope, macros), macros=macros.files, seconds=flags.seconds,
                        output=flags.max_output)  # fmt: skip


def _rendered(sql: str, path: Path | None, scope: Scope, project: Project, flags: RenderFlags) -> RenderedNode:
    done = _run(sql, path, scope, project, flags)
    if not done.text.strip():
        raise RenderError("the SQL is empty", hint="write one SELECT", location=Location(path, 1))
    refs, sources = _ids(scope.seen, project)
    _refuse_unfit(done.text, path)
    text, segments = _with_ephemerals(done.text, done.segments, refs, sources, project, flags)
    config, is_slice = dict(scope.seen.config), bool(scope.seen.incremental) or flags.window is not None
    return RenderedNode(text, sql, path, refs, sources, config, segments, is_slice)


def _with_ephemerals(text: str, segments: tuple[Segment, ...], refs: tuple[str, ...], sources: tuple[str, ...],
                     project: Project, flags: RenderFlags) -> tuple[str, tuple[Segment, ...]]:  # fmt: skip
    """Put what is read as a slice, and the ephemeral models that are referred to, directly or through each other, in
    front as CTEs."""
    ctes: dict[str, str] = {}
    _collect_slices((*refs, *sources), project, flags, ctes)
    for unique_id in refs:
        _collect_ephemerals(unique_id, project, flags, ctes)
    if not ctes:
        return text, segments
    joined = ", ".join(f"{name} as (\n{body}\n)" for name, body in ctes.items())
    match = _WITH.match(text)
    at, inserted = (match.end(), joined + ", ") if match else (0, f"with {joined}\n")
    moved: list[Segment] = []
    for one in segments:
        moved += _shifted(one, at, len(inserted))
    return text[:at] + inserted + text[at:], tuple(moved)


def _shifted(one: Segment, at: int, by: int) -> list[Segment]:
    if one.end <= at:
        return [one]
    if one.start >= at or not one.literal:
        return [Segment(one.start + by, one.end + by, one.origin, one.origin_end, one.literal)]
    cut = one.origin + at - one.start
    return [
        Segment(one.start, at, one.origin, cut, True),
        Segment(at + by, one.end + by, cut, one.origin_end, True),
    ]


def _collect_ephemerals(unique_id: str, project: Project, flags: RenderFlags, ctes: dict[str, str]) -> None:
    node = project.nodes.get(unique_id)
    if node is None or node.config.materialized != "ephemeral" or CTE_PREFIX + node.name in ctes:
        return
    scope = _scope(project, node, incremental=False, flags=flags)
    body = _run(node.raw_sql, node.path, scope, project, flags).text
    refs, sources = _ids(scope.seen, project)
    _collect_slices((*refs, *sources), project, flags, ctes)
    for parent in refs:
        _collect_ephemerals(parent, project, flags, ctes)
    ctes[CTE_PREFIX + node.name] = body.strip().rstrip(";")


def _collect_slices(ids: Iterable[str], project: Project, flags: RenderFlags, ctes: dict[str, str]) -> None:
    if flags.window is None:
        return
    for unique_id in ids:
        member = project.nodes.get(unique_id) or project.sources.get(unique_id)
        column = event_time(member) if member is not None else None
        kind = member.config.materialized if isinstance(member, Node) else ""
        if member is not None and column is not None and kind not in ("ephemeral", "external"):
            rows = member.relation.query(project.profile.type)
            ctes[slice_name(member)] = f"{rows} where {flags.window.condition(column)}"
