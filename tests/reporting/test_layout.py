"""Layers of a graph."""

from __future__ import annotations

import random

from sqlinfer.reporting.layout import layers


def test_every_edge_leads_to_the_right() -> None:
    draw = random.Random(3)
    parents = {f"n{n}": [f"n{draw.randrange(n)}" for _ in range(3)] if n else [] for n in range(200)}
    place = {name: at for at, layer in enumerate(layers(parents)) for name in layer}
    assert len(place) == 200
    assert all(place[one] < place[name] for name, above in parents.items() for one in above)


def test_what_reads_nothing_stands_beside_its_reader() -> None:
    found = layers({"raw": (), "a": ("raw",), "b": ("a",), "function": (), "c": ("b", "function")})
    assert "function" in found[2]


def test_edges_do_not_cross_where_they_need_not() -> None:
    found = layers({"a": (), "b": (), "x": ("b",), "y": ("a",)})
    order = [found[0].index("a") < found[0].index("b"), found[1].index("y") < found[1].index("x")]
    assert order[0] == order[1]


def test_chains_circles_and_strangers_end() -> None:
    assert len(layers({f"n{n}": (f"n{n - 1}",) if n else () for n in range(5000)})) == 5000
    assert layers({}) == ()
    assert {name for layer in layers({"a": ("b",), "b": ("a",), "c": ("c", "gone")}) for name in layer} == set("abc")
