"""The dependency graph of a project: order, ancestors, descendants, cycles."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlinfer.errors import Location, ProjectError
from sqlinfer.project.values import Node, Project


@dataclass(frozen=True, slots=True)
class Graph:
    """``parents`` and ``children`` by unique_id; ``order`` is topological and stable (by name where it is free)."""

    parents: Mapping[str, tuple[str, ...]]
    children: Mapping[str, tuple[str, ...]]
    order: tuple[str, ...]

    def ancestors(self, start: Iterable[str], depth: int | None = None) -> set[str]:
        """All that the nodes depend on, to a depth; without the nodes themselves."""
        return _reach(self.parents, start, depth)

    def descendants(self, start: Iterable[str], depth: int | None = None) -> set[str]:
        return _reach(self.children, start, depth)


def _reach(edges: Mapping[str, Sequence[str]], start: Iterable[str], depth: int | None) -> set[str]:
    origin = set(start)
    seen, frontier = set(origin), set(origin)
    level = 0
    while frontier and (depth is None or level < depth):
        frontier = {after for node in frontier for after in edges.get(node, ())} - seen
        seen |= frontier
        level += 1
    return seen - origin


def graph(project: Project) -> Graph:
    """Sources, nodes and tests of the project. Raises ProjectError naming a whole cycle."""
    parents: dict[str, tuple[str, ...]] = dict.fromkeys(project.sources, ())
    parents |= {key: (*node.depends_on, *node.sources) for key, node in project.nodes.items()}
    parents |= {key: (*test.depends_on, *((test.node,) if test.node and test.node not in test.depends_on else ()))
                for key, test in project.tests.items()}  # fmt: skip
    wishes = [(other, test.node) for test in project.tests.values() if test.node for other in test.depends_on]
    return build(parents, project.nodes, wishes)


def predicts(project: Project, node: Node) -> bool:
    """Whether the node's query calls a function, itself or in ephemeral models that become part of it. A dbt model
    that says so is believed: its query may not be compiled yet."""
    if node.functions or node.config.extra.get("materialized") == "prediction":
        return True
    waiting, seen = [*node.depends_on], set[str]()
    while waiting:
        key = waiting.pop()
        inner = project.nodes.get(key)
        if inner is not None and key not in seen and inner.config.materialized == "ephemeral":
            if inner.functions:
                return True
            seen.add(key)
            waiting += inner.depends_on
    return False


def with_gates(project: Project) -> Project:
    """Each node keeps the tests that can run before it is published: those of nothing that is built after it."""
    place = {key: number for number, key in enumerate(graph(project).order)}

    def gates(node: Node) -> Node:
        here = place[node.unique_id]
        kept = tuple(t for t in node.tests if all(place.get(other, -1) <= here for other in t.depends_on))
        return node if len(kept) == len(node.tests) else replace(node, tests=kept)

    return replace(project, nodes={key: gates(node) for key, node in project.nodes.items()})


def build(
    parents: Mapping[str, Sequence[str]], nodes: Mapping[str, Node], wishes: Iterable[tuple[str, str]] = ()
) -> Graph:
    """``wishes``: (first, then) where a test of the second reads the first; granted where that makes no cycle."""
    known = {key: tuple(p for p in dict.fromkeys(before) if p in parents) for key, before in parents.items()}
    children: dict[str, list[str]] = {key: [] for key in known}
    for key, before in known.items():
        for parent in before:
            children[parent].append(key)
    waiting = {key: len(before) for key, before in known.items()}
    after = {key: list(found) for key, found in children.items()}
    for first, then in sorted(set(wishes)):
        if first != then and {first, then} <= known.keys() and first not in _reach(after, (then,), None):
            after[first].append(then)
            waiting[then] += 1
    ready = [(_rank(key), key) for key, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        _, key = heapq.heappop(ready)
        order.append(key)
        for child in after[key]:
            waiting[child] -= 1
            if waiting[child] == 0:
                heapq.heappush(ready, (_rank(child), child))
    if len(order) < len(known):
        raise _cycle(known, {key for key, count in waiting.items() if count > 0}, nodes)
    return Graph(known, {key: tuple(found) for key, found in children.items()}, tuple(order))


def _rank(unique_id: str) -> str:
    return unique_id.split(".", 2)[-1]


def _cycle(parents: Mapping[str, tuple[str, ...]], stuck: set[str], nodes: Mapping[str, Node]) -> ProjectError:
    path: list[str] = []
    current = min(key for key in stuck if key in nodes)
    while current not in path:
        path.append(current)
        current = min(parent for parent in parents[current] if parent in stuck)
    loop = path[path.index(current) :]
    loop = loop[loop.index(min(loop)) :] + loop[: loop.index(min(loop))]
    names = [nodes[key].name for key in loop]
    first = nodes[loop[0]]
    at = first.raw_sql.find(names[1 % len(names)])
    where = Location(first.path)
    if at >= 0:
        where = Location.in_source(first.raw_sql, at, at + len(names[1 % len(names)]), path=first.path)
    text = " → ".join([*names, names[0]])
    return ProjectError(
        f"models depend on each other in a cycle: {text}", hint="remove one of these refs", location=where
    )
