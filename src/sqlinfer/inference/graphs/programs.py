"""Trees over columns → the program of the forest kernel.

``questions.py`` has made two questions of all comparisons: is the value at most a threshold, or is it one of a set. So
a value matters by its rank among the thresholds of its column alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sqlinfer.inference.graphs.columns import Column
from sqlinfer.inference.graphs.ensemble import AGGREGATES, Mode, Trees, Unsupported
from sqlinfer.inference.graphs.questions import Grown, Questions, Wholes, asked, grown_of
from sqlinfer.inference.trees import program as made
from sqlinfer.inference.trees.program import Program, program

Array = np.ndarray[Any, Any]
MOST_NODES = 4_000_000
_MOST_LEVELS = 8
"""Of a tree whose levels ask one thing each: its leaves have numbers of a byte."""
_TABLE = 32
"""Bytes of a set of ranks."""
_MOST_SPAN, _MOST_BITS = 1 << 20, 64 << 20


@dataclass(frozen=True, slots=True)
class Compiled:
    program: Program
    columns: tuple[tuple[str, int], ...]
    """What the columns of the program are: a tensor, and the position in its rows."""


@dataclass(frozen=True, slots=True)
class Classes:
    """What is made of the sums, where they are classes."""

    count: int = 0
    transform: str = "NONE"
    is_positive: bool = False
    """No weight is negative."""
    is_paired: bool = False
    """The score of the first of two is that of the second turned round, before the transformation."""


def compiled(
    trees: Trees, columns: Sequence[Column], kind: Any, classes: Classes | None = None, *, is_classifier: bool = False
) -> Compiled:
    """
    Args:
        columns: where each feature comes from.
        kind: numpy's type of the rows: floats may be compared with thresholds that are doubles. Sums have the type of
            the weights.
        classes: None where the sums themselves are asked for.
        is_classifier: whether classes are made of the sums, here or behind.

    Raises:
        Unsupported: the forest is none that the kernel computes.
    """
    if len(trees.mode) > MOST_NODES:
        raise Unsupported(f"{len(trees.mode)} nodes")
    if trees.inner.any() and int(trees.feature[trees.inner].max()) >= len(columns):
        raise Unsupported("a column that there is not")
    found = asked(trees, columns, kind)
    grown = [_as_levels(found, one) for one in grown_of(found)]
    found = replace(found, trees=_with_known_weights(found.trees, grown, is_classifier))
    return Compiled(_Writer(found, grown, kind, classes or Classes()).program(), found.sources)


def _as_levels(found: Questions, tree: Grown) -> Grown:
    """A tree whose levels ask one thing each: one node of each level, and the leaves by the number that the answers
    are the bits of, the lowest that of the first."""
    count = len(tree.order) + 1
    depth = count.bit_length() - 1
    if count != 1 << depth or not 0 < depth <= _MOST_LEVELS:
        return tree
    trees, level = found.trees, np.asarray([tree.order[-1]])
    order = []
    for _ in range(depth):
        first = level[:1]
        same = (trees.mode[level] == trees.mode[first]) & (trees.feature[level] == trees.feature[first])
        same &= (trees.threshold[level] == trees.threshold[first]) & (trees.missing[level] == trees.missing[first])
        if not same.all() or len({found.sets.get(node) for node in level.tolist()}) > 1 or not trees.inner[first[0]]:
            return tree
        order.append(int(first[0]))
        level = np.concatenate([trees.no[level], trees.yes[level]])
    return Grown(order, level.tolist(), is_levels=True) if not trees.inner[level].any() else tree


def _with_known_weights(trees: Trees, grown: Sequence[Grown], is_classifier: bool) -> Trees:
    """ONNX Runtime knows of each sum whether anything was added: without, it is no class, and has no base value.

    Raises:
        Unsupported: for some rows nothing may be added, and that makes a difference.
    """
    pairs = trees.leaf * trees.targets + trees.target
    if len(np.unique(pairs)) < len(pairs):
        raise Unsupported("a leaf with two weights of one target")
    is_extreme = trees.aggregate in ("MIN", "MAX")
    if trees.targets == 1 and not is_extreme:
        return trees
    always = _always(trees, grown)
    if is_extreme and not always.all():
        raise Unsupported(f"the {trees.aggregate} over leaves that have no weight for a target")
    known = np.asarray(always.any(axis=0))
    if known.all():
        return trees
    if is_classifier:
        _check_classes(trees, grown, known)
        return trees
    ever = np.bincount(trees.target, minlength=trees.targets) > 0
    if (trees.base[~known & ever] != 0).any():
        raise Unsupported("base values of targets that a row may have no weight for")
    return replace(trees, base=np.where(known, trees.base, 0))


def _check_classes(trees: Trees, grown: Sequence[Grown], known: Array) -> None:
    """The label of two is told by the second; of several, one with a weight is always better than one without where no
    weight is negative and the leaves of a tree have one each that is not zero.

    Raises:
        Unsupported: the label may be another one.
    """
    if trees.targets == 2:
        is_told = bool(known[1])
    else:
        some = np.isin(np.arange(len(trees.mode)), trees.leaf[trees.weight > 0])
        is_told = bool((trees.weight >= 0).all()) and any(bool(some[one.leaves].all()) for one in grown)
    if not is_told or (trees.base[~known] != 0).any():
        raise Unsupported("classes that a row may have no weight for")


def _always(trees: Trees, grown: Sequence[Grown]) -> Array:
    """[trees,targets]: whether a tree has a weight for a target in each of its leaves."""
    leaves = [np.unique(one.leaves) for one in grown]
    owner = np.repeat(np.arange(len(grown)), [len(one) for one in leaves])
    of_leaf = np.argsort(trees.leaf, kind="stable")
    starts = np.searchsorted(trees.leaf[of_leaf], np.arange(len(trees.mode) + 1))
    together = np.concatenate(leaves)
    counts = starts[together + 1] - starts[together]
    places = (
        np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(starts[together], counts)
    )
    keys = np.repeat(owner, counts) * trees.targets + trees.target[of_leaf[places]]
    found = np.bincount(keys, minlength=len(grown) * trees.targets).reshape(len(grown), trees.targets)
    return np.asarray(found == np.asarray([len(one) for one in leaves])[:, None])


class _Writer:
    """The arrays of one program, tree by tree."""

    def __init__(self, found: Questions, grown: Sequence[Grown], kind: Any, classes: Classes) -> None:
        self._trees, self._grown, self._kind = found.trees, grown, kind
        self._columns, self._classes, self._sets = len(found.sources), classes, found.sets
        self._sums: Any = found.trees.weight.dtype.type
        trees = self._trees
        order = np.argsort(trees.leaf, kind="stable")
        self._weight_from = np.searchsorted(trees.leaf[order], np.arange(len(trees.mode) + 1))
        self._weight_order = order
        self._upper = self._trees.threshold
        """The largest value that a LEQ lets through, the only one that an EQ does."""
        self._lower = np.nextafter(self._upper, self._kind(-np.inf))
        self._walks = [len(one.leaves) > made.MOST_LEAVES for one in grown]
        self._cuts = self._all_cuts()
        self._wide = [len(cuts) > made.MOST_CUTS for cuts in self._cuts]
        self._lists: dict[str, list[Any]] = {
            name: []
            for name in ("ops", "members", "sets", "maps", "slot_column", "slot_map", "tables", "leaves", "nodes")
        }
        self._map_size = self._bit_size = self._leaf_size = self._node_size = self._op_size = 0
        self._known_bits: dict[bytes, int] = {}
        self._set_numbers: dict[Wholes, int] = {}
        self._starts: dict[str, list[int]] = {name: [0] for name in ("op", "node", "table")}
        self._groups: list[tuple[int, int, int]] = []
        """Kind, end of its trees, end of its slots."""
        self._depth: list[int] = []
        self._has_equal = False

    # thresholds

    def _cuts_of(self, node: int) -> list[float]:
        mode = self._trees.mode[node]
        if mode == Mode.MEMBER:
            return [float(one) for one in np.unique(np.concatenate(self._intervals(node)))]
        return [float(self._upper[node])] + ([float(self._lower[node])] if mode == Mode.EQ else [])

    def _intervals(self, node: int) -> tuple[Array, Array]:
        return self._sets[node].intervals(self._kind)

    def _all_cuts(self) -> list[Array]:
        """Of each column, sorted; trees that are walked need no ranks."""
        asked = [one.order for one, walks in zip(self._grown, self._walks, strict=True) if not walks]
        inner = np.concatenate([np.asarray(one, dtype=np.int64) for one in asked] or [np.empty(0, np.int64)])
        found: list[list[Array]] = [[] for _ in range(self._columns)]
        feature, mode = self._trees.feature, self._trees.mode
        plain = inner[mode[inner] != Mode.MEMBER]
        equal = inner[mode[inner] == Mode.EQ]
        for nodes, values in ((plain, self._upper), (equal, self._lower)):
            for column in np.unique(feature[nodes]).tolist():
                found[column].append(values[nodes[feature[nodes] == column]])
        for node in inner[mode[inner] == Mode.MEMBER].tolist():
            found[int(feature[node])].append(np.asarray(self._cuts_of(node), dtype=self._kind))
        return [np.unique(np.concatenate(one)) if one else np.empty(0, self._kind) for one in found]

    # groups of trees

    def program(self) -> Program:
        group: list[int] = []
        asked: dict[int, set[float]] = {}
        for tree in range(len(self._grown)):
            own = {} if self._walks[tree] else self._asked(tree)
            if not self._walks[tree] and not self._fits(own):
                self._walks[tree], own = True, {}
            if self._walks[tree]:
                self._ranked(group, asked)
                group, asked = [], {}
                self._walked(tree)
                continue
            together = {c: asked.get(c, set()) | values for c, values in own.items()}
            if not self._fits(together):
                self._ranked(group, asked)
                group, asked, together = [], {}, own
            asked |= together
            group.append(tree)
        self._ranked(group, asked)
        return self._finished()

    def _asked(self, tree: int) -> dict[int, set[float]]:
        """Column → thresholds that one tree has."""
        found: dict[int, set[float]] = {}
        feature = self._trees.feature
        for node in self._grown[tree].order:
            found.setdefault(int(feature[node]), set()).update(self._cuts_of(node))
        return found

    def _fits(self, asked: dict[int, set[float]]) -> bool:
        for column, values in asked.items():
            if len(self._cuts[column]) >= 1 << made.MOST_LEVELS or (
                self._wide[column] and len(values) > made.MOST_CUTS
            ):
                return False
        return True

    # ranked trees

    def _ranked(self, group: Sequence[int], asked: dict[int, set[float]]) -> None:
        """One group: its slots, then its trees."""
        if not group:
            return
        ranks: dict[int, Array] = {}
        slots = {column: place for place, column in enumerate(sorted(asked))}
        for column in slots:
            ranks[column] = self._cuts[column]
            place = -1
            if self._wide[column]:
                ranks[column] = np.asarray(sorted(asked[column]), dtype=self._kind)
                place = self._map(column, ranks[column])
            self._lists["slot_column"].append(column)
            self._lists["slot_map"].append(place)
        for tree in group:
            self._ranked_tree(self._grown[tree], slots, ranks)
            self._closed(tree, self._grown[tree].leaves, 0, ranked=True)
        self._groups.append((made.RANKED, group[-1] + 1, len(self._lists["slot_column"])))

    def _map(self, column: int, cuts: Array) -> int:
        """Rank among all thresholds → rank among those of the group; the last one is that of NaN."""
        size = 1 << _levels(len(self._cuts[column]))
        places = np.searchsorted(self._cuts[column], cuts)
        ranks = np.searchsorted(places, np.arange(size), side="left")
        found = np.concatenate([ranks, [made.NAN_RANK], np.zeros(made.PADDING)]).astype(np.uint8)
        self._lists["maps"].append(found)
        self._map_size += len(found)
        return self._map_size - len(found)

    def _ranked_tree(self, tree: Grown, slots: dict[int, int], ranks: dict[int, Array]) -> None:
        numbers = {leaf: number for number, leaf in enumerate(tree.leaves)}
        for level, node in enumerate(tree.order):
            column = int(self._trees.feature[node])
            code, low, width, members = self._test(node, ranks[column])
            yes, no = (numbers.get(int(side[node])) for side in (self._trees.yes, self._trees.no))
            if tree.is_levels:
                code, yes, no = made.LEVEL + code // 4, 1 << level, 0
            else:
                code += (0 if yes is not None else 2) + (0 if no is not None else 1)
            self._lists["ops"].append((slots[column], code, low, width, yes or 0, no or 0, 0, members))
            self._op_size += 1

    def _test(self, node: int, cuts: Array) -> tuple[int, int, int, int]:
        """How the ranks that go the way of yes are told: code, lowest, how many more, number of the set."""
        mode, missing = self._trees.mode[node], bool(self._trees.missing[node])
        if mode == Mode.LEQ:
            rank = int(np.searchsorted(cuts, self._upper[node]))
            return (made.WITHIN, made.NAN_RANK, rank + 1, 0) if missing else (made.BELOW, 0, rank, 0)
        pairs = self._intervals(node) if mode == Mode.MEMBER else (self._lower[[node]], self._upper[[node]])
        above, upto = (np.searchsorted(cuts, ends) for ends in pairs)
        if mode == Mode.EQ and not missing:
            return made.WITHIN, int(upto[0]), 0, 0
        bits = np.zeros(256, dtype=np.bool_)
        for first, last in zip(above + 1, upto, strict=True):
            bits[first : last + 1] = True
        bits[made.NAN_RANK] = missing
        return made.MEMBER, 0, 0, self._bits(bits) // _TABLE

    def _bits(self, bits: Array) -> int:
        """Where they lie among the sets; a table of 256 of them is a multiple of its length away."""
        found = np.packbits(bits, bitorder="little")
        found = np.pad(found, (0, -len(found) % _TABLE))
        key = found.tobytes()
        if key not in self._known_bits:
            self._known_bits[key] = self._bit_size
            self._lists["members"].append(found)
            self._bit_size += len(found)
            if self._bit_size > _MOST_BITS:
                raise Unsupported("sets of categories that fill more than 64 MB")
        return self._known_bits[key]

    # walked trees

    def _walked(self, tree: int) -> None:
        """One tree, level by level, so that the two sides of a node stand side by side."""
        trees = self._trees
        level = np.asarray([trees.roots[tree]])
        feature, value, child, leaf = [], [], [], []
        leaves: list[Array] = []
        count = depth = 0
        seen_leaves = 0
        while len(level):
            inner = trees.inner[level]
            place = count + np.arange(len(level))
            count += len(level)
            equal = trees.mode[level] == Mode.EQ
            self._has_equal |= bool(equal[inner].any())
            member = inner & (trees.mode[level] == Mode.MEMBER)
            own = np.where(trees.missing[level], made.NAN_IS_YES, 0) | (equal & inner) * made.IS_EQUAL
            flags = np.where(inner, own | member * made.IS_MEMBER, made.NAN_IS_YES)
            feature.append(np.where(inner, trees.feature[level], 0) | flags)
            values = np.where(inner, self._upper[level], self._kind(np.inf))
            for at in np.flatnonzero(member).tolist():
                values[at] = self._set(self._sets[int(level[at])])
            value.append(values)
            child.append(np.where(inner, count + 2 * (np.cumsum(inner) - 1), place))
            leaf.append(np.where(inner, 0, seen_leaves + np.cumsum(~inner) - 1))
            seen_leaves += int((~inner).sum())
            leaves.append(level[~inner])
            nodes = level[inner]
            level = np.stack([trees.yes[nodes], trees.no[nodes]], axis=1).reshape(-1)
            depth += 1
        self._lists["nodes"].append([np.concatenate(one) for one in (feature, value, child, leaf)])
        self._node_size += count
        self._closed(tree, np.concatenate(leaves).tolist(), depth, ranked=False)
        kind = (made.WALKED, tree + 1, len(self._lists["slot_column"]))
        if self._groups and self._groups[-1][0] == made.WALKED:
            self._groups[-1] = kind
        else:
            self._groups.append(kind)

    def _set(self, values: Wholes) -> int:
        """The number of a set, which is kept once."""
        if values not in self._set_numbers:
            first, size = values.span
            if size > _MOST_SPAN:
                raise Unsupported(f"a set of categories more than {_MOST_SPAN} apart")
            bits = np.zeros(size, dtype=np.bool_)
            bits[np.asarray(values.values, dtype=np.int64) - first] = True
            at = self._bits(bits) // 4 if size else 0
            self._set_numbers[values] = len(self._lists["sets"])
            self._lists["sets"].append((first, size, at, values.exact))
        return self._set_numbers[values]

    # leaves and the end

    def _closed(self, tree: int, leaves: Sequence[int], depth: int, *, ranked: bool) -> None:
        """The tables of a tree; its parts end here."""
        trees = self._trees
        count = len(leaves)
        size = next(one for one in made.SIZES if one >= count) if ranked else count
        tables: dict[int, Array] = {}
        for number, leaf in enumerate(leaves):
            for at in self._weight_order[self._weight_from[leaf] : self._weight_from[leaf + 1]].tolist():
                target = int(trees.target[at])
                if target not in tables:
                    tables[target] = np.zeros(size, dtype=self._sums)
                tables[target][number] = trees.weight[at]
        for target in sorted(tables):
            self._lists["tables"].append((target, self._leaf_size, size))
            self._lists["leaves"].append(tables[target])
            self._leaf_size += size
        self._depth.append(depth)
        sizes = {"op": self._op_size, "node": self._node_size, "table": len(self._lists["tables"])}
        for name, end in sizes.items():
            self._starts[name].append(end)

    def _finished(self) -> Program:
        lists, kinds = self._lists, self._groups
        ranked = any(kind == made.RANKED for kind, _, _ in kinds)
        asked = set(lists["slot_column"])
        levels = [_levels(len(cuts)) if ranked and c in asked else 0 for c, cuts in enumerate(self._cuts)]
        cuts = [_padded(cuts, level) for cuts, level in zip(self._cuts, levels, strict=True)]
        at = np.cumsum([0, *(len(one) for one in cuts)])
        nodes = [[one[part] for one in lists["nodes"]] for part in range(4)]
        tables = np.asarray(lists["tables"], dtype=np.int64).reshape(-1, 3)
        trees = self._trees
        return program(
            {
                "is_double": int(self._kind == np.float64), "sums_double": int(self._sums == np.float64),
                "columns": self._columns, "targets": trees.targets,
                "aggregate": AGGREGATES.index(trees.aggregate), "trees": len(self._grown), "groups": len(kinds),
                "has_equal": int(self._has_equal), "has_sets": int(bool(lists["sets"])), "classes": self._classes.count,
                "transform": made.TRANSFORMS.index(self._classes.transform),
                "is_positive": int(self._classes.is_positive),
                "is_paired": int(self._classes.is_paired),
            },
            {
                "cuts": _joined(cuts, self._kind), "cut_at": at[:-1], "levels": np.asarray(levels, dtype=np.int64),
                "is_wide": np.asarray(self._wide, dtype=np.int64),
                "group_kind": np.asarray([kind for kind, _, _ in kinds], dtype=np.int64),
                "group_tree": np.asarray([0, *(end for _, end, _ in kinds)]),
                "group_slot": np.asarray([0, *(end for _, _, end in kinds)]),
                "slot_column": np.asarray(lists["slot_column"], dtype=np.int64),
                "slot_map": np.asarray(lists["slot_map"], dtype=np.int64),
                "maps": _joined(lists["maps"], np.uint8), "op_from": np.asarray(self._starts["op"]),
                "ops": np.asarray(lists["ops"], dtype=made.OP), "members": _joined(lists["members"], np.uint8),
                "sets": np.asarray(lists["sets"], dtype=made.SET),
                "node_from": np.asarray(self._starts["node"]), "node_feature": _joined(nodes[0], np.int32),
                "node_value": _joined(nodes[1], self._kind), "node_child": _joined(nodes[2], np.int32),
                "node_leaf": _joined(nodes[3], np.int32), "depth": np.asarray(self._depth, dtype=np.int64),
                "table_from": np.asarray(self._starts["table"]), "table_target": tables[:, 0],
                "table_at": tables[:, 1], "table_size": tables[:, 2], "leaves": _joined(lists["leaves"], self._sums),
                "base": np.asarray(trees.base if len(trees.base) else np.zeros(trees.targets), dtype=self._sums),
            },
        )  # fmt: skip


def _levels(count: int) -> int:
    return max(made.LEAST_LEVELS, int(count).bit_length())


def _padded(cuts: Array, levels: int) -> Array:
    found = np.full(1 << levels if levels else 0, np.inf, dtype=cuts.dtype)
    found[: len(cuts)] = cuts if levels else cuts[:0]
    return found


def _joined(parts: Sequence[Array], kind: Any) -> Array:
    return np.concatenate(parts).astype(kind) if len(parts) else np.empty(0, dtype=kind)
