"""Data tests of a manifest → DataTest, for those that can run on a staged relation before it is published."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlinfer.audits.registry import Problem, find, read
from sqlinfer.dbt.manifest import Manifest, relation_of
from sqlinfer.project import DataTest
from sqlinfer.project.testconfig import stores_failures
from sqlinfer.relation import Relation

KINDS: Mapping[tuple[str | None, str], str] = {
    (None, "unique"): "unique",
    (None, "not_null"): "not_null",
    (None, "accepted_values"): "accepted_values",
    (None, "relationships"): "relationships",
    ("dbt_utils", "accepted_range"): "accepted_range",
    ("dbt_utils", "expression_is_true"): "expression_is_true",
    ("dbt_utils", "unique_combination_of_columns"): "unique",
    ("sqlinfer", "prediction_not_null"): "not_null",
    ("sqlinfer", "prediction_in_range"): "accepted_range",
    ("sqlinfer", "error_rate_below"): "error_rate",
}
"""(package, generic test) of dbt → our kind. Every other test is dbt's to run, on the published table."""
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "prediction_in_range": {"min_value": 0, "max_value": 1},
    "error_rate_below": {"rate": 0.01},
}


def tests_of(manifest: Manifest, unique_id: str) -> tuple[DataTest, ...]:
    """The tests of a prediction node that we run ourselves, before it is published."""
    attached = (node for node in manifest.nodes.values() if node.get("attached_node") == unique_id)
    return tuple(test for node in attached if (test := as_data_test(node, manifest)) is not None)


def as_data_test(node: Mapping[str, Any], manifest: Manifest) -> DataTest | None:
    """None where only dbt can run it: another kind, a macro of the project's own, arguments that are not ours."""
    metadata, config = node.get("test_metadata") or {}, node.get("config") or {}
    kind = KINDS.get((metadata.get("namespace"), str(metadata.get("name"))))
    if kind is None or _is_replaced(node, metadata):
        return None
    given = {**DEFAULTS.get(str(metadata.get("name")), {}), **(metadata.get("kwargs") or {})}
    column = node.get("column_name") or given.get("column_name")
    arguments = {key: value for key, value in given.items() if key not in ("model", "column_name")}
    if kind == "relationships":
        arguments["to"] = _parent(node, manifest)
    if not _counts(config.get("fail_calc"), kind, column):
        return None
    jinja = any("{{" in str(value) for value in (*arguments.values(), column, *config.values()))
    if jinja or arguments.get("to", "") is None or isinstance(read(kind, arguments, column), Problem):
        return None
    return DataTest(
        node["unique_id"], node["name"], kind, node["attached_node"], column, arguments,
        severity="warn" if str(config.get("severity", "error")).lower() == "warn" else "error",
        where=config.get("where"), error_if=str(config.get("error_if") or "!= 0"),
        warn_if=str(config.get("warn_if") or "!= 0"),
        config={key: config.get(key) for key in ("limit", "fail_calc")},
        tags=tuple(config.get("tags") or ()), depends_on=manifest.parents(node["unique_id"]),
        stored=relation_of(node) if stores_failures(config) else None,
    )  # fmt: skip


def stored_by_flag(test: DataTest, node: Mapping[str, Any]) -> DataTest:
    """Under ``--store-failures``, which counts where the test's own configuration says nothing."""
    config = node.get("config") or {}
    said = config.get("store_failures") is not None or config.get("store_failures_as") is not None
    return test if said else replace(test, stored=relation_of(node))


def _counts(fail_calc: str | None, kind: str, column: str | None) -> bool:
    """Whether the calculation uses nothing but columns that our failing rows have."""
    used = {word.lower() for word in re.findall(r"[A-Za-z_]\w*(?!\w*\s*\()", fail_calc or "")}
    audit = find(kind)
    return audit is not None and used <= {"distinct", *audit.fields, (column or "").lower()}


def _is_replaced(node: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Whether a test of dbt's name is a macro of somebody else's."""
    package, name = metadata.get("namespace") or "dbt", f"test_{metadata.get('name')}"
    macros = [str(key).split(".") for key in (node.get("depends_on") or {}).get("macros") or ()]
    return any(parts[-1] == name and parts[1] != package for parts in macros if len(parts) == 3)


def _parent(node: Mapping[str, Any], manifest: Manifest) -> Relation | tuple[Relation, Relation] | None:
    """The other side of a relationship, the node itself included; of a deferred one where it is and where it was."""
    parents = (node.get("depends_on") or {}).get("nodes") or ()
    others = [key for key in parents if key != node["attached_node"]] or list(parents)
    if len(others) != 1:
        return None
    source = manifest.sources.get(others[0])
    if source is not None:
        return Relation(source.get("identifier") or source["name"], source.get("schema"), source.get("database"))
    parent = manifest.nodes.get(others[0])
    if parent is None or (parent.get("config") or {}).get("materialized") == "ephemeral":
        return None
    deferred = parent.get("defer_relation")
    if not deferred:
        return relation_of(parent)
    there = relation_of({**parent, **deferred})
    return there if deferred.get("favored") else (relation_of(parent), there)
