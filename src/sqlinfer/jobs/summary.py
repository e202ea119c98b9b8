"""What a compiled node reads, which tests its rows must pass, and what becomes of them, in words. Pure."""

from __future__ import annotations

from sqlinfer.compiler.compiled import CompiledNode
from sqlinfer.project import DataTest, Node


def tests(node: Node) -> tuple[str, ...]:
    return tuple(_test(test) for test in node.tests)


def _test(test: DataTest) -> str:
    return f"{test.kind}({test.column})" if test.column else test.name if test.kind == "singular" else test.kind


_SWAPPED = {"spark": "by a view that shows the new version"}
"""Warehouses without transactions over tables, by the types of their profiles."""


def publication(node: Node, item: CompiledNode, *, full_refresh: bool, warehouse: str) -> str:
    """Which table changes, and what of it stays. ``warehouse``: the type of the profile."""
    config, target = node.config, str(node.relation)
    match config.materialized:
        case "ephemeral":
            return "none: its SQL stands where ref() names it"
        case "view":
            return f"view {target}"
        case "external":
            if config.is_folder:
                return _folder(node)
            return f"{config.format} file {config.location or target}, replaced as a whole"
        case "incremental" if _merges(node, item):
            refreshed = full_refresh if config.full_refresh is None else config.full_refresh
            first = "first run writes it whole, then " if item.published is None else ""
            return f"{target}, {'rebuilt: full refresh' if refreshed else first + _merged(node, item)}"
        case _:
            return f"{target}, replaced as a whole {_SWAPPED.get(warehouse, 'in one transaction')}"


def _folder(node: Node) -> str:
    config = node.config
    kept = f"{config.keep} versions are kept" if config.keep > 1 else "no earlier version is kept"
    by = ", ".join(config.partition_by)
    if config.incremental_strategy == "insert_overwrite":
        return f"parquet in {config.location}: partitions by {by} that the query returns are replaced; {kept}"
    parted = f" partitioned by {by}" if by else ""
    return f"parquet in {config.location}{parted}, a new version replaces it as a whole; {kept}"


def _merges(node: Node, item: CompiledNode) -> bool:
    """Without a key, a slice or ``append`` the query is the whole table where nothing of it is to be kept."""
    config = node.config
    return bool(config.unique_key) or item.is_slice or config.on_missing == "keep" or _strategy(node) == "append"


def _strategy(node: Node) -> str:
    return node.config.incremental_strategy or ("merge" if node.config.unique_key else "")


def _merged(node: Node, item: CompiledNode) -> str:
    config, how = node.config, _strategy(node) or "append"
    if how == "append" or not config.unique_key:
        return "append: the rows of the query are added"
    by = f"{how} by {', '.join(config.unique_key)}"
    if item.is_slice:
        return f"{by}; the query is a slice, other rows stay"
    gone = "stay" if config.on_missing == "keep" else "are deleted"
    return f"{by}; rows that the query does not return {gone} (on_missing: {config.on_missing})"
