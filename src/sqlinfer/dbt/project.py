"""A dbt project's manifest → our Project: models are nodes, those materialised as ``prediction`` can be compiled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from sqlinfer import scrub
from sqlinfer.compiler.calls.canonical import may_call
from sqlinfer.compiler.template.render import refuse_uncompiled
from sqlinfer.dbt.home import DbtHome, read_functions, read_home, read_profile
from sqlinfer.dbt.manifest import Manifest, deferred_to, is_prediction, read_manifest, refuse_stale, relation_of
from sqlinfer.dbt.tests import tests_of
from sqlinfer.errors import CompileError, Location, ProjectError, did_you_mean
from sqlinfer.jobs.options import RunOptions
from sqlinfer.project import ColumnInfo, DataTest, Node, NodeConfig, Profile, Project, Source
from sqlinfer.project.config import Setting, build
from sqlinfer.project.constraints import read_constraints
from sqlinfer.project.discover import configured_at, mentioned
from sqlinfer.project.every_time import names_of
from sqlinfer.project.hooks import read_hooks
from sqlinfer.project.packages import cross_database
from sqlinfer.project.prices import read_prices
from sqlinfer.project.schema import OF_POSTGRES, REFUSED
from sqlinfer.project.secret import public
from sqlinfer.project.values import MacroFile, Materialized
from sqlinfer.relation import Relation
from sqlinfer.spec.constraint import Constraint

CHANGES = ("ignore", "fail", "append_new_columns", "sync_all_columns")
STRATEGIES = ("append", "delete+insert", "merge")
_MACRO = re.compile(r"\s*\{%-?\s*macro\b")
_DBTS_OWN = re.compile(r"dbt|dbt_(duckdb|postgres|spark|snowflake|bigquery|redshift|databricks)|sqlinfer")
_OURS = ("lineage", "publish_timeout", "max_error_rate", "decision", "keep_inputs")
"""Packages whose macros ask the warehouse while they render."""
"""Neither a test nor a materialization."""
_PLAIN = ("view", "ephemeral", "table", "incremental")


def home_of(options: RunOptions, env: Mapping[str, str]) -> DbtHome:
    return read_home(options.project_dir, options.vars, env)


def profile_of(home: DbtHome, options: RunOptions) -> Profile:
    return read_profile(
        home, profiles_dir=options.profiles_dir, profile=options.profile, target=options.target
    )  # fmt: skip


def functions_only(home: DbtHome, profile: Profile) -> Project:
    """The project without its models: enough to prepare and call its functions."""
    return Project(
        name=home.name, version=None, root=home.root, profile=profile, vars=home.variables,
        functions=read_functions(home, profile.type), env=public(home.env), function_paths=home.function_folders,
        target_path=home.private, prices=read_prices(home.settings.get("prices"), home.file, ("vars", "sqlinfer")),
    )  # fmt: skip


def load_project(home: DbtHome, profile: Profile, path: Path, *, fresh: bool = False,
                 deferring: RunOptions | None = None) -> tuple[Project, Manifest]:  # fmt: skip
    """The project as the manifest tells it.

    Args:
        fresh: the manifest was written just now; otherwise it is compared with the project's files.
        deferring: with ``defer``, tests look where dbt has let the SQL look.

    Raises:
        ProjectError: the manifest is stale, or a prediction node is configured in a way that cannot be done.
    """
    manifest = read_manifest(path)
    if not fresh:
        refuse_stale(manifest, home.root, home.name)
    state = (deferring.defer_state or deferring.state) if deferring is not None and deferring.defer else None
    if deferring is not None and state is not None:
        manifest = deferred_to(manifest, state, favor=deferring.favor_state)
    base = functions_only(home, profile)
    nodes = {
        key: _node(node, manifest, home, base)
        for key, node in manifest.nodes.items()
        if node.get("resource_type") in ("model", "seed", "snapshot")
    }
    sources = {key: _source(source) for key, source in manifest.sources.items()}
    tests = {test.unique_id: test for node in nodes.values() for test in node.tests}
    base = replace(base, hook_macros=_hook_macros(manifest, home, nodes.values()))
    return _with(base, nodes, sources, tests, manifest.warnings), manifest


def _with(base: Project, nodes: dict[str, Node], sources: dict[str, Source], tests: dict[str, DataTest],
          warnings: tuple[str, ...]) -> Project:  # fmt: skip
    project = replace(base, nodes=nodes, sources=sources, tests=tests, warnings=warnings)
    scrub.spare(names_of(project))
    return project


def _hook_macros(manifest: Manifest, home: DbtHome, nodes: Iterable[Node]) -> tuple[MacroFile, ...]:
    """Macros of the project and of its packages, where a hook of a prediction node may call one."""
    if not any(hook for node in nodes for hook in (*node.config.pre_hook, *node.config.post_hook)):
        return ()
    found = [cross_database()]
    for macro in manifest.macros.values():
        text, package = str(macro.get("macro_sql") or ""), str(macro.get("package_name"))
        if _MACRO.match(text) and not _DBTS_OWN.fullmatch(package):
            path = home.root / str(macro["original_file_path"])
            found.append(MacroFile(path, text, (str(macro["name"]),), None if package == home.name else package))
    return tuple(found)


def _source(source: Mapping[str, Any]) -> Source:
    relation = Relation(source.get("identifier") or source["name"], source.get("schema"), source.get("database"))
    return Source(
        source["unique_id"], source["source_name"], source["name"], relation, source.get("description") or "",
        tags=tuple(source.get("tags") or ()), fqn=tuple(source.get("fqn") or ()),
    )  # fmt: skip


def _node(node: Mapping[str, Any], manifest: Manifest, home: DbtHome, base: Project) -> Node:
    path = _file_of(node, home)
    ours = is_prediction(node)
    sql = node.get("compiled_code") if ours else None
    compiled = home.root / node["compiled_path"] if node.get("compiled_path") else None
    return Node(
        unique_id=node["unique_id"], name=node["name"],
        resource_type="seed" if node["resource_type"] == "seed" else "model", path=path,
        raw_sql=node.get("raw_code") or "",
        relation=relation_of(node),
        config=_config(node, path, base.profile.type) if ours else _plain_config(node),
        description=node.get("description") or "",
        columns=tuple(_column(one) for one in (node.get("columns") or {}).values()),
        tests=tests_of(manifest, node["unique_id"]) if ours else (), tags=tuple(node.get("tags") or ()),
        fqn=tuple(node.get("fqn") or ()), depends_on=tuple(k for k in manifest.parents(node["unique_id"])
                                                            if k in manifest.nodes),
        sources=tuple(k for k in manifest.parents(node["unique_id"]) if k in manifest.sources),
        functions=mentioned(sql or "", base.functions), compiled=sql,
        compiled_path=compiled if compiled and compiled.is_file() else None,
        asks_incremental=ours and _asks_incremental(node, manifest),
        constraints=tuple(_constraints(node, manifest, path)) if ours else (),
        unique_key_at=configured_at(node.get("raw_code") or "", "unique_key", path) if ours else None,
    )  # fmt: skip


def _constraints(node: Mapping[str, Any], manifest: Manifest, path: Path) -> Iterator[Constraint]:
    def resolve(function: str, names: tuple[str, ...]) -> str | None:
        known = manifest.sources if function == "source" else manifest.nodes
        for key in manifest.parents(node["unique_id"]):
            if key in known and known[key]["name"] == names[-1]:
                return str(known[key].get("relation_name") or "") or None
        return None

    def place(number: int, key: str) -> Location:
        return Location(path)

    yield from read_constraints(_given(node.get("constraints")), None, place, resolve)
    for column in (node.get("columns") or {}).values():
        yield from read_constraints(_given(column.get("constraints")), column["name"], place, resolve)


def _given(constraints: Any) -> list[dict[str, Any]]:
    """Without the keys that dbt has filled in with nothing."""
    return [{key: value for key, value in one.items() if value is not None} for one in constraints or ()]


def _asks_incremental(node: Mapping[str, Any], manifest: Manifest) -> bool:
    """dbt's own ``is_incremental()`` does not count: it is false for every node that is no dbt incremental model."""
    names = (macro.split(".", 2) for macro in manifest.macros_of(node))
    return any(len(parts) == 3 and parts[1] != "dbt" and parts[2] == "is_incremental" for parts in names)


def _file_of(node: Mapping[str, Any], home: DbtHome) -> Path:
    package = node.get("package_name")
    base = home.root if package == home.name else home.packages_path / str(package)
    return base / str(node.get("original_file_path", ""))


def _column(column: Mapping[str, Any]) -> ColumnInfo:
    return ColumnInfo(column["name"], column.get("data_type"), column.get("description") or "")


def _plain_config(node: Mapping[str, Any]) -> NodeConfig:
    """dbt-duckdb's external nodes are views over files, which our own connection must be allowed to read."""
    config = node.get("config") or {}
    kind, location = config.get("materialized"), None
    if kind == "external":
        location = str(config.get("location") or f"{node.get('alias') or node['name']}.parquet")
    elif kind not in _PLAIN:
        kind = "table"
    return NodeConfig(materialized=cast(Materialized, kind), tags=tuple(config.get("tags") or ()), location=location)


def _config(node: Mapping[str, Any], path: Path, warehouse: str) -> NodeConfig:
    """The configuration of a prediction node; our own keys stand in ``meta: {sqlinfer: {…}}`` or beside dbt's."""
    config = node.get("config") or {}
    settings = {**config, **_own(node, path)}
    for key, way in (REFUSED if warehouse == "postgres" else REFUSED | OF_POSTGRES).items():
        if config.get(key):
            where = configured_at(node.get("raw_code") or "", key, path) or Location(path)
            said = f"'{node['name']}': '{key}' is not supported on a prediction node"
            raise ProjectError(said, hint=way, location=where)
    keys = _names(config.get("unique_key"))
    strategy = config.get("incremental_strategy")
    if strategy is not None and strategy not in STRATEGIES:
        raise ProjectError(
            f"'{node['name']}': incremental_strategy '{strategy}' is not one of {', '.join(STRATEGIES)}",
            location=Location(path),
        )
    if strategy in ("merge", "delete+insert") and not keys:
        raise ProjectError(f"'{node['name']}': {strategy} needs a unique_key", location=Location(path))
    beside = _beside(node, settings, path, warehouse)
    return NodeConfig(
        materialized="incremental" if keys or strategy else "table", unique_key=keys, incremental_strategy=strategy,
        on_schema_change=_one_of(config, "on_schema_change", CHANGES, node, path),
        on_missing=_one_of(settings, "on_missing", ("keep", "delete"), node, path),
        lineage=beside.lineage,
        tags=tuple(config.get("tags") or ()), contract=bool((config.get("contract") or {}).get("enforced")),
        meta=config.get("meta") or {}, full_refresh=config.get("full_refresh"),
        pre_hook=read_hooks(config.get("pre-hook"), "pre-hook", Location(path)),
        post_hook=read_hooks(config.get("post-hook"), "post-hook", Location(path)),
        publish_timeout=beside.publish_timeout, max_error_rate=beside.max_error_rate, decision=beside.decision,
        keep_inputs=beside.keep_inputs,
        indexes=beside.indexes, unlogged=beside.unlogged, grants=beside.grants,
        extra={"materialized": "prediction"},
    )  # fmt: skip


def _own(node: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """What stands under ``meta: {sqlinfer: {…}}``. Raises ProjectError: a key that is none of ours."""
    own = ((node.get("config") or {}).get("meta") or {}).get("sqlinfer") or {}
    known = ("on_missing", *_OURS)
    for key in own if isinstance(own, dict) else (own,):
        if key not in known:
            hint = did_you_mean(str(key), known) or f"known: {', '.join(known)}"
            where = configured_at(node.get("raw_code") or "", str(key), path) or Location(path)
            raise ProjectError(f"'{node['name']}': unknown key '{key}' in meta.sqlinfer", hint=hint, location=where)
    return cast(Mapping[str, Any], own)


def _beside(node: Mapping[str, Any], settings: Mapping[str, Any], path: Path, warehouse: str) -> NodeConfig:
    """What the node asks for beside its rows: indexes, rights, a table that is not logged, and keys of our own."""
    sql = node.get("raw_code") or ""
    asked = [key for key in OF_POSTGRES if settings.get(key)]
    asked += [key for key in _OURS if settings.get(key) is not None]
    given = {key: Setting(settings[key], configured_at(sql, key, path) or Location(path)) for key in asked}
    return build(given, warehouse=warehouse)


def _one_of(settings: Mapping[str, Any], key: str, known: tuple[str, ...], node: Mapping[str, Any], path: Path) -> Any:
    """A setting that names one of few ways; the first of them where it is not set."""
    value = settings.get(key) or known[0]
    if value not in known:
        hint = did_you_mean(str(value), known) or "known: " + ", ".join(known)
        where = configured_at(node.get("raw_code") or "", key, path) or Location(path)
        raise ProjectError(f"'{node['name']}': {key} '{value}' is not allowed", hint=hint, location=where)
    return value


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def check_compiled(node: Node, project: Project) -> None:
    """Raises CompileError where a prediction node has no compiled SQL, or nothing in it to predict."""
    where = Location(node.compiled_path or node.path)
    refuse_uncompiled(node)
    if not may_call(node.compiled or "", cast(Any, project.functions)):
        hint = "call {{ sqlinfer.predict('function', …) }} in it, or give it another materialization"
        raise CompileError(f"'{node.name}' is materialized as prediction and has no predict()", hint=hint,
                           location=where)  # fmt: skip
