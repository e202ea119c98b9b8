"""A forest → a node a tree, all rows through one tree before the next.

The runtime takes a row through every tree, so a forest larger than the first cache is read from the second for every
row. One tree stays in the first cache. Weights are summed in the same order, so the bits stay as they are.
"""

from __future__ import annotations

from onnx import NodeProto, helper

from sqlinfer.inference.graphs.forest import ML, Forest

CACHE_NODES = 1300
"""Nodes of 24 bytes that fit in the 32 KiB of a first-level cache."""
MOST_TREES = 1000
_SUM_OF = 16
"""Terms of one Sum: the next one starts from its result, so few of them are alive at a time."""


def is_worth_it(forest: Forest) -> bool:
    nodes = len(forest.attributes["nodes_nodeids"])
    return nodes > CACHE_NODES and 4 <= len(forest.trees) <= MOST_TREES


def by_tree(forest: Forest, total: str, prefix: str) -> list[NodeProto]:
    """Nodes that compute ``total`` [N,targets], the sum of the weights without the base values."""
    nodes: list[NodeProto] = []
    terms: list[str] = []
    for number, rows in enumerate(forest.trees):
        name = f"{prefix}tree_{number}"
        attributes = forest.alone(rows)
        nodes.append(helper.make_node("TreeEnsembleRegressor", [forest.source], [name], domain=ML, **attributes))
        terms.append(name)
        if len(terms) == _SUM_OF:
            nodes.append(helper.make_node("Sum", terms, [f"{prefix}sum_{number}"]))
            terms = [f"{prefix}sum_{number}"]
    nodes.append(helper.make_node("Sum", terms, [total]))
    return nodes
