"""Trees over columns → the program of the forest kernel.

Every comparison becomes one of two questions: is the value at most a threshold, or is it one of a set. ``x < t`` asks
whether x is at most the number below t; ``>``, ``>=`` and ``!=`` change the sides. So a value matters by its rank among
the thresholds of its column alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sqlinfer.inference.graphs.columns import Column, Hot, Plain
from sqlinfer.inference.graphs.ensemble import AGGREGATES, Mode, Trees, Unsupported
from sqlinfer.inference.trees import program as made
from sqlinfer.inference.trees.program import Program, program

Array = np.ndarray[Any, Any]
MOST_NODES = 4_000_000
_LARGEST_EXACT = 1 << 24
"""The largest integer up to which every one is a float."""
_MOST_BIT = 30
"""Of a set that ONNX Runtime keeps as bits."""


@dataclass(frozen=True, slots=True)
class Compiled:
    program: Program
    columns: tuple[tuple[str, int], ...]
    """What the columns of the program are: a tensor, and the position in its rows."""


@dataclass(slots=True)
class _Grown:
    """One tree: its inner nodes so that children come before parents, and its leaves in order."""

    order: list[int]
    leaves: list[int]
    """Each once."""


@dataclass(frozen=True, slots=True)
class Classes:
    """What is made of the sums, where they are classes."""

    count: int = 0
    transform: str = "NONE"
    is_positive: bool = False
    """No weight is negative."""


def compiled(trees: Trees, columns: Sequence[Column], kind: Any, classes: Classes | None = None) -> Compiled:
    """
    Args:
        columns: where each feature comes from.
        kind: numpy's type of thresholds and sums.
        classes: None where the sums themselves are asked for.

    Raises:
        Unsupported: the forest is none that the kernel computes.
    """
    if len(trees.mode) > MOST_NODES:
        raise Unsupported(f"{len(trees.mode)} nodes")
    if trees.inner.any() and int(trees.feature[trees.inner].max()) >= len(columns):
        raise Unsupported("a column that there is not")
    plain, sources = _over_columns(_plain_modes(trees), columns, kind)
    grown = _grown(plain)
    _check_weights(plain, grown)
    return Compiled(_Writer(plain, grown, len(sources), kind, classes or Classes()).program(), sources)


def _plain_modes(trees: Trees) -> Trees:
    """Only LEQ, LT, EQ and MEMBER: the others with their sides changed."""
    swap = np.isin(trees.mode, (Mode.GTE, Mode.GT, Mode.NEQ))
    mode = trees.mode.copy()
    for old, new in ((Mode.GTE, Mode.LT), (Mode.GT, Mode.LEQ), (Mode.NEQ, Mode.EQ)):
        mode[trees.mode == old] = new
    # NaN is not equal to anything, so that it goes the way of NEQ whatever the node says of missing values.
    missing = np.where(trees.mode == Mode.NEQ, False, trees.missing ^ swap)
    yes, no = np.where(swap, trees.no, trees.yes), np.where(swap, trees.yes, trees.no)
    return replace(trees, mode=mode, missing=missing, yes=yes, no=no)


def _over_columns(trees: Trees, columns: Sequence[Column], kind: Any) -> tuple[Trees, tuple[tuple[str, int], ...]]:
    """Features become columns; the test of a hot one compares the category, or is no test at all."""
    inner = trees.inner
    used = sorted(set(trees.feature[inner].tolist()))
    hot = {f for f in used if isinstance(columns[f], Hot)}
    keys = {f: _source(columns[f]) for f in used}
    sources = tuple(dict.fromkeys(keys.values()))
    number = {key: place for place, key in enumerate(sources)}
    feature = np.zeros(len(columns) or 1, dtype=np.int64)
    for f in used:
        feature[f] = number[keys[f]]
    found = replace(trees, feature=np.where(inner, feature[np.where(inner, trees.feature, 0)], 0))
    if hot:
        found = _hot(found, trees.feature, {f: columns[f] for f in hot}, kind)
    return found, sources


def _source(column: Column) -> tuple[str, int]:
    return (column.tensor, column.position) if isinstance(column, Plain) else (column.tensor, 0)


def _hot(trees: Trees, features: Array, hot: dict[int, Any], kind: Any) -> Trees:
    nodes = np.flatnonzero(trees.inner & np.isin(features, list(hot)))
    if (trees.mode[nodes] == Mode.MEMBER).any():
        raise Unsupported("a set of zeros and ones")
    decide = {Mode.LEQ: np.less_equal, Mode.LT: np.less, Mode.EQ: np.equal}
    taken = np.arange(len(trees.mode))
    mode, threshold, missing = trees.mode.copy(), trees.threshold.copy(), trees.missing.copy()
    yes, no = trees.yes.copy(), trees.no.copy()
    for node in nodes.tolist():
        absent, present = (bool(decide[Mode(int(mode[node]))](kind(one), kind(threshold[node]))) for one in (0, 1))
        if absent == present:
            taken[node] = trees.yes[node] if present else trees.no[node]
            continue
        category = hot[int(features[node])].category
        if abs(category) > _LARGEST_EXACT:
            raise Unsupported("a category that is no float")
        mode[node], threshold[node], missing[node] = Mode.EQ, category, False
        if not present:
            yes[node], no[node] = trees.no[node], trees.yes[node]
    for _ in range(len(nodes)):
        further = taken[taken]
        if (further == taken).all():
            break
        taken = further
    else:
        if len(nodes):
            raise Unsupported("a tree with a loop")
    return replace(
        trees, mode=mode, threshold=threshold, missing=missing, yes=taken[yes], no=taken[no], roots=taken[trees.roots]
    )


def _grown(trees: Trees) -> list[_Grown]:
    """The trees as they are reached from their roots."""
    is_leaf, yes, no = (~trees.inner).tolist(), trees.yes.tolist(), trees.no.tolist()
    seen: set[int] = set()
    found = []
    for root in trees.roots.tolist():
        order: list[int] = []
        leaves: dict[int, None] = {}
        waiting = [root]
        while waiting:  # parents, then the sides of no, then those of yes: turned round that is post-order
            node = waiting.pop()
            if is_leaf[node]:
                leaves[node] = None
                continue
            if node in seen:
                raise Unsupported("a node that is reached twice")
            seen.add(node)
            order.append(node)
            waiting += (yes[node], no[node])
        found.append(_Grown(order[::-1], list(leaves)))
    return found


def _check_weights(trees: Trees, grown: Sequence[_Grown]) -> None:
    pairs = trees.leaf * trees.targets + trees.target
    if len(np.unique(pairs)) < len(pairs):
        raise Unsupported("a leaf with two weights of one target")
    if trees.aggregate not in ("MIN", "MAX"):
        return
    given = np.bincount(trees.leaf, minlength=len(trees.mode))
    reached = [leaf for one in grown for leaf in one.leaves]
    if (given[reached] != trees.targets).any():
        raise Unsupported(f"the {trees.aggregate} over leaves that have no weight for a target")


class _Writer:
    """The arrays of one program, tree by tree."""

    def __init__(self, trees: Trees, grown: Sequence[_Grown], columns: int, kind: Any, classes: Classes) -> None:
        self._trees, self._grown, self._kind = trees, grown, kind
        self._columns, self._classes = columns, classes
        order = np.argsort(trees.leaf, kind="stable")
        self._weight_from = np.searchsorted(trees.leaf[order], np.arange(len(trees.mode) + 1))
        self._weight_order = order
        self._lower, self._upper = self._bounds()
        self._cuts = self._all_cuts()
        self._wide = [len(cuts) > made.MOST_CUTS for cuts in self._cuts]
        self._walks = [len(one.leaves) > made.MOST_LEAVES for one in grown]
        self._lists: dict[str, list[Any]] = {
            name: [] for name in ("ops", "members", "maps", "slot_column", "slot_map", "tables", "leaves", "nodes")
        }
        self._map_size = self._member_count = self._leaf_size = self._node_size = self._op_size = 0
        self._starts: dict[str, list[int]] = {name: [0] for name in ("op", "node", "table")}
        self._groups: list[tuple[int, int, int]] = []
        """Kind, end of its trees, end of its slots."""
        self._depth: list[int] = []
        self._has_equal = False

    # thresholds

    def _bounds(self) -> tuple[Array, Array]:
        """For each LEQ and LT node the largest value that is let through; for EQ the one below and the value."""
        value = (self._trees.threshold + self._kind(0)).astype(self._kind)
        below = np.nextafter(value, self._kind(-np.inf))
        upper = np.where(self._trees.mode == Mode.LT, below, value)
        return below, upper

    def _cuts_of(self, node: int) -> list[float]:
        mode = self._trees.mode[node]
        if mode == Mode.MEMBER:
            return [float(one) for one in np.unique(np.concatenate(self._intervals(node)))]
        return [float(self._upper[node])] + ([float(self._lower[node])] if mode == Mode.EQ else [])

    def _intervals(self, node: int) -> tuple[Array, Array]:
        """The numbers of a set: those above the first and up to the second, in pairs.

        ONNX Runtime keeps small sets as bits, which whole numbers alone can hit; otherwise it cuts what comes to an
        integer before it looks for it.
        """
        values = np.asarray(self._trees.members[node], dtype=self._kind) + self._kind(0)
        if (values != np.trunc(values)).any() or (np.abs(values) > _LARGEST_EXACT).any():
            raise Unsupported("a set of other numbers than integers")
        below, above = (np.nextafter(values + one, self._kind(-np.inf)) for one in (self._kind(0), self._kind(1)))
        if not len(values) or ((values >= 0) & (values <= _MOST_BIT)).all():
            return below, values
        return np.where(values > 0, below, values - 1), np.where(values < 0, values, above)

    def _all_cuts(self) -> list[Array]:
        """Of each column, sorted."""
        inner = np.flatnonzero(self._trees.inner)
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

    def _ranked_tree(self, tree: _Grown, slots: dict[int, int], ranks: dict[int, Array]) -> None:
        numbers = {leaf: number for number, leaf in enumerate(tree.leaves)}
        for node in tree.order:
            yes, no = (numbers.get(int(side[node])) for side in (self._trees.yes, self._trees.no))
            shape = (0 if yes is not None else 2) + (0 if no is not None else 1)
            column = int(self._trees.feature[node])
            code, low, width, members = self._test(node, ranks[column])
            self._lists["ops"].append((slots[column], code + shape, low, width, yes or 0, no or 0, 0, members))
            self._op_size += 1

    def _test(self, node: int, cuts: Array) -> tuple[int, int, int, int]:
        """How the ranks that go the way of yes are told: code, lowest, how many more, number of the set."""
        mode, missing = self._trees.mode[node], bool(self._trees.missing[node])
        if mode in (Mode.LEQ, Mode.LT):
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
        self._lists["members"].append(np.packbits(bits, bitorder="little"))
        self._member_count += 1
        return made.MEMBER, 0, 0, self._member_count - 1

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
            if (trees.mode[level[inner]] == Mode.MEMBER).any():
                raise Unsupported(f"sets of categories in a tree of more than {made.MOST_LEAVES} leaves")
            place = count + np.arange(len(level))
            count += len(level)
            equal = trees.mode[level] == Mode.EQ
            self._has_equal |= bool(equal[inner].any())
            own = np.where(trees.missing[level], made.NAN_IS_YES, 0) | (equal & inner) * made.IS_EQUAL
            flags = np.where(inner, own, made.NAN_IS_YES)
            feature.append(np.where(inner, trees.feature[level], 0) | flags)
            value.append(np.where(inner, self._upper[level], self._kind(np.inf)))
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
                    tables[target] = np.zeros(size, dtype=self._kind)
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
                "is_double": int(self._kind == np.float64), "columns": self._columns, "targets": trees.targets,
                "aggregate": AGGREGATES.index(trees.aggregate), "trees": len(self._grown), "groups": len(kinds),
                "has_equal": int(self._has_equal), "classes": self._classes.count,
                "transform": made.TRANSFORMS.index(self._classes.transform),
                "is_positive": int(self._classes.is_positive),
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
                "node_from": np.asarray(self._starts["node"]), "node_feature": _joined(nodes[0], np.int32),
                "node_value": _joined(nodes[1], self._kind), "node_child": _joined(nodes[2], np.int32),
                "node_leaf": _joined(nodes[3], np.int32), "depth": np.asarray(self._depth, dtype=np.int64),
                "table_from": np.asarray(self._starts["table"]), "table_target": tables[:, 0],
                "table_at": tables[:, 1], "table_size": tables[:, 2], "leaves": _joined(lists["leaves"], self._kind),
                "base": np.asarray(trees.base if len(trees.base) else np.zeros(trees.targets), dtype=self._kind),
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
