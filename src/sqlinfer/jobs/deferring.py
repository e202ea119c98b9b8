"""``--defer``: references to what this run does not build go to where an earlier run has built it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from sqlinfer.errors import UsageError
from sqlinfer.jobs.night import Night
from sqlinfer.project import DataTest, Node, Project
from sqlinfer.project.state import read_state
from sqlinfer.relation import Relation


def defer(night: Night, built: Collection[str]) -> None:
    """What this run does not build, and the target lacks, is read where the earlier run has it.

    Raises:
        UsageError: no earlier run was named, or its manifest cannot be read.
    """
    options = night.options
    if not options.defer:
        return
    folder = options.defer_state or options.state
    if folder is None:
        raise UsageError("--defer reads what an earlier run has built", hint="name it: --state PATH")
    there = read_state(folder).relations
    existing = set() if options.favor_state else {_full(one.relation, night) for one in night.adapter.list_relations()}
    moved = {
        key: there[key]
        for key, node in night.project.nodes.items()
        if key in there and key not in built and _full(node.relation, night) not in existing and _is_stored(node)
    }
    night.project = moved_to(night.project, moved)


def _is_stored(node: Node) -> bool:
    return node.config.materialized not in ("ephemeral", "external")


def _full(relation: Relation, night: Night) -> Relation:
    default = night.adapter.default
    return Relation(relation.name, relation.schema or default.schema, relation.catalog or default.catalog).folded()


def moved_to(project: Project, moved: Mapping[str, Relation]) -> Project:
    """The project with other places for some nodes, in what refers to them too."""
    places = {project.nodes[key].relation: relation for key, relation in moved.items()}

    def test(one: DataTest) -> DataTest:
        to = one.arguments.get("to")
        return replace(one, arguments={**one.arguments, "to": places[to]}) if to in places else one

    def node(one: Node) -> Node:
        tests = tuple(test(each) for each in one.tests)
        return replace(one, relation=moved.get(one.unique_id, one.relation), tests=tests)

    return replace(
        project,
        nodes={key: node(one) for key, one in project.nodes.items()},
        tests={key: test(one) for key, one in project.tests.items()},
    )
