"""What a member of a project is made of, as checksums: what ``state:modified`` compares. Seeds are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from hashlib import sha256
from typing import Any

from sqlinfer.project.values import DataTest, MacroFile, Node, Project, Source

Aspects = Mapping[str, str]
ASPECTS = ("body", "configs", "relation", "persisted_descriptions", "macros", "contract", "functions")
"""dbt's names for the parts of a node, and the functions that it calls."""
_ELSEWHERE = ("schema", "alias", "database", "tags", "meta", "enabled", "extra", "contract")
"""Configurations that are compared under another aspect, or that change nothing in the warehouse, as dbt has it."""
_UNSEEN = ("docs", "group", "access", "description")


def aspects_of(project: Project, functions: Mapping[str, str]) -> dict[str, Aspects]:
    """unique_id → aspects. ``functions``: a checksum of each declared function with its files."""
    macros = _MacroTexts(project.macros)
    found: dict[str, Aspects] = {key: _of_node(node, project, macros, functions) for key, node in project.nodes.items()}
    found |= {key: _of_test(test, macros) for key, test in project.tests.items()}
    found |= {key: _of_source(source) for key, source in project.sources.items()}
    return found


def _of_node(node: Node, project: Project, macros: _MacroTexts, functions: Mapping[str, str]) -> Aspects:
    config, extra = node.config, node.config.extra
    settings = {one.name: getattr(config, one.name) for one in fields(config) if one.name not in _ELSEWHERE}
    hooks = (config.pre_hook, config.post_hook)
    settings |= {"pre_hook": [], "post_hook": [], "hooks": [[one.as_dbt() for one in these] for these in hooks]}
    if config.location:
        settings["location"] = config.location.removeprefix(f"{project.root}/")
    settings |= {key: value for key, value in extra.items() if key not in _UNSEEN}
    kept = extra.get("persist_docs") or {}
    described: list[Any] = [node.description] if kept.get("relation") else []
    described += [(c.name, c.description) for c in node.columns] if kept.get("columns") else []
    return {
        "body": _sum(node.raw_sql.strip() if node.resource_type == "model" else node.path.read_bytes()),
        "configs": _sum(settings),
        "relation": _sum([config.database, config.schema, config.alias]),
        "persisted_descriptions": _sum(described),
        "macros": _sum(macros.used_by(node.raw_sql)),
        "contract": _sum([(c.name, c.data_type) for c in node.columns] if config.contract else None),
        "functions": _sum({name: functions.get(name) for name in node.functions}),
    }


def _of_test(test: DataTest, macros: _MacroTexts) -> Aspects:
    config = {"severity": test.severity, "where": test.where, "error_if": test.error_if, "warn_if": test.warn_if}
    body = test.sql.strip() if test.sql else [test.kind, test.column, test.arguments]
    return {
        "body": _sum(body),
        "configs": _sum({**test.config, **config, "tags": None, "meta": None}),
        "macros": _sum(macros.used_by(test.sql or "")),
    }


def _of_source(source: Source) -> Aspects:
    return {
        "relation": _sum([source.relation.schema, source.relation.name]),
        "configs": _sum(asdict(source.freshness) if source.freshness else None),
    }


def _sum(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value, sort_keys=True, default=str).encode()
    return sha256(data).hexdigest()


def _begins(file: MacroFile) -> Sequence[tuple[str, int]]:
    """Names and first lines of the macros of a file."""
    if file.lines:
        return tuple(zip(file.names, file.lines, strict=True))
    from sqlinfer.project.jinja import engine

    return engine().compile(file.source, file.path).macros


class _MacroTexts:
    """The texts of macros, and which of them a template calls, through other macros too."""

    def __init__(self, files: Iterable[MacroFile]) -> None:
        self.texts: dict[str, str] = {}
        for file in files:
            if file.package is not None:  # packages count whole: their texts change together, with their version
                self.texts |= dict.fromkeys(file.names, file.source) if file.package != "dbt" else {}
                continue
            lines, found = file.source.splitlines(), _begins(file)
            ends = [*(line for _, line in found[1:]), len(lines) + 1]
            self.texts |= {
                name: "\n".join(lines[at - 1 : end - 1]) for (name, at), end in zip(found, ends, strict=True)
            }

    def used_by(self, source: str) -> dict[str, str]:
        used: dict[str, str] = {}
        waiting = [source] if source else []
        while waiting:
            for name in set(re.findall(r"\w+", waiting.pop())) & self.texts.keys() - used.keys():
                used[name] = self.texts[name]
                waiting.append(self.texts[name])
        return used
