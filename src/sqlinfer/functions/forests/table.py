"""Trees as one table of nodes: what every reader of a library's file makes, and what is checked before it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Final

import numpy as np

from sqlinfer.errors import ArtifactError

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

MOST_LEVELS: Final = 2000
"""The runtime reads a tree by recursion; no library grows one of this depth."""
MOST_NODES: Final = 50_000_000


class Mode(IntEnum):
    """What a node asks of its feature; the numbers are those of ONNX's TreeEnsemble."""

    LEQ = 0
    LT = 1
    GTE = 2
    GT = 3
    EQ = 4
    NEQ = 5
    MEMBER = 6
    """Whether the feature is one of ``NodeTable.members``; it must hold whole numbers (or NaN): the runtime tests bits,
    for which 2.8 is 2."""
    LEAF = 255


@dataclass(frozen=True, slots=True)
class NodeTable:
    """All nodes of all trees; the columns have one length, and a node is known by its place."""

    roots: Ints
    """One a tree, in the order in which the library sums."""
    mode: Ints
    feature: Ints
    threshold: Floats
    """Not looked at in leaves and MEMBER nodes."""
    yes: Ints
    no: Ints
    missing_yes: Bools
    """Whether NaN takes the way of ``yes``; else NaN takes the way of ``no``."""
    leaf: Ints
    """Places of leaves, one entry for each weight: a leaf of several targets stands here several times."""
    target: Ints
    weight: Floats
    targets: int = 1
    members: Mapping[int, Sequence[float]] = field(default_factory=dict)
    """Place of a MEMBER node → the values that take the way of ``yes``."""

    def __len__(self) -> int:
        return len(self.mode)

    @property
    def is_branch(self) -> Bools:
        return np.asarray(self.mode != Mode.LEAF)

    @property
    def thresholds(self) -> Mapping[int, Floats]:
        """Feature → its distinct thresholds, in order."""
        plain = self.is_branch & (self.mode != Mode.MEMBER)
        return {
            int(one): np.unique(self.threshold[plain & (self.feature == one)]) for one in np.unique(self.feature[plain])
        }

    @property
    def trees(self) -> Ints:
        """The tree of each node."""
        found = np.zeros(len(self), np.int64)
        level, trees = self.roots, np.arange(len(self.roots))
        while len(level):
            found[level] = trees
            inner = self.mode[level] != Mode.LEAF
            level = np.concatenate([self.yes[level[inner]], self.no[level[inner]]])
            trees = np.tile(trees[inner], 2)
        return found

    def first_trees(self, count: int) -> NodeTable:
        """The same nodes, of which the first trees alone are used."""
        return replace(self, roots=self.roots[:count])


def joined(tables: Sequence[NodeTable], targets: int) -> NodeTable:
    """The trees of several tables, in order."""
    starts = np.cumsum([0, *(len(one) for one in tables)])[:-1].tolist()

    def column(name: str, shift: bool = False) -> Any:
        kind = np.int64 if not tables else getattr(tables[0], name).dtype
        parts = [getattr(one, name) + (start if shift else 0) for one, start in zip(tables, starts, strict=True)]
        return np.concatenate(parts) if parts else np.empty(0, kind)

    members = {
        place + start: values
        for one, start in zip(tables, starts, strict=True)
        for place, values in one.members.items()
    }
    return NodeTable(
        column("roots", shift=True), column("mode"), column("feature"), column("threshold"),
        column("yes", shift=True), column("no", shift=True), column("missing_yes"),
        column("leaf", shift=True), column("target"), column("weight"), targets, members,
    )  # fmt: skip


def constant(weights: Sequence[float]) -> NodeTable:
    """A tree of one leaf: what is added before all others, such as a base score."""
    one, count = np.zeros(1, np.int64), len(weights)
    return NodeTable(
        one, np.full(1, int(Mode.LEAF), np.int64), one, np.zeros(1), one, one, np.zeros(1, np.bool_),
        np.zeros(count, np.int64), np.arange(count), np.asarray(weights, np.float64), count,
    )  # fmt: skip


def checked(table: NodeTable, features: int, what: str) -> NodeTable:
    """The table without the nodes that no tree reaches.

    Args:
        what: the file, as errors name it.

    Raises:
        ArtifactError: a child, feature or target that there is not, a node that is reached twice, a threshold that is
            no number, a leaf that is none, too many levels or nodes.
    """
    _check_columns(table, what)
    reached = _reached(table, what)
    branch = reached & table.is_branch
    bad = branch & ((table.feature < 0) | (table.feature >= features))
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        raise damaged(what, f"node {place} asks for feature {int(table.feature[place])} of {features}")
    if (branch & (table.mode != Mode.MEMBER) & np.isnan(table.threshold)).any():
        raise damaged(what, "a threshold is not a number")
    _check_leaves(table, reached, what)
    return _compacted(table, reached)


def damaged(what: str, why: str) -> ArtifactError:
    return ArtifactError(
        f"{what} is damaged: {why}", hint="save the model again, and check that the whole file was copied"
    )


def _check_columns(table: NodeTable, what: str) -> None:
    lengths = {len(getattr(table, one)) for one in ("mode", "feature", "threshold", "yes", "no", "missing_yes")}
    if len(lengths) != 1 or len({len(table.leaf), len(table.target), len(table.weight)}) != 1:
        raise damaged(what, "the columns of its trees differ in length")
    if len(table) > MOST_NODES:
        raise ArtifactError(f"{what} has {len(table)} nodes, more than the {MOST_NODES} that are read")
    if len(table.roots) and not ((table.roots >= 0) & (table.roots < len(table))).all():
        raise damaged(what, "a tree has no nodes")


def _reached(table: NodeTable, what: str) -> Bools:
    """The nodes of trees, level by level: each may be reached once."""
    reached = np.zeros(len(table), np.bool_)
    level = table.roots
    for _ in range(MOST_LEVELS):
        if not len(level):
            return reached
        if reached[level].any() or len(np.unique(level)) < len(level):
            raise damaged(what, "a node of a tree is reached twice")
        reached[level] = True
        inner = level[table.mode[level] != Mode.LEAF]
        level = np.concatenate([table.yes[inner], table.no[inner]])
        if ((level < 0) | (level >= len(table))).any():
            raise damaged(what, "a node has a child that there is not")
    raise ArtifactError(f"{what} has a tree of more than {MOST_LEVELS} levels, which is more than can be run")


def _check_leaves(table: NodeTable, reached: Bools, what: str) -> None:
    if not len(table.leaf):
        return
    if ((table.leaf < 0) | (table.leaf >= len(table))).any() or (table.mode[table.leaf] != Mode.LEAF).any():
        raise damaged(what, "a weight belongs to no leaf")
    if ((table.target < 0) | (table.target >= table.targets)).any():
        raise damaged(what, f"a leaf gives to a target beyond the {table.targets} that there are")
    if not np.isfinite(table.weight[reached[table.leaf]]).all():
        raise damaged(what, "the weight of a leaf is not a finite number")


def _compacted(table: NodeTable, reached: Bools) -> NodeTable:
    if reached.all():
        return table
    place = np.cumsum(reached) - 1
    inner = reached & table.is_branch
    yes, no = np.where(inner, table.yes, 0), np.where(inner, table.no, 0)
    weighted = reached[table.leaf] if len(table.leaf) else np.empty(0, np.bool_)
    return NodeTable(
        place[table.roots], table.mode[reached], table.feature[reached], table.threshold[reached],
        place[yes[reached]], place[no[reached]], table.missing_yes[reached],
        place[table.leaf[weighted]], table.target[weighted], table.weight[weighted], table.targets,
        {int(place[at]): values for at, values in table.members.items() if reached[at]},
    )  # fmt: skip
