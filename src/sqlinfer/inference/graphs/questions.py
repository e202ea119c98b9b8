"""Trees over features → trees over columns that ask two things: is a value at most a threshold, is it one of a set.

``x < t`` asks whether x is at most the number below t; ``>``, ``>=`` and ``!=`` change the sides; ``==`` one after the
other for the same side is a set. Floats are compared with floats: a threshold that is a double becomes the largest
float that is no greater.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sqlinfer.inference.graphs.columns import Column, Hot, Plain
from sqlinfer.inference.graphs.ensemble import Mode, Trees, Unsupported

Array = np.ndarray[Any, Any]
_LARGEST_EXACT = 1 << 24
"""The largest integer up to which every one is a float."""
_MOST_BIT = 30
"""Of a set that ONNX Runtime keeps as bits."""
_MOST_COPIES = 1_000_000
"""Nodes that are copied because several others lead to them."""


@dataclass(frozen=True, slots=True)
class Wholes:
    """A set of whole numbers."""

    values: tuple[int, ...]
    """Sorted, each once."""
    exact: bool
    """Whole numbers alone are in it; else a value is cut to one before it is looked for."""

    @property
    def span(self) -> tuple[int, int]:
        """The lowest, and how many there are up to the highest."""
        return (self.values[0], self.values[-1] - self.values[0] + 1) if self.values else (0, 0)

    def intervals(self, kind: Any) -> tuple[Array, Array]:
        """The numbers of the set: those above the first and up to the second, in pairs."""
        values = np.asarray(self.values, dtype=kind)
        below, above = (np.nextafter(values + one, kind(-np.inf)) for one in (kind(0), kind(1)))
        if self.exact:
            return below, values
        lower, upper = np.where(values > 0, below, values - 1), np.where(values < 0, values, above)
        apart = lower[1:] > upper[:-1]
        return lower[np.r_[True, apart][: len(values)]], upper[np.r_[apart, True][: len(values)]]


@dataclass(frozen=True, slots=True)
class Questions:
    trees: Trees
    """Modes are LEQ, EQ and MEMBER; thresholds have the type of the rows."""
    sources: tuple[tuple[str, int], ...]
    """What the columns are: a tensor, and the position in its rows."""
    sets: Mapping[int, Wholes]
    """Of MEMBER nodes."""


@dataclass(frozen=True, slots=True)
class Grown:
    """One tree: its inner nodes so that children come before parents, and its leaves in order, each once."""

    order: list[int]
    leaves: list[int]
    is_levels: bool = field(default=False)
    """``order`` has one node of each level from the root down, and the leaves stand by their numbers."""


def asked(trees: Trees, columns: Sequence[Column], kind: Any) -> Questions:
    """
    Args:
        columns: where each feature comes from.
        kind: numpy's type of the rows.

    Raises:
        Unsupported: the forest is none that the kernel computes.
    """
    plain, sources = _over_columns(_plain_modes(trees), columns)
    sets = {node: _wholes(values) for node, values in plain.members.items()}
    rounded = _rounded(plain, kind, sets)
    return Questions(_unshared(_merged(rounded, sets), sets), sources, sets)


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


def _over_columns(trees: Trees, columns: Sequence[Column]) -> tuple[Trees, tuple[tuple[str, int], ...]]:
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
        found = _hot(found, trees.feature, {f: columns[f] for f in hot})
    return found, sources


def _source(column: Column) -> tuple[str, int]:
    return (column.tensor, column.position) if isinstance(column, Plain) else (column.tensor, 0)


def _hot(trees: Trees, features: Array, hot: dict[int, Any]) -> Trees:
    kind = trees.threshold.dtype.type
    nodes = np.flatnonzero(trees.inner & np.isin(features, list(hot)))
    if (trees.mode[nodes] == Mode.MEMBER).any():
        raise Unsupported("a set of zeros and ones")
    decide = {Mode.LEQ: np.less_equal, Mode.LT: np.less, Mode.EQ: np.equal}
    taken = np.arange(len(trees.mode))
    mode, threshold, missing = trees.mode.copy(), trees.threshold.copy(), trees.missing.copy()
    yes, no = trees.yes.copy(), trees.no.copy()
    for node in nodes.tolist():
        absent, present = (bool(decide[Mode(int(mode[node]))](kind(one), threshold[node])) for one in (0, 1))
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


def _wholes(values: Array) -> Wholes:
    """As ONNX Runtime looks for them: small sets are bits, which whole numbers alone can hit; otherwise it cuts what
    comes to an integer."""
    if (values != np.trunc(values)).any() or (np.abs(values) > _LARGEST_EXACT).any():
        raise Unsupported("a set of other numbers than integers")
    exact = not len(values) or bool(((values >= 0) & (values <= _MOST_BIT)).all())
    return Wholes(tuple(np.unique(values.astype(np.int64)).tolist()), exact)


def _rounded(trees: Trees, kind: Any, sets: dict[int, Wholes]) -> Trees:
    """Thresholds as numbers of the rows; a number that no row can have becomes a set of nothing."""
    value = trees.threshold + trees.threshold.dtype.type(0)  # no zero with a sign
    below = np.nextafter(value, value.dtype.type(-np.inf))
    wanted = np.where(trees.mode == Mode.LT, below, value)
    with np.errstate(over="ignore", under="ignore"):
        found = wanted.astype(kind)
        found = np.where(found > wanted, np.nextafter(found, kind(-np.inf)), found) + kind(0)
    mode = np.where(trees.mode == Mode.LT, int(Mode.LEQ), trees.mode)
    never = (mode == Mode.EQ) & (found != wanted)
    sets.update(dict.fromkeys(np.flatnonzero(never).tolist(), Wholes((), exact=True)))
    return replace(trees, mode=np.where(never, int(Mode.MEMBER), mode), threshold=found)


def _merged(trees: Trees, sets: dict[int, Wholes]) -> Trees:
    """``x == a`` to a node, else ``x == b`` to the same node: a set, as LightGBM's are written for old versions."""
    equal = trees.mode == Mode.EQ
    value = np.where(equal, trees.threshold, 0)
    equal &= (value == np.trunc(value)) & (np.abs(value) <= _LARGEST_EXACT)
    behind = trees.no
    goes_on = equal & equal[behind] & (trees.feature == trees.feature[behind]) & (trees.yes == trees.yes[behind])
    goes_on &= ~trees.inner | (trees.yes != behind)
    if not goes_on.any():
        return trees
    is_behind = np.zeros(len(equal), dtype=np.bool_)
    is_behind[behind[goes_on]] = True
    mode, no, missing = trees.mode.copy(), trees.no.copy(), trees.missing.copy()
    left = 2 * len(equal)  # of a tree each node stands in one chain
    for first in np.flatnonzero(goes_on & ~is_behind).tolist():
        chain = [first]
        while goes_on[chain[-1]]:
            chain.append(int(behind[chain[-1]]))
            left -= 1
            if left < 0:
                raise Unsupported("nodes that several others lead to: a loop, or too many to copy")
        mode[first], no[first] = Mode.MEMBER, trees.no[chain[-1]]
        missing[first] = trees.missing[chain].any()
        sets[first] = Wholes(tuple(np.unique(value[chain].astype(np.int64)).tolist()), exact=True)
    return replace(trees, mode=mode, no=no, missing=missing)


def grown_of(found: Questions) -> list[Grown]:
    """The trees as they are reached from their roots."""
    trees = found.trees
    is_leaf, yes, no = (~trees.inner).tolist(), trees.yes.tolist(), trees.no.tolist()
    grown = []
    for root in trees.roots.tolist():
        order: list[int] = []
        leaves: dict[int, None] = {}
        waiting = [root]
        while waiting:  # parents, then the sides of no, then those of yes: turned round that is post-order
            node = waiting.pop()
            if is_leaf[node]:
                leaves[node] = None
                continue
            order.append(node)
            waiting += (yes[node], no[node])
        grown.append(Grown(order[::-1], list(leaves)))
    return grown


def _unshared(trees: Trees, sets: dict[int, Wholes]) -> Trees:
    """Each inner node has one way to it: those with several are copied with all behind them."""
    is_leaf, yes, no = (~trees.inner).tolist(), trees.yes.tolist(), trees.no.tolist()
    origin = list(range(len(is_leaf)))
    seen: set[int] = set()

    def own(node: int) -> int:
        """The node itself, or a copy of it where it has been reached before."""
        if is_leaf[origin[node]] or node not in seen:
            seen.add(node)
            return node
        if len(origin) - len(is_leaf) >= _MOST_COPIES:
            raise Unsupported("nodes that several others lead to: a loop, or too many to copy")
        origin.append(origin[node])
        yes.append(yes[node])
        no.append(no[node])
        seen.add(len(origin) - 1)
        return len(origin) - 1

    roots = []
    for root in trees.roots.tolist():
        roots.append(own(root))
        waiting = [roots[-1]]
        while waiting:
            node = waiting.pop()
            if not is_leaf[origin[node]]:
                yes[node], no[node] = own(yes[node]), own(no[node])
                waiting += (yes[node], no[node])
    if len(origin) == len(is_leaf):
        return trees
    for copy in range(len(is_leaf), len(origin)):
        if origin[copy] in sets:
            sets[copy] = sets[origin[copy]]
    at = np.asarray(origin)
    columns = {name: getattr(trees, name)[at] for name in ("mode", "feature", "threshold", "missing")}
    return replace(trees, roots=np.asarray(roots), yes=np.asarray(yes), no=np.asarray(no), **columns)
