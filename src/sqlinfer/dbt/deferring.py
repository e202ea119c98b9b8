"""``--defer --state``: where the parent of a relationships test is looked for; dbt's manifest.json does not tell."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlinfer.dbt.manifest import relation_of
from sqlinfer.files import parse_json, read_plain
from sqlinfer.project import DataTest, Project
from sqlinfer.relation import Relation


@dataclass(frozen=True, slots=True)
class Deferral:
    nodes: Mapping[str, Mapping[str, Any]]
    """Of the state's manifest."""
    favors: bool
    """``--favor-state``: what is not built here is looked for in the state, even where it exists in the target."""
    built: Container[str]

    @classmethod
    def read(cls, state: Path, *, favors: bool, built: Container[str]) -> Deferral:
        """Without a manifest dbt has complained already."""
        try:
            content = parse_json(read_plain(state / "manifest.json"))
        except (OSError, ValueError):
            content = {}
        return cls(content.get("nodes") or {}, favors, built)

    def of_project(self, project: Project) -> Project:
        nodes = {
            key: replace(node, tests=tuple(self.applied(test) for test in node.tests)) if node.tests else node
            for key, node in project.nodes.items()
        }
        return replace(project, nodes=nodes)

    def applied(self, test: DataTest) -> DataTest:
        """The test with dbt's choice: the state's where that is favored, else where the parent is and where it was."""
        to = test.arguments.get("to")
        parents = [key for key in test.depends_on if key != test.node]
        node = self.nodes.get(parents[0]) if len(parents) == 1 else None
        if node is None or (node.get("config") or {}).get("materialized") == "ephemeral":
            return test
        own, there = to[0] if isinstance(to, tuple) else to, relation_of(node)
        if not isinstance(own, Relation):
            return test
        favored = self.favors and parents[0] not in self.built
        return replace(test, arguments={**test.arguments, "to": there if favored else (own, there)})
