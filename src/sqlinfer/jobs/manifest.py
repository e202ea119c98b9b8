"""manifest.json in dbt's v12 form. In: a project and the compiled SQL. Out: JSON-ready values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlinfer.project import DataTest, FunctionConfig, Node, Project, Source
from sqlinfer.project.aspects import Aspects
from sqlinfer.project.values import Exposure, Hook
from sqlinfer.relation import Relation
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.lineage import CallOrigin, ColumnLineage

SCHEMA = "https://schemas.getdbt.com/dbt/manifest/v12.json"


def build(
    project: Project,
    compiled: Mapping[str, str],
    contracts: Mapping[str, FunctionContract],
    aspects: Mapping[str, Aspects],
    *,
    version: str,
    invocation_id: str,
    lineage: Mapping[str, tuple[ColumnLineage, ...]],
) -> dict[str, Any]:
    """``compiled`` maps the unique_id of each compiled node to its SQL; ``aspects`` are for ``state:modified``.
    ``lineage``: of the columns of compiled nodes."""
    parents = _parents(project)
    members: tuple[Source | Node, ...] = (*project.sources.values(), *project.nodes.values())
    known = {str(member.relation).casefold(): member.unique_id for member in members}

    def compared(entry: dict[str, Any]) -> dict[str, Any]:
        return entry | {"sqlinfer": {"aspects": dict(aspects[entry["unique_id"]])}}

    return {
        "metadata": {
            "dbt_schema_version": SCHEMA,
            "generated_by": "sqlinfer",
            "sqlinfer_version": version,
            "generated_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "invocation_id": invocation_id,
            "project_name": project.name,
            "adapter_type": project.profile.type,
        },
        "nodes": {
            **{
                uid: compared(_node(project, node, compiled.get(uid), lineage.get(uid, ()), known))
                for uid, node in project.nodes.items()
            },
            **{uid: compared(_test(project, test)) for uid, test in project.tests.items()},
        },
        "sources": {uid: compared(_source(project, source)) for uid, source in project.sources.items()},
        "functions": {
            _function_id(project, name): _function(project, config, contracts.get(name))
            for name, config in project.functions.items()
        },
        "macros": {},
        "exposures": {uid: _exposure(project, exposure) for uid, exposure in project.exposures.items()},
        "metrics": {},
        "disabled": {uid: [] for uid in project.disabled},
        "parent_map": parents,
        "child_map": _children(parents),
    }


def _node(
    project: Project, node: Node, compiled: str | None, lineage: Iterable[ColumnLineage], known: Mapping[str, str]
) -> dict[str, Any]:
    """``known``: folded names of relations → unique_ids."""
    path = _relative(node.path, project)
    return {
        "unique_id": node.unique_id,
        "name": node.name,
        "resource_type": node.resource_type,
        "package_name": project.name,
        "path": path,
        "original_file_path": path,
        **_place(node.relation),
        "alias": node.relation.name,
        "relation_name": node.relation.sql(),
        "fqn": list(node.fqn),
        "tags": list(node.tags),
        "description": node.description,
        "columns": _columns(project, node, lineage, known),
        "config": _config(node),
        "meta": dict(node.config.meta),
        "checksum": _checksum(node),
        "raw_code": node.raw_sql,
        "language": "sql",
        "compiled": compiled is not None,
        "compiled_code": compiled,
        "depends_on": {"macros": [], "nodes": [*node.depends_on, *(_function_id(project, f) for f in node.functions)]},
        "sources": list(node.sources),
    }


def _columns(
    project: Project, node: Node, lineage: Iterable[ColumnLineage], known: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Those that are described, and those that hold predictions: ``meta.sqlinfer.predicted_by`` says of what."""
    found: dict[str, dict[str, Any]] = {
        column.name: {"name": column.name, "data_type": column.data_type, "description": column.description}
        for column in node.columns
    }
    names = {name.casefold(): name for name in found}
    for one in lineage:
        if one.calls:
            name = names.get(one.column.casefold(), one.column)
            entry = found.setdefault(name, {"name": name, "data_type": None, "description": ""})
            entry["meta"] = {"sqlinfer": {"predicted_by": [_call(project, call, known) for call in one.calls]}}
    return found


def _call(project: Project, call: CallOrigin, known: Mapping[str, str]) -> dict[str, Any]:
    return {
        "function": _function_id(project, call.function),
        "digest": call.digest,
        "arguments": {
            name: [
                {"unique_id": known.get(one.relation.casefold()), "relation": one.relation, "column": one.column}
                for one in origins
            ]
            for name, origins in call.arguments
        },
    }


def _config(node: Node) -> dict[str, Any]:
    config = asdict(node.config)
    config.update(config.pop("extra"))
    config |= {name: [hook.as_dbt() for hook in hooks] for name, hooks in _hooks(node)}
    config["contract"] = {"enforced": node.config.contract}
    return config


def _hooks(node: Node) -> Iterable[tuple[str, Iterable[Hook]]]:
    return (("pre_hook", node.config.pre_hook), ("post_hook", node.config.post_hook))


def _test(project: Project, test: DataTest) -> dict[str, Any]:
    return {
        "unique_id": test.unique_id,
        "name": test.name,
        "resource_type": "test",
        "package_name": project.name,
        "original_file_path": _relative(test.location.path, project) if test.location and test.location.path else "",
        "attached_node": test.node,
        "column_name": test.column,
        "test_metadata": {"name": test.kind, "kwargs": dict(test.arguments)},
        "config": {"severity": test.severity, "where": test.where, "error_if": test.error_if, "warn_if": test.warn_if},
        "tags": list(test.tags),
        "raw_code": test.sql or "",
        "depends_on": {"macros": [], "nodes": list(test.depends_on) or ([test.node] if test.node else [])},
    }


def _source(project: Project, source: Source) -> dict[str, Any]:
    return {
        "unique_id": source.unique_id,
        "name": source.name,
        "source_name": source.source_name,
        "resource_type": "source",
        "package_name": project.name,
        **_place(source.relation),
        "identifier": source.relation.name,
        "relation_name": source.relation.sql(),
        "fqn": list(source.fqn),
        "tags": list(source.tags),
        "description": source.description,
        "columns": {c.name: {"name": c.name, "data_type": c.data_type} for c in source.columns},
        "meta": dict(source.meta),
    }


def _exposure(project: Project, one: Exposure) -> dict[str, Any]:
    path = _relative(one.location.path, project) if one.location and one.location.path else ""
    return {
        "unique_id": one.unique_id,
        "name": one.name,
        "resource_type": "exposure",
        "package_name": project.name,
        "path": path,
        "original_file_path": path,
        "fqn": [project.name, one.name],
        "type": one.type,
        "owner": dict(one.owner),
        "label": one.label,
        "description": one.description,
        "url": one.url,
        "maturity": one.maturity,
        "tags": list(one.tags),
        "meta": dict(one.meta),
        "config": {"enabled": True, "tags": list(one.tags), "meta": dict(one.meta)},
        "depends_on": {"macros": [], "nodes": list(one.depends_on)},
        "refs": [],
        "sources": [],
    }


def _function(project: Project, config: FunctionConfig, contract: FunctionContract | None) -> dict[str, Any]:
    return {
        "unique_id": _function_id(project, config.name),
        "name": config.name,
        "resource_type": "function",
        "package_name": project.name,
        "original_file_path": _relative(config.location.path, project) if config.location.path else "",
        "description": config.description,
        "arguments": [{"name": a.name, "data_type": a.data_type} for a in (contract or config).arguments],
        "returns": {"data_type": contract.return_type if contract else None},
        "tags": list(config.tags),
        "config": {
            "type": "scalar",
            "volatility": "deterministic",
            "enabled": config.enabled,
            "meta": {"sqlinfer": {"source": config.source, "digest": contract.digest if contract else None}},
        },
    }


def _place(relation: Relation) -> dict[str, str | None]:
    return {"database": relation.catalog, "schema": relation.schema}


def _relative(path: Path, project: Project) -> str:
    return path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else path.as_posix()


def _checksum(node: Node) -> dict[str, str]:
    content = node.raw_sql.encode() if node.resource_type == "model" else node.path.read_bytes()
    return {"name": "sha256", "checksum": sha256(content).hexdigest()}


def _function_id(project: Project, name: str) -> str:
    return f"function.{project.name}.{name}"


def _parents(project: Project) -> dict[str, list[str]]:
    parents: dict[str, list[str]] = {uid: [] for uid in project.sources}
    parents |= {_function_id(project, name): [] for name in project.functions}
    for uid, node in project.nodes.items():
        functions = (_function_id(project, name) for name in node.functions)
        parents[uid] = sorted({*node.depends_on, *node.sources, *functions})
    parents |= {uid: sorted(exposure.depends_on) for uid, exposure in project.exposures.items()}
    for uid, test in project.tests.items():
        parents[uid] = sorted({*test.depends_on, *([test.node] if test.node else ())})
    return parents


def _children(parents: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    children: dict[str, list[str]] = defaultdict(list)
    for child, above in parents.items():
        children[child] = children[child]
        for parent in above:
            children[parent].append(child)
    return {uid: sorted(below) for uid, below in sorted(children.items())}
