"""Files and properties → nodes, sources and tests: the parse pass, names resolved, configuration merged."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from sqlinfer.errors import Location, ProjectError, RenderError, did_you_mean
from sqlinfer.project import config as configs
from sqlinfer.project import files
from sqlinfer.project.basics import RelationValue
from sqlinfer.project.constraints import read_constraints
from sqlinfer.project.context import Macros, Scope, Seen, build
from sqlinfer.project.datatests import Subject, read_tests
from sqlinfer.project.exposures import with_exposures
from sqlinfer.project.jinja import engine
from sqlinfer.project.pieces import current, digest
from sqlinfer.project.properties import Described, Properties
from sqlinfer.project.schema import ColumnProps
from sqlinfer.project.sources import source_of
from sqlinfer.project.testconfig import checked, stored_at
from sqlinfer.project.values import ColumnInfo, DataTest, Node, NodeConfig, Project, Source
from sqlinfer.project.witness import is_so, watching
from sqlinfer.project.witness import seen as seen_by
from sqlinfer.project.yamlfile import Keys, YamlFile, read_text
from sqlinfer.relation import Relation
from sqlinfer.shown import is_whole
from sqlinfer.spec.constraint import Constraint
from sqlinfer.spec.plain import Coder, NotPlain

GENERIC = "generic"
"""Folder of test-paths that holds ``{% test %}`` blocks."""
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.S)


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    kind: Literal["model", "seed"]
    path: Path
    fqn: tuple[str, ...]
    sql: str = ""


@dataclass(slots=True)
class _Draft:
    file: _File
    seen: Seen
    config: NodeConfig = field(default_factory=NodeConfig)
    unique_key_at: Location | None = None


def nodes(base: Project, described: Properties, trees: Mapping[str, configs.Tree], macros: Macros) -> Project:
    """Fill the project's nodes, sources and tests."""
    files = _files(base)
    _described_exist(described, files)
    names = {file.name: file for file in files}
    drafts = [_draft(base, file, names, described, trees, macros) for file in files]
    enabled = {draft.file.name: draft for draft in drafts if draft.config.enabled}
    sources = {
        f"source.{base.name}.{a}.{b}": source_of(base, (a, b), table) for (a, b), table in described.tables.items()
    }
    naming = Naming(base, macros)
    relations = {name: naming.relation(draft.file, draft.config) for name, draft in enabled.items()}
    _distinct_relations(relations, enabled)
    built = [_node(base, draft, relations, enabled, sources, described) for draft in enabled.values()]
    warnings = [*base.warnings, *described.warnings]
    warnings += [f"constraints of '{n.name}' have no effect without contract: {{enforced: true}}, as in dbt"
                 for n in built if n.constraints and not n.config.contract]  # fmt: skip
    warnings += [f"configuration path '{path}' applies to nothing" for tree in trees.values() for path in tree.unused()]
    project = replace(
        base, nodes={node.unique_id: node for node in built}, sources=sources, warnings=tuple(warnings),
        disabled=tuple(sorted(_unique_id(base, d.file) for d in drafts if not d.config.enabled)),
    )  # fmt: skip
    return _with_tests(with_exposures(project, described.exposures), described, macros)


def _unique_id(project: Project, file: _File) -> str:
    return f"{file.kind}.{project.name}.{file.name}"


def _files(project: Project) -> list[_File]:
    found: dict[str, _File] = {}
    plan: tuple[tuple[Literal["model", "seed"], tuple[Path, ...], str], ...] = (
        ("model", project.model_paths, ".sql"), ("seed", project.seed_paths, ".csv"),
    )  # fmt: skip
    for kind, folders, suffix in plan:
        for folder in folders:
            for path in files.found((folder,), project.root, (suffix,)):
                file = _file(project, kind, folder, path)
                twin = found.get(file.name)
                if twin is not None and twin.path != path:
                    raise ProjectError(f"duplicate name '{file.name}'", hint=f"also in {twin.path}",
                                       location=Location(path, 1))  # fmt: skip
                found[file.name] = file
    return list(found.values())


def _file(project: Project, kind: Literal["model", "seed"], folder: Path, path: Path) -> _File:
    fqn = (project.name, *path.relative_to(folder).parent.parts, path.stem)
    return _File(path.stem, kind, path, fqn, read_text(path) if kind == "model" else "")


def _described_exist(described: Properties, files: Sequence[_File]) -> None:
    for kind, entries in (("model", described.models), ("seed", described.seeds)):
        known = [file.name for file in files if file.kind == kind]
        for name, entry in entries.items():
            if name not in known:
                folder = "models" if kind == "model" else "seeds"
                raise entry.file.error(f"no {kind} is named '{name}'", (*entry.keys, "name"), value=True,
                                       hint=did_you_mean(name, known) or f"add {folder}/{name}")  # fmt: skip


def _draft(project: Project, file: _File, names: Mapping[str, _File], described: Properties,
           trees: Mapping[str, configs.Tree], macros: Macros) -> _Draft:  # fmt: skip
    seed = file.kind == "seed"
    entry = (described.seeds if seed else described.models).get(file.name)
    layers = list(trees["seeds" if seed else "models"].layers_of(file.fqn))
    if entry is not None:
        layers.append(configs.in_yaml(entry.file, entry.props.config, (*entry.keys, "config")))
    outer = configs.merge(layers)
    seen = Seen()
    if not seed and not _off(outer):
        settings = {key: setting.value for key, setting in outer.items()}
        seen = _parse_pass(project, file, names, described, macros, settings)
    layers.append({key: configs.Setting(value, _in_file(file, key)) for key, value in seen.config.items()})
    _see_hooks(project, file, names, described, macros, layers, seen)
    for key in seen.config:
        configs.known_key(key, _in_file(file, key))
    merged = configs.merge(layers)
    unique_key = merged.get("unique_key")
    return _Draft(
        file,
        seen,
        configs.build(merged, seed=seed, warehouse=project.profile.type),
        unique_key.location if unique_key else None,
    )


def _see_hooks(project: Project, file: _File, names: Mapping[str, _File], described: Properties, macros: Macros,
               layers: Sequence[configs.Layer], seen: Seen) -> None:  # fmt: skip
    """What hooks refer to is built before the node, too, as in dbt. What does not render is the node's error later."""
    merged = configs.merge(layers)
    settings = {key: setting.value for key, setting in merged.items()}
    this = RelationValue(Relation(file.name), project.profile.type)
    for key in ("pre_hook", "post_hook"):
        for hook in merged[key].value if key in merged else ():
            called = Seen()
            with suppress(RenderError):
                run_parse(project, hook.sql, None, names, described.tables, macros, called, this=this,
                          config=settings)  # fmt: skip
            seen.refs |= {name: None for name in called.refs if name != file.name}
            seen.sources |= called.sources


def _off(settings: Mapping[str, configs.Setting]) -> bool:
    return "enabled" in settings and settings["enabled"].value is False


def _in_file(file: _File, key: str) -> Location:
    start = max(0, file.sql.find("config("))
    return configured_at(file.sql, key, file.path) or Location.in_source(file.sql, start, start + 6, path=file.path)


def configured_at(sql: str, key: str, path: Path) -> Location | None:
    """Where ``config(key=…)`` stands, as well as text can tell."""
    found = re.compile(rf"""(?<!\w)['"]?({re.escape(key)})['"]?\s*[=:]""").search(sql, max(0, sql.find("config(")))
    return Location.in_source(sql, found.start(1), found.end(1), path=path) if found else None


def _parse_pass(project: Project, file: _File, names: Mapping[str, Any], described: Properties, macros: Macros,
                config: Mapping[str, Any]) -> Seen:  # fmt: skip
    """What the file calls, on a first night and on later ones; its configuration is that of a first night."""
    pieces = current()
    if pieces is None:
        return _parsed_anew(project, file, names, described, macros, config)
    key = digest("parse", macros.asked_in(project), file.sql, str(file.path), file.name, repr(sorted(config.items())),
                 repr(sorted(project.functions)))  # fmt: skip
    found = pieces.find(key)
    with suppress(NotPlain):
        if found is not None and _still_so(found, project, names, described, macros):
            return _recalled(found)
    with watching() as witness:
        parsed = _parsed_anew(project, file, names, described, macros, config)
    with suppress(NotPlain):
        if not witness.fleeting:
            pieces.keep(key, {
                "refs": [*parsed.refs], "sources": [list(pair) for pair in parsed.sources],
                "config": Coder().encode(dict[str, Any], parsed.config), "incremental": parsed.incremental,
                "functions": [*parsed.functions],
                "env": witness.env, "macros": {path: macros.texts.get(path) for path in witness.macros},
            })  # fmt: skip
    return parsed


def _still_so(found: Mapping[str, Any], project: Project, names: Mapping[str, Any], described: Properties,
              macros: Macros) -> bool:  # fmt: skip
    """Whether what a model called is there, and was not changed."""
    there = all(name in names for name in found["refs"]) and all(tuple(p) in described.tables for p in found["sources"])
    same = all(macros.texts.get(path) == told for path, told in found["macros"].items())
    return there and same and all(is_so(project.env.get(name), told) for name, told in found["env"].items())


def _recalled(found: Mapping[str, Any]) -> Seen:
    """Raises NotPlain."""
    config = Coder().decode(dict[str, Any], found["config"])
    for witness in seen_by():
        witness.env |= found["env"]
        witness.macros |= found["macros"].keys()
    sources = dict.fromkeys((first, second) for first, second in found["sources"])
    return Seen(dict.fromkeys(found["refs"]), sources, config, found["incremental"], dict.fromkeys(found["functions"]))


def _parsed_anew(project: Project, file: _File, names: Mapping[str, Any], described: Properties, macros: Macros,
                 config: Mapping[str, Any]) -> Seen:  # fmt: skip
    first, later = Seen(), Seen()
    this = RelationValue(Relation(file.name), project.profile.type)
    for seen, incremental in ((first, False), (later, True)):
        run_parse(project, file.sql, file.path, names, described.tables, macros, seen, this=this,
                  config=config, incremental=incremental)  # fmt: skip
        if first.incremental is None:
            break
    return replace(
        first, refs=first.refs | later.refs, sources=first.sources | later.sources,
        functions=first.functions | later.functions,
    )  # fmt: skip


def run_parse(project: Project, sql: str, path: Path | None, refs: Collection[str],
              sources: Collection[tuple[str, str]], macros: Macros, seen: Seen, *, this: RelationValue | None = None,
              config: Mapping[str, Any] | None = None, incremental: bool = False,
              extra: Mapping[str, Any] | None = None) -> None:  # fmt: skip
    """Render once without a database, to see what the template calls."""
    dialect = project.profile.type
    scope = Scope(
        project.name, project.profile, project.vars, project.env, refs, sources,
        lambda name: RelationValue(Relation(name), dialect), lambda a, b: RelationValue(Relation(b, a), dialect),
        this=this, config=config or {}, incremental=incremental, seen=seen,
        extra=extra or {},
    )  # fmt: skip
    compiled = engine().compile(sql, path)
    rendered = engine().run(compiled, build(scope, macros), macros=macros.files)
    seen.functions |= dict.fromkeys(mentioned(rendered.text, project.functions))
    for key, value in seen.config.items():
        if not is_whole(value):
            raise ProjectError(f"config '{key}' holds half a character", location=Location(path, 1))


@dataclass(slots=True)
class Naming:
    """dbt's rules for names; a project's own ``generate_schema_name``, … macros replace them, as in dbt."""

    project: Project
    macros: Macros

    def relation(self, file: _File, config: NodeConfig) -> Relation:
        profile = self.project.profile
        names: dict[str, tuple[str | None, str | None]] = {
            "alias": (config.alias, config.alias or file.name),
            "schema": (config.schema, _with_prefix(profile.schema, config.schema)),
            "database": (config.database, config.database or profile.database),
        }
        alias, schema, database = (self._name(kind, *names[kind], file, config) for kind in names)
        return Relation(alias or file.name, schema, database)

    def _name(self, kind: str, custom: str | None, usual: str | None, file: _File, config: NodeConfig) -> str | None:
        macro = f"generate_{kind}_name"
        if macro not in self.macros.by_name:
            return usual
        project = self.project
        scope = Scope(project.name, project.profile, project.vars, project.env, (), (), _none, _none, execute=True)
        node = {
            "name": file.name, "unique_id": _unique_id(project, file), "resource_type": file.kind,
            "package_name": project.name, "fqn": list(file.fqn), "tags": list(config.tags),
            "config": {one.name: getattr(config, one.name) for one in fields(config)},
            "path": str(file.path), "schema": config.schema, "alias": config.alias, "database": config.database,
        }  # fmt: skip
        context = build(scope, self.macros) | {"_custom": custom, "_node": node}
        compiled = engine().compile(f"{{{{ {macro}(_custom, _node) }}}}")
        return engine().run(compiled, context, macros=self.macros.files).text.strip() or usual


def _with_prefix(schema: str, custom: str | None) -> str:
    return f"{schema}_{custom.strip()}" if custom else schema


def _none(*_: str) -> RelationValue:
    raise AssertionError("names are generated without ref() and source()")


def _distinct_relations(relations: Mapping[str, Relation], drafts: Mapping[str, _Draft]) -> None:
    owners: dict[Relation, str] = {}
    for name, relation in relations.items():
        if drafts[name].config.materialized in ("ephemeral", "external"):
            continue
        first = owners.setdefault(relation.folded(), name)
        if first != name:
            raise ProjectError(f"'{first}' and '{name}' both write {relation}", hint="give one of them another alias",
                               location=Location(drafts[name].file.path, 1))  # fmt: skip


def _node(project: Project, draft: _Draft, relations: Mapping[str, Relation], enabled: Mapping[str, _Draft],
          sources: Mapping[str, Source], described: Properties) -> Node:  # fmt: skip
    file = draft.file
    for name in draft.seen.refs:
        if name not in enabled:
            at = max(0, file.sql.find(name))
            where = Location.in_source(file.sql, at, at + len(name), path=file.path)
            raise ProjectError(f"'{file.name}' depends on '{name}', which is disabled", location=where)
    entry = (described.seeds if file.kind == "seed" else described.models).get(file.name)
    return Node(
        unique_id=_unique_id(project, file), name=file.name, resource_type=file.kind, path=file.path,
        raw_sql=file.sql, relation=relations[file.name], config=_located(_with_meta(draft.config, entry), project.root),
        description=entry.props.description if entry else "", tags=draft.config.tags, fqn=file.fqn,
        depends_on=tuple(_unique_id(project, enabled[name].file) for name in draft.seen.refs),
        sources=tuple(f"source.{project.name}.{a}.{b}" for a, b in draft.seen.sources),
        functions=tuple(draft.seen.functions),
        patch=entry.file.locate((*entry.keys, "name"), value=True) if entry else None,
        unique_key_at=draft.unique_key_at,
        constraints=tuple(_constraints(entry, project, relations, sources)) if entry else (),
    )  # fmt: skip


def _constraints(entry: Described, project: Project, relations: Mapping[str, Relation],
                 sources: Mapping[str, Source]) -> Iterator[Constraint]:  # fmt: skip
    def resolve(function: str, names: tuple[str, ...]) -> str | None:
        if function == "source":
            source = sources.get(f"source.{project.name}.{'.'.join(names)}")
            return source.relation.sql(project.profile.type) if source else None
        found = relations.get(names[-1])
        return found.sql(project.profile.type) if found else None

    def place(keys: Keys) -> Callable[[int, str], Location]:
        return lambda number, key: entry.file.locate((*keys, "constraints", number, *([key] if key else [])))

    yield from read_constraints(entry.props.constraints, None, place(entry.keys), resolve)
    for index, column in enumerate(entry.props.columns or ()):
        here = place((*entry.keys, "columns", index))
        yield from read_constraints(column.constraints, column.name, here, resolve)


def _with_meta(config: NodeConfig, entry: Described | None) -> NodeConfig:
    return replace(config, meta={**entry.props.meta, **config.meta}) if entry and entry.props.meta else config


def _located(config: NodeConfig, root: Path) -> NodeConfig:
    """The location of an external model is relative to the project, whatever folder the command is run in."""
    if not config.location or "://" in config.location:
        return config
    end = "/" if config.location.endswith("/") else ""
    return replace(config, location=str(root / Path(config.location).expanduser()) + end)


def mentioned(sql: str, functions: Mapping[str, Any]) -> tuple[str, ...]:
    """Declared functions that the rendered SQL calls, by name in predict() or directly."""
    if not functions or not sql:
        return ()
    text = _COMMENT.sub(" ", sql)
    words = set(re.findall(r"[A-Za-z_]\w*", text)) if text else set()
    folded = {word.casefold() for word in words}
    return tuple(name for name in functions if name.casefold() in folded and _call(re.escape(name)).search(text))


def _call(name: str) -> re.Pattern[str]:
    """``f(…)``, ``predict('f', …)``, ``ML.PREDICT(MODEL f, …)``."""
    return re.compile(
        rf"""(?<![\w.'"]){name}\s*\(|\bpredict\s*\(\s*['"`]?{name}\b|\bmodel\s+[\w.'"`]*\b{name}\b""", re.IGNORECASE
    )


# ---- tests --------------------------------------------------------------------------------------------------------


def _with_tests(project: Project, described: Properties, macros: Macros) -> Project:
    built = {}
    known = tuple(node.name for node in project.nodes.values())
    for key, node in project.nodes.items():
        entry = (described.seeds if node.resource_type == "seed" else described.models).get(node.name)
        if entry is not None:
            subject = _subject(project, known, node.name, key, entry.file, described, macros)
            columns, tests = _columns_and_tests(entry.props, subject, entry.keys)
            node = replace(node, columns=columns, tests=tests)
        built[key] = node
    sources = {}
    for (first, second), table in described.tables.items():
        key = f"source.{project.name}.{first}.{second}"
        subject = _subject(project, known, f"{first}_{second}", key, table.file, described, macros)
        columns, tests = _columns_and_tests(table.table, subject, table.keys)
        sources[key] = replace(project.sources[key], columns=columns, tests=tests)
    generic = [test for node in built.values() for test in node.tests]
    generic += [test for source in sources.values() for test in source.tests]
    singular = _singular(project, described, macros)
    return replace(project, nodes=built, sources=sources, tests=_by_id([*generic, *singular]))


def _by_id(tests: Sequence[DataTest]) -> dict[str, DataTest]:
    found: dict[str, DataTest] = {}
    for test in tests:
        twin = found.get(test.unique_id)
        if twin is not None:
            hint = f"also at {twin.location}; give one of them a name:"
            raise ProjectError(f"duplicate test '{test.name}'", hint=hint, location=test.location)
        found[test.unique_id] = test
    return found


def _subject(project: Project, known: tuple[str, ...], name: str, unique_id: str, file: YamlFile,
             described: Properties, macros: Macros) -> Subject:  # fmt: skip
    """``known``: names of all nodes."""

    def called(sql: str) -> Iterable[str]:
        """What a test of the project's own refers to."""
        seen, tested = Seen(), {"model": RelationValue(Relation(name), project.profile.type)}
        run_parse(project, sql, None, known, tuple(described.tables), macros, seen, extra=tested)
        return _called(project, seen)

    def relation(function: str, first: str, second: str | None) -> tuple[str, Relation] | None:
        if function == "source":
            source = project.sources.get(f"source.{project.name}.{first}.{second}")
            return (source.unique_id, source.relation) if source else None
        node = project.node(second or first)
        return (node.unique_id, node.relation) if node else None

    target = project.profile
    own = [macro for macro in macros.by_name if macro.startswith("test_")]
    return Subject(project.name, name, unique_id, file, relation, known, target.schema, target.database, own, called)


def _called(project: Project, seen: Seen) -> tuple[str, ...]:
    return (*(node.unique_id for name in seen.refs if (node := project.node(name))),
            *(f"source.{project.name}.{a}.{b}" for a, b in seen.sources))  # fmt: skip


def _columns_and_tests(props: Any, subject: Subject, keys: Keys) -> tuple[tuple[ColumnInfo, ...], tuple[DataTest, ...]]:
    columns = []
    seen: set[str] = set()
    for index, column in enumerate(props.columns or ()):
        here = (*keys, "columns", index)
        if column.name.casefold() in seen:
            raise subject.file.error(f"duplicate column '{column.name}'", (*here, "name"), value=True)
        seen.add(column.name.casefold())
        tests = _tests(column, subject, here, column.name)
        columns.append(ColumnInfo(column.name, column.data_type, column.description, tests))
    own = _tests(props, subject, keys, None)
    return tuple(columns), (*own, *(test for column in columns for test in column.tests))


def _tests(props: ColumnProps | Any, subject: Subject, keys: Keys, column: str | None) -> tuple[DataTest, ...]:
    key = "data_tests" if props.data_tests is not None else "tests"
    quoted = column is not None and bool(props.quote)
    return read_tests(getattr(props, key), (*keys, key), column, subject, quoted=quoted)


def _singular(project: Project, described: Properties, macros: Macros) -> list[DataTest]:
    found = []
    names = tuple(node.name for node in project.nodes.values())
    for path in files.found(project.test_paths, project.root, (".sql",)):
        if any(path.is_relative_to(folder / GENERIC) for folder in project.test_paths):
            continue
        sql, seen = read_text(path), Seen()
        run_parse(project, sql, path, names, tuple(described.tables), macros, seen)
        test = _singular_test(project, path, sql, seen)
        if test is not None:
            found.append(test)
    return found


def _singular_test(project: Project, path: Path, sql: str, seen: Seen) -> DataTest | None:
    file = _File(path.stem, "model", path, (), sql)

    def fail(key: str, message: str, hint: str | None) -> ProjectError:
        return ProjectError(message, hint=hint, location=_in_file(file, key))

    config = checked(seen.config, fail)
    if config.get("enabled") is False:
        return None
    depends = _called(project, seen)
    tags = config.get("tags") or ()
    return DataTest(
        f"test.{project.name}.{path.stem}", path.stem, "singular", None, severity=config["severity"],
        where=config.get("where"), error_if=str(config.get("error_if", "!= 0")),
        warn_if=str(config.get("warn_if", "!= 0")), config=config,
        tags=(tags,) if isinstance(tags, str) else tuple(tags), depends_on=depends, sql=sql, location=Location(path, 1),
        stored=stored_at(config, path.stem, project.profile.schema, project.profile.database),
    )  # fmt: skip
