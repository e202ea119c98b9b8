"""A graph without circles → layers from left to right, and an order in each that crosses few edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_SWEEPS = 4


def layers(parents: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """
    >>> layers({"a": (), "b": ("a",), "c": ("a", "b"), "f": ()})
    (('a', 'f'), ('b',), ('c',))
    """
    known = {name: [one for one in above if one in parents] for name, above in parents.items()}
    children: dict[str, list[str]] = {name: [] for name in known}
    for name, above in known.items():
        for one in above:
            children[one].append(name)
    depth = _depths(known)
    for name, above in known.items():  # what reads nothing stands beside what reads it
        if not above and children[name]:
            depth[name] = min(depth[child] for child in children[name]) - 1
    found: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in known:
        found[depth[name]].append(name)
    return _untangled(found, known, children)


def _depths(parents: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Without recursion: a chain of nodes may be longer than Python's stack."""
    depth: dict[str, int] = {}
    for start in parents:
        stack, open_ = [start], set[str]()
        while stack:
            name = stack[-1]
            left = [one for one in parents[name] if one not in depth and one not in open_ and one != name]
            if left and name not in open_:
                open_.add(name)
                stack += left
                continue
            stack.pop()
            depth.setdefault(name, max((depth.get(one, -1) + 1 for one in parents[name]), default=0))
    return depth


def _untangled(
    found: list[list[str]], parents: Mapping[str, Sequence[str]], children: Mapping[str, Sequence[str]]
) -> tuple[tuple[str, ...], ...]:
    """Each node moves to the middle of its neighbours, from the left and from the right in turn."""
    for sweep in range(_SWEEPS):
        beside = parents if sweep % 2 == 0 else children
        place = {name: n / max(len(layer) - 1, 1) for layer in found for n, name in enumerate(layer)}
        for layer in found if sweep % 2 == 0 else reversed(found):
            centre = {
                name: sum(place[one] for one in beside[name]) / len(beside[name]) if beside[name] else place[name]
                for name in layer
            }
            layer.sort(key=lambda name: centre[name])
            place |= {name: n / max(len(layer) - 1, 1) for n, name in enumerate(layer)}
    return tuple(map(tuple, found))
