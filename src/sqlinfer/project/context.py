"""The Jinja context of one node: what its SQL may call while it renders, and what it was seen to call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlinfer.errors import ProjectError, did_you_mean
from sqlinfer.project.basics import Environment, RelationValue, TemplateMessage, plain_context
from sqlinfer.project.hooks import packed
from sqlinfer.project.jinja import Compiled, Engine, line_location
from sqlinfer.project.pieces import digest
from sqlinfer.project.sandbox import MacroReturn, Package
from sqlinfer.project.values import MacroFile, Profile, Project
from sqlinfer.project.witness import seen
from sqlinfer.relation import Relation


@dataclass(slots=True)
class Seen:
    """What a template called."""

    refs: dict[str, None] = field(default_factory=dict)
    sources: dict[tuple[str, str], None] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    incremental: bool | None = None
    """What ``is_incremental()`` answered; None where it was not called."""
    functions: dict[str, None] = field(default_factory=dict)
    """Declared functions that the rendered SQL calls."""


@dataclass(slots=True)
class Scope:
    """All that a context is made of. ``ref`` and ``source`` resolve names that are known to exist."""

    project_name: str
    profile: Profile
    variables: Mapping[str, Any]
    env: Mapping[str, str]
    refs: Collection[str]
    sources: Collection[tuple[str, str]]
    resolve_ref: Callable[[str], RelationValue]
    resolve_source: Callable[[str, str], RelationValue]
    this: RelationValue | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    incremental: bool = False
    execute: bool = False
    flags: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)
    extra: Mapping[str, Any] = field(default_factory=dict)
    """More names, of hooks."""


class Macros:
    """The macros of a project by name; compiled once, bound to a context when first called."""

    def __init__(self, files: Sequence[MacroFile], engine: Engine) -> None:
        self.engine = engine
        self.files = tuple(engine.compile(one.source, one.path) for one in files if one.package is None)
        self.by_name: dict[str, Compiled] = {}
        self.texts = {str(one.path): digest("macro", one.source) for one in files}
        """Path of a file of macros → a digest of its text."""
        self._asked: str | None = None
        self.packages: dict[str, dict[str, MacroFile]] = {}
        """Package → its macros. They are compiled when they are first called: packages hold much that nobody calls."""
        for file in files:
            if file.package is not None:
                self.packages.setdefault(file.package, {}).update(dict.fromkeys(file.names, file))
        for compiled in self.files:
            for name, line in compiled.macros:
                first = self.by_name.get(name)
                if first is not None:
                    where = line_location(compiled.source, line, compiled.path, name)
                    raise ProjectError(
                        f"duplicate macro '{name}'", hint=f"also defined in {first.path}", location=where
                    )
                self.by_name[name] = compiled

    def asked_in(self, project: Project) -> str:
        """A digest of what every template of a project may see, but for the texts of macros and the environment."""
        if self._asked is None:
            profile = project.profile
            facts = [profile.name, profile.target, profile.type, profile.schema, profile.database, profile.threads]
            named = [sorted(self.by_name), {package: sorted(names) for package, names in self.packages.items()}]
            self._asked = digest("project", project.name, dict(project.vars), facts, named)
        return self._asked

    def bind(self, context: dict[str, Any], project_name: str) -> None:
        """Add every macro to the context, plain and under the project's name."""
        bound = {name: _Macro(name, self, context) for name in self.by_name}
        context.update({name: macro for name, macro in bound.items() if name not in context})
        context.setdefault(project_name, SimpleNamespace(**bound))
        for package, names in self.packages.items():
            own = {name: _Macro(name, self, context, package) for name in names}
            context.setdefault(package, Package(**own))
        context.setdefault("adapter", _Adapter(self, context, project_name))

    def place(self, name: str, package: str | None) -> Path | None:
        """The file of a macro."""
        return self.by_name[name].path if package is None else self.packages[package][name].path

    def find(self, name: str, package: str | None) -> tuple[Compiled, dict[str, Any]]:
        """A macro's file, compiled, and what else its macros see of their own package by plain name."""
        if package is None:
            return self.by_name[name], {}
        file = self.packages[package][name]
        return self.engine.compile(file.source, file.path), dict(self.packages[package])


class _Adapter:
    """As much of dbt's ``adapter`` as needs no warehouse."""

    __slots__ = ("_context", "_macros", "_project")
    template_names = ("dispatch", "quote")

    def __init__(self, macros: Macros, context: dict[str, Any], project: str) -> None:
        self._macros, self._context, self._project = macros, context, project

    def dispatch(self, macro_name: str, macro_namespace: str | None = None) -> Any:
        """The macro for this warehouse, else the default one; the project's own win over those of a package."""
        kind = getattr(self._context.get("target"), "type", "")
        packages = [self._project, *([macro_namespace] if macro_namespace else self._macros.packages)]
        for package in dict.fromkeys(packages):
            for prefix in (kind, "default"):
                found = getattr(self._context.get(package), f"{prefix}__{macro_name}", None)
                if isinstance(found, _Macro):
                    return found
        where = f"package '{macro_namespace}'" if macro_namespace else "the project"
        raise TemplateMessage(
            f"no macro '{kind}__{macro_name}' or 'default__{macro_name}' in {where}", None, "dispatch"
        )

    def quote(self, identifier: str) -> str:
        return str(RelationValue(Relation(str(identifier)), getattr(self._context.get("target"), "type", "duckdb")))


class _Macro:
    __slots__ = ("_context", "_inner", "_macros", "_name", "_package")
    template_names = ()

    def __init__(self, name: str, macros: Macros, context: dict[str, Any], package: str | None = None) -> None:
        self._name, self._macros, self._context, self._package = name, macros, context, package
        self._inner: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for witness in seen():
            witness.macros.add(str(self._macros.place(self._name, self._package)))
        if self._inner is None:
            compiled, beside = self._macros.find(self._name, self._package)
            own = {name: _Macro(name, self._macros, self._context, self._package) for name in beside}
            self._inner = self._macros.engine.macro_value(compiled, self._name, {**self._context, **own})
        try:
            return self._inner(*args, **kwargs)
        except MacroReturn as returned:
            return returned.value


class _Config:
    """``config(…)`` records, ``config.get`` and ``config.require`` read what the project says."""

    __slots__ = ("_scope",)
    template_names = ("get", "set", "require")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        for arg in args:
            if not isinstance(arg, dict):
                raise TemplateMessage("config() takes keyword arguments", "config(materialized='table')", "config")
            self._scope.seen.config.update(arg)
        self._scope.seen.config.update(kwargs)
        return ""

    def get(self, name: str, default: Any = None, validator: Any = None) -> Any:
        merged = {**self._scope.config, **self._scope.seen.config}
        value = merged.get(name)
        return default if value is None else value

    def set(self, name: str, value: Any) -> str:
        self._scope.seen.config[name] = value
        return ""

    def require(self, name: str, validator: Any = None) -> Any:
        value = self.get(name)
        if value is None:
            raise TemplateMessage(f"config '{name}' is required and not set", None, name)
        return value


def target_of(profile: Profile) -> SimpleNamespace:
    """``target`` as templates see it; connection details stay out."""
    return SimpleNamespace(
        name=profile.target, target_name=profile.target, profile_name=profile.name, type=profile.type,
        schema=profile.schema, database=profile.database, dbname=profile.database, threads=profile.threads,
    )  # fmt: skip


def build(scope: Scope, macros: Macros) -> dict[str, Any]:
    """The context for rendering one node."""
    profile = scope.profile
    context = plain_context(scope.variables, Environment(scope.env), target_of(profile))
    context |= {
        "ref": lambda *args, **kwargs: _ref(scope, args, kwargs),
        "source": lambda *args: _source(scope, args),
        "config": _Config(scope),
        "is_incremental": lambda: _is_incremental(scope),
        "execute": scope.execute,
        "project_name": scope.project_name,
        "flags": SimpleNamespace(FULL_REFRESH=bool(scope.flags.get("full_refresh")), WHICH=scope.flags.get("which")),
        "model": dict(scope.model),
        "before_begin": lambda sql: packed(sql, False),
        "after_commit": lambda sql: packed(sql, False),
        "in_transaction": lambda sql: packed(sql, True),
        **scope.extra,
    }
    if scope.this is not None:
        context["this"] = scope.this
    macros.bind(context, scope.project_name)
    return context


def _is_incremental(scope: Scope) -> bool:
    scope.seen.incremental = scope.incremental
    return scope.incremental


def _ref(scope: Scope, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> RelationValue:
    if kwargs:
        raise TemplateMessage(f"ref() does not take '{next(iter(kwargs))}'", "models have no versions here", "ref")
    if len(args) not in (1, 2) or not all(isinstance(arg, str) for arg in args):
        raise TemplateMessage("ref() takes the name of a model or seed", "ref('customers')", "ref")
    name = args[-1]
    if len(args) == 2 and args[0] != scope.project_name:
        raise TemplateMessage(f"unknown project '{args[0]}' in ref()", f"this project is '{scope.project_name}'",
                              args[0])  # fmt: skip
    if name not in scope.refs:
        hint = did_you_mean(name, set(scope.refs)) or "no model or seed has that name"
        raise TemplateMessage(f"unknown model or seed '{name}'", hint, name)
    scope.seen.refs[name] = None
    return scope.resolve_ref(name)


def _source(scope: Scope, args: tuple[Any, ...]) -> RelationValue:
    if len(args) != 2 or not all(isinstance(arg, str) for arg in args):
        raise TemplateMessage("source() takes the name of a source and of a table", "source('raw', 'events')", "source")
    known = scope.sources
    if args not in known:
        hint = did_you_mean(".".join(args), (".".join(pair) for pair in known)) or "declare it under sources: in a yml"
        raise TemplateMessage(f"unknown source '{args[0]}.{args[1]}'", hint, args[1])
    scope.seen.sources[(args[0], args[1])] = None
    return scope.resolve_source(args[0], args[1])
