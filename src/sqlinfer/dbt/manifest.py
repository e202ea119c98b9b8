"""dbt's manifest.json → the nodes that we read of it. Any dbt that writes schema v12 will do, whatever its engine."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlinfer.errors import Location, ProjectError, UsageError
from sqlinfer.files import parse_json, read_plain, write_atomic
from sqlinfer.relation import Relation

SCHEMA = 12
MATERIALIZED = "prediction"
_VERSION = re.compile(r"/manifest/v(\d+)")


@dataclass(frozen=True, slots=True)
class Manifest:
    path: Path
    dbt_version: str
    nodes: Mapping[str, Mapping[str, Any]]
    """Models, seeds, snapshots and tests by unique_id, as dbt wrote them."""
    sources: Mapping[str, Mapping[str, Any]]
    unit_tests: Mapping[str, Mapping[str, Any]]
    warnings: tuple[str, ...] = ()
    macros: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    functions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """dbt's own: functions that live in the warehouse, from 1.11 on."""

    def predictions(self) -> dict[str, Mapping[str, Any]]:
        return {key: node for key, node in self.nodes.items() if is_prediction(node)}

    def member(self, unique_id: str) -> Mapping[str, Any]:
        """What ``dbt build`` may build, by unique_id; empty where there is no such thing."""
        return self.nodes.get(unique_id) or self.unit_tests.get(unique_id) or self.functions.get(unique_id) or {}

    def members(self) -> Iterator[Mapping[str, Any]]:
        yield from (*self.nodes.values(), *self.unit_tests.values(), *self.functions.values())

    def is_built(self, unique_id: str) -> bool:
        """Whether a member is there, and something is done for it: an ephemeral model only stands in others."""
        node = self.nodes.get(unique_id)
        if node is None:
            return unique_id in self.unit_tests or unique_id in self.functions
        return (node.get("config") or {}).get("materialized") != "ephemeral"

    def parents(self, unique_id: str) -> tuple[str, ...]:
        node = self.member(unique_id)
        return tuple(dict.fromkeys((node.get("depends_on") or {}).get("nodes") or ()))

    def macros_of(self, node: Mapping[str, Any]) -> frozenset[str]:
        """Macros that a node calls, directly and through each other."""
        found: set[str] = set()
        left = _macros(node)
        while left:
            key = left.pop()
            if key not in found:
                found.add(key)
                left += _macros(self.macros.get(key) or {})
        return frozenset(found)


def _macros(caller: Mapping[str, Any]) -> list[str]:
    return list((caller.get("depends_on") or {}).get("macros") or ())


def relation_of(node: Mapping[str, Any]) -> Relation:
    return Relation(node.get("alias") or node["name"], node.get("schema"), node.get("database"))


def is_prediction(node: Mapping[str, Any]) -> bool:
    return node.get("resource_type") == "model" and (node.get("config") or {}).get("materialized") == MATERIALIZED


def read_manifest(path: Path) -> Manifest:
    """Raises UsageError where it is missing, ProjectError where it is damaged or of another schema."""
    try:
        content = parse_json(read_plain(path))
    except FileNotFoundError:
        hint = "`dbt compile` writes it; without --manifest sqlinfer runs that itself"
        raise UsageError(f"there is no manifest {path}", hint=hint) from None
    except (OSError, ValueError) as error:
        raise ProjectError(f"{path} is not a manifest: {error}", hint="run `dbt compile`") from error
    metadata = content.get("metadata") if isinstance(content, dict) else None
    found = _VERSION.search(str((metadata or {}).get("dbt_schema_version", "")))
    if metadata is None or found is None or not isinstance(content.get("nodes"), dict):
        raise ProjectError(f"{path} is not a manifest of dbt", hint="give the manifest.json of dbt's target folder")
    version = int(found.group(1))
    if version < SCHEMA:
        raise ProjectError(
            f"{path} has manifest schema v{version}, sqlinfer reads v{SCHEMA}", hint="upgrade dbt to 1.8 or newer"
        )
    warnings = (f"manifest schema v{version} is newer than v{SCHEMA}",) if version > SCHEMA else ()
    return Manifest(
        path, str(metadata.get("dbt_version")), content["nodes"], content.get("sources") or {},
        content.get("unit_tests") or {}, warnings, content.get("macros") or {},
        content.get("functions") or {},
    )  # fmt: skip


def compiled_whole(path: Path) -> bool:
    """Whether the run_results.json beside a manifest says that dbt wrote both with ``--full-refresh``."""
    try:
        manifest, results = (parse_json(read_plain(file)) for file in (path, path.with_name("run_results.json")))
        same = manifest["metadata"]["invocation_id"] == results["metadata"]["invocation_id"]
        return same and bool(results["args"].get("full_refresh"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def deferred_to(manifest: Manifest, state: Path, *, favor: bool) -> Manifest:
    """The manifest with the place of each node in an earlier run's, which dbt reads and does not write.

    Args:
        state: the folder of that run's manifest.json.
        favor: what is not compiled here is read there, whether it is here or not.
    """
    there = read_manifest(state / "manifest.json").nodes

    def place(key: str, node: Mapping[str, Any]) -> Mapping[str, Any]:
        if key not in there or (is_prediction(node) and node.get("compiled_code")):
            return node
        found = {name: there[key].get(name) for name in ("alias", "schema", "database")}
        return {**node, "defer_relation": {**found, "favored": favor}}

    return replace(manifest, nodes={key: place(key, node) for key, node in manifest.nodes.items()})


def without(state: Path, built: Collection[str], folder: Path) -> Path:
    """A copy of an earlier run's manifest.json in ``folder``, without what this build makes itself.

    dbt takes what one call does not select for something that is not built; our layers are several calls.
    """
    read_manifest(state / "manifest.json")
    content = parse_json(read_plain(state / "manifest.json"))
    content["nodes"] = {key: node for key, node in content["nodes"].items() if key not in built}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "manifest.json", json.dumps(content).encode())
    return folder


def refuse_stale(manifest: Manifest, root: Path, project: str) -> None:
    """Raises ProjectError where a file of the project is not the one that the manifest was made from.

    SQL files are compared by dbt's own checksums, yml files by their time.
    """
    for node in manifest.nodes.values():
        if node.get("package_name") == project and _changed(node, root):
            raise _stale(manifest, root / node["original_file_path"])
    written = manifest.path.stat().st_mtime
    for path in _yml_files(manifest, root, project):
        if path.is_file() and path.stat().st_mtime > written:
            raise _stale(manifest, path)


def _stale(manifest: Manifest, path: Path) -> ProjectError:
    hint = "run `dbt compile` again, or leave out --manifest"
    return ProjectError(f"{manifest.path} is older than the project: {path.name} has changed", hint=hint,
                        location=Location(path))  # fmt: skip


def _changed(node: Mapping[str, Any], root: Path) -> bool:
    checksum = node.get("checksum") or {}
    file = root / str(node.get("original_file_path", ""))
    if node.get("resource_type") != "model" or checksum.get("name") != "sha256" or file.suffix != ".sql":
        return False
    if not file.is_file():
        return True
    text = file.read_text(encoding="utf-8")
    digests = {hashlib.sha256(one.encode()).hexdigest() for one in (text, text.strip())}
    # dbt hashes the text of the file; only where that ever changes does the time decide.
    return checksum.get("checksum") not in digests


def _yml_files(manifest: Manifest, root: Path, project: str) -> Iterator[Path]:
    yield root / "dbt_project.yml"
    patches = {str(node.get("patch_path") or "") for node in manifest.nodes.values()}
    for patch in sorted(patches):
        package, _, path = patch.partition("://")
        if package == project and path:
            yield root / path
