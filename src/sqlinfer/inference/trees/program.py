"""A forest as the arrays of ``forest.h``. Every index is checked here: they may come from a file that was edited."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from sqlinfer.errors import ArtifactError

Array = np.ndarray[Any, Any]

RANKED, WALKED = 0, 1
BELOW, WITHIN, MEMBER, LEVEL = 0, 4, 8, 12
LEAF_LEAF, LEAF_TREE, TREE_LEAF, TREE_TREE = range(4)
NAN_IS_YES, IS_EQUAL, IS_MEMBER = 1 << 30, 1 << 29, 1 << 28
FEATURE = IS_MEMBER - 1
NAN_RANK = 255
MOST_LEAVES = 256
"""Of a ranked tree: a leaf number is a byte."""
MOST_CUTS = 254
"""Thresholds of a column within a group of trees: a rank is a byte, and one is that of NaN."""
LEAST_LEVELS, MOST_LEVELS = 4, 15
PADDING = 8
"""Elements behind the last one that vectors may read."""
SIZES = (16, 32, 64, 256)
"""Of a table of leaf weights in a ranked tree."""

OP = np.dtype(
    [("slot", "<u2"), ("code", "u1"), ("low", "u1"), ("width", "u1"), ("yes", "u1"), ("no", "u1"), ("unused", "u1"),
     ("members", "<u4")]
)  # fmt: skip
SET = np.dtype([("first", "<i4"), ("size", "<i4"), ("at", "<i4"), ("exact", "<i4")])
_NUMBERS: Final = (
    "is_double", "sums_double", "columns", "targets", "aggregate", "trees", "groups", "has_equal", "has_sets",
    "classes", "transform", "is_positive", "is_paired",
)  # fmt: skip
TRANSFORMS: Final = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO")
_INT64: Final = (
    "cut_at", "levels", "is_wide", "group_kind", "group_tree", "group_slot", "slot_column", "slot_map", "op_from",
    "node_from", "depth", "table_from", "table_target", "table_at", "table_size",
)  # fmt: skip
_INT32: Final = ("node_feature", "node_child", "node_leaf")
_COMPARED: Final = ("cuts", "node_value")
_SUMMED: Final = ("leaves", "base")
_BYTES: Final = ("maps", "members")
_FIELDS: Final = (
    *_NUMBERS, "cuts", "cut_at", "levels", "is_wide", "group_kind", "group_tree", "group_slot", "slot_column",
    "slot_map", "maps", "op_from", "ops", "members", "sets", "node_from", "node_feature", "node_value",
    "node_child", "node_leaf", "depth", "table_from", "table_target", "table_at", "table_size", "leaves", "base",
)  # fmt: skip
"""In the order of ``Forest`` in forest.h."""


class Struct(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64 if name in _NUMBERS else ctypes.c_void_p) for name in _FIELDS]


@dataclass(frozen=True)
class Program:
    numbers: Mapping[str, int]
    arrays: Mapping[str, Array]

    @property
    def is_double(self) -> bool:
        return bool(self.numbers["is_double"])

    @property
    def width(self) -> int:
        """Results of one row."""
        return self.numbers["classes"] or self.numbers["targets"]

    @cached_property
    def struct(self) -> Struct:
        """Points into the arrays of this program, so it lives no longer than they do."""
        pointers = {name: array.ctypes.data for name, array in self.arrays.items()}
        return Struct(**self.numbers, **pointers)

    def __getattr__(self, name: str) -> Any:
        if name in _FIELDS:
            return self.numbers[name] if name in _NUMBERS else self.arrays[name]
        raise AttributeError(name)


def program(numbers: Mapping[str, int], arrays: Mapping[str, Array]) -> Program:
    """Arrays of the right types, checked.

    Raises:
        ArtifactError: they are none that the kernel may read.
    """
    kinds: dict[str, Any] = dict.fromkeys(_INT64, np.int64) | dict.fromkeys(_INT32, np.int32)
    kinds |= dict.fromkeys(_COMPARED, np.float64 if numbers.get("is_double") else np.float32)
    kinds |= dict.fromkeys(_SUMMED, np.float64 if numbers.get("sums_double") else np.float32)
    kinds |= dict.fromkeys(_BYTES, np.uint8) | {"ops": OP, "sets": SET}
    if set(arrays) != set(kinds) or set(numbers) != set(_NUMBERS):
        raise _damaged("its parts are others")
    made = {name: np.ascontiguousarray(arrays[name], dtype=kind).reshape(-1) for name, kind in kinds.items()}
    found = Program({name: int(value) for name, value in numbers.items()}, made)
    _check_columns(found)
    _check_groups(found)
    _check_tables(found)
    _check_ranked(found)
    _check_sets(found)
    _check_walked(found)
    return found


def _damaged(why: str) -> ArtifactError:
    return ArtifactError(f"a forest of the cache is damaged: {why}", hint="remove the folder target/functions")


def _hold(condition: Any, why: str) -> None:
    if not np.all(condition):
        raise _damaged(why)


def _hold_ranges(starts: Array, count: int, end: int, why: str) -> None:
    _hold(len(starts) == count + 1 and starts[0] == 0 and starts[-1] <= end, why)
    _hold(starts[1:] >= starts[:-1], why)


def _fit(starts: Array, sizes: Array, end: int) -> Array:
    """Whether each part lies within; said so that no sum overflows."""
    return np.asarray((starts >= 0) & (sizes > 0) & (sizes <= end) & (starts <= end - sizes))


def _check_columns(p: Program) -> None:
    count, trees = p.columns, p.trees
    _hold(0 <= count < FEATURE and 0 < p.targets < 1 << 31 and min(trees, p.groups) >= 0, "its sizes")
    _hold(len(p.base) == p.targets and 0 <= p.aggregate <= 3, "its base values")
    two = p.classes == 2 and p.targets == 1
    _hold(p.classes == 0 or two or p.classes == p.targets > 1, "its classes")
    _hold(len(p.cut_at) == len(p.levels) == len(p.is_wide) == count, "its columns")
    used = p.levels != 0
    _hold((p.levels[used] >= LEAST_LEVELS) & (p.levels[used] <= MOST_LEVELS), "its thresholds")
    _hold(_fit(p.cut_at[used], 1 << p.levels[used], len(p.cuts)), "its thresholds")


def _check_groups(p: Program) -> None:
    _hold_ranges(p.group_tree, p.groups, p.trees, "its groups")
    _hold_ranges(p.group_slot, p.groups, len(p.slot_column), "its slots")
    _hold(len(p.group_kind) == p.groups and np.isin(p.group_kind, (RANKED, WALKED)).all(), "its groups")
    _hold(len(p.slot_column) == len(p.slot_map), "its slots")
    _hold((p.slot_column >= 0) & (p.slot_column < p.columns), "its slots")
    levels, wide = p.levels[p.slot_column], p.is_wide[p.slot_column] != 0
    _hold(levels > 0, "its slots")
    _hold(~wide | _fit(p.slot_map, (1 << levels) + 1 + PADDING, len(p.maps)), "its maps")


def _check_tables(p: Program) -> None:
    _hold_ranges(p.table_from, p.trees, len(p.table_target), "its tables")
    _hold(len(p.table_target) == len(p.table_at) == len(p.table_size), "its tables")
    _hold((p.table_target >= 0) & (p.table_target < p.targets), "its tables")
    _hold(_fit(p.table_at, p.table_size, len(p.leaves)), "its tables")


def _kinds(p: Program) -> Array:
    """The kind of each tree; trees of no group are not run."""
    kinds = np.full(p.trees, -1, dtype=np.int64)
    for group, kind in enumerate(p.group_kind):
        kinds[p.group_tree[group] : p.group_tree[group + 1]] = kind
    return kinds


def _tables_hold(p: Program, trees: Array, counts: Array, *, exactly: bool = False) -> None:
    """All tables of these trees have ``counts`` weights, or more."""
    least, sizes = np.zeros(p.trees, dtype=np.int64), np.diff(p.table_from)
    least[trees] = counts
    asked = np.zeros(p.trees, dtype=np.bool_)
    asked[trees] = True
    owners = np.repeat(np.arange(p.trees), sizes)
    found, wanted = p.table_size[: len(owners)], least[owners]
    _hold(~asked[owners] | (found == wanted if exactly else found >= wanted), "its leaves")


def _check_ranked(p: Program) -> None:
    _hold_ranges(p.op_from, p.trees, len(p.ops), "its nodes")
    ops, sizes = p.ops, np.diff(p.op_from)
    _hold((p.op_from[-1] if p.trees else 0) == len(ops), "its nodes")
    kinds = _kinds(p)
    ranked = np.flatnonzero(kinds == RANKED)
    _hold(sizes[kinds != RANKED] == 0, "its nodes")
    owners = np.repeat(np.arange(p.trees), sizes)
    groups = np.searchsorted(p.group_tree, owners, side="right") - 1
    _hold(ops["code"] <= LEVEL + 2, "its nodes")
    _hold(ops["slot"] < np.diff(p.group_slot)[groups], "its nodes")
    is_level = ops["code"] >= LEVEL
    asks = ((ops["code"] >= MEMBER) & ~is_level) | (ops["code"] == LEVEL + 2)
    _hold((ops["members"][asks].astype(np.int64) + 1) * 32 <= len(p.members), "its sets")
    levels = np.bincount(owners[is_level], minlength=p.trees)
    _hold((levels == 0) | (levels == sizes), "its nodes")
    shape = np.where(is_level, LEAF_TREE, ops["code"] & 3)
    # Values that wait after each operation: a node over two leaves adds one, one over two nodes takes one away.
    waiting = np.cumsum(np.select([shape == LEAF_LEAF, shape == TREE_TREE], [1, -1], 0))
    before = np.concatenate([[0], waiting])[p.op_from[:-1]] if p.trees else np.empty(0, np.int64)
    depth = waiting - np.repeat(before, sizes) + is_level
    _hold((depth >= 1) & (depth <= 250), "its nodes")
    last = p.op_from[1:][sizes > 0] - 1
    _hold(depth[last] == 1, "its nodes")
    most = np.zeros(p.trees, dtype=np.int64)
    for side, shapes in (("yes", (LEAF_LEAF, LEAF_TREE)), ("no", (LEAF_LEAF, TREE_LEAF))):
        held = np.isin(shape, shapes) & ~is_level
        np.maximum.at(most, owners[held], ops[side][held].astype(np.int64))
        np.bitwise_or.at(most, owners[is_level], ops[side][is_level].astype(np.int64))
    leaves = np.array(SIZES)[np.searchsorted(SIZES, most[ranked] + 1)]
    _tables_hold(p, ranked, leaves, exactly=True)


def _check_sets(p: Program) -> None:
    """Bits of a set lie in whole words of 32 bits."""
    sets = {name: p.sets[name].astype(np.int64) for name in ("size", "at")}
    _hold((sets["size"] >= 0) & (sets["at"] >= 0), "its sets")
    _hold((sets["at"] + (sets["size"] + 31) // 32) * 4 <= len(p.members), "its sets")


def _check_walked(p: Program) -> None:
    count = len(p.node_feature)
    _hold_ranges(p.node_from, p.trees, count, "its nodes")
    _hold(len(p.node_value) == len(p.node_child) == len(p.node_leaf) == count, "its nodes")
    _hold(len(p.depth) == p.trees and (p.depth >= 0).all(), "its nodes")
    sizes = np.diff(p.node_from)
    walked = np.flatnonzero(_kinds(p) == WALKED)
    _hold(sizes[walked] > 0, "its nodes")
    owners = np.repeat(np.arange(p.trees), sizes)
    _hold(len(owners) == count, "its nodes")
    _hold((p.node_feature >= 0) & ((p.node_feature & FEATURE) < max(p.columns, 1)), "its nodes")
    _hold(p.columns > 0 or not count, "its nodes")
    asks = (p.node_feature & IS_MEMBER) != 0
    _hold(p.has_sets or not asks.any(), "its sets")
    number = p.node_value[asks]
    _hold((number >= 0) & (number < len(p.sets)) & (number < 1 << 24), "its sets")
    # A leaf stays where it is for every value, so that the way of no is never taken: its child may be the last node.
    place = np.arange(count) - p.node_from[owners]
    stays = (p.node_child == place) & np.isposinf(p.node_value)
    stays &= (p.node_feature & NAN_IS_YES) != 0
    stays &= (p.node_feature & (IS_EQUAL | IS_MEMBER)) == 0
    _hold(stays | ((p.node_child > place) & (p.node_child < sizes[owners] - 1)), "its nodes")
    most = np.zeros(p.trees, dtype=np.int64)
    np.maximum.at(most, owners, p.node_leaf.astype(np.int64))
    _hold(p.node_leaf >= 0, "its leaves")
    _tables_hold(p, walked, most[walked] + 1)
