"""Data tests of a manifest → DataTest, for those that can run on a staged relation before it is published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlinfer.dbt.manifest import Manifest
from sqlinfer.project import DataTest

KINDS: Mapping[tuple[str | None, str], str] = {
    (None, "unique"): "unique",
    (None, "not_null"): "not_null",
    (None, "accepted_values"): "accepted_values",
    (None, "relationships"): "relationships",
    ("dbt_utils", "accepted_range"): "accepted_range",
    ("sqlinfer", "prediction_not_null"): "not_null",
    ("sqlinfer", "prediction_in_range"): "accepted_range",
    ("sqlinfer", "error_rate_below"): "error_rate",
}
"""(package, generic test) of dbt → our kind. Every other test is dbt's to run, on the published table."""
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "prediction_in_range": {"min_value": 0, "max_value": 1},
    "error_rate_below": {"rate": 0.01},
}
_RENAMED = {"rate": "max"}


def tests_of(manifest: Manifest, unique_id: str) -> tuple[DataTest, ...]:
    """The tests of a prediction node that we run ourselves, before it is published."""
    attached = (node for node in manifest.nodes.values() if node.get("attached_node") == unique_id)
    return tuple(test for node in attached if (test := as_data_test(node, manifest)) is not None)


def as_data_test(node: Mapping[str, Any], manifest: Manifest) -> DataTest | None:
    """None where only dbt can run it: another kind, stored failures, another calculation, Jinja in an argument."""
    metadata, config = node.get("test_metadata") or {}, node.get("config") or {}
    kind = KINDS.get((metadata.get("namespace"), str(metadata.get("name"))))
    if kind is None or config.get("store_failures") or config.get("fail_calc", "count(*)") != "count(*)":
        return None
    given = {**DEFAULTS.get(str(metadata.get("name")), {}), **(metadata.get("kwargs") or {})}
    arguments = {_RENAMED.get(key, key): value for key, value in given.items() if key not in ("model", "column_name")}
    if any("{{" in str(value) for value in (*arguments.values(), config.get("where") or "")):
        return None
    if kind == "relationships":
        parent = _parent(node, manifest)
        if parent is None:
            return None
        arguments["to"] = parent
    return DataTest(
        node["unique_id"], node["name"], kind, node["attached_node"], node.get("column_name"), arguments,
        severity="warn" if str(config.get("severity", "error")).lower() == "warn" else "error",
        where=config.get("where"), error_if=str(config.get("error_if") or "!= 0"),
        warn_if=str(config.get("warn_if") or "!= 0"), config={"limit": config.get("limit")},
        tags=tuple(config.get("tags") or ()), depends_on=manifest.parents(node["unique_id"]),
    )  # fmt: skip


def _parent(node: Mapping[str, Any], manifest: Manifest) -> str | None:
    """The name of the other side of a relationship; None where a node refers to itself."""
    others = [key for key in (node.get("depends_on") or {}).get("nodes") or () if key != node["attached_node"]]
    if len(others) != 1:
        return None
    source = manifest.sources.get(others[0])
    if source is not None:
        return f"{source['source_name']}.{source['name']}"
    return str(manifest.nodes[others[0]]["name"]) if others[0] in manifest.nodes else None
