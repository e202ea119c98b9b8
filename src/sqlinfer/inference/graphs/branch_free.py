"""A forest of small trees → arithmetic without a branch, the same bits several times as fast.

A processor guesses half of the branches of a tree wrong, and each wrong guess costs more than the comparison. Here all
tests of all trees are made at once, for whole columns (rows lie along the last axis). The tests of one tree are the
bits of a number (a product with powers of two, in integers), and the number finds the weight in a table. Trees with
more tests than a byte has bits are cut into pieces, each with the tests above it: a piece that the row does not reach
gives zero, so that the sum, made in the order of the trees, has the same bits.

One-hot columns are not made: a test of one compares the category itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

from sqlinfer.inference.graphs.columns import Column, Hot
from sqlinfer.inference.graphs.emitter import Emitter
from sqlinfer.inference.graphs.forest import COMPARISONS, Branch, Forest, Leaf, Tree

BITS = 8
"""Tests of one piece: powers of two up to 128 are what a byte holds."""
MOST_BRANCHES = 31
"""Larger trees become too many pieces."""
PIECE_COST, LEVEL_COST = 3.3, 4.5
"""Nanoseconds of a piece, and of one level of a tree with branches (Zen 4, random rows)."""
MARGIN = 0.5
"""Rows whose branches are easy to guess take half of that, so an estimate within it is no gain for sure."""
GROUP = 20
"""Pieces of one product: it looks at the tests of all of them for each, so large groups multiply by zeros."""
SECTION = 120
"""Pieces whose tests and weights are alive at a time: memory of a run does not grow with the forest."""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Test:
    """What one bit says. For a hot column: that the category is there."""

    column: Column
    mode: str
    threshold: float
    missing: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """``tables[target]`` holds the weight for each number that the tests can make."""

    tests: tuple[Test, ...]
    tables: dict[int, Array]


@dataclass(frozen=True, slots=True)
class _Fork:
    """A branch on a test."""

    test: Test
    yes: _Fork | Leaf
    no: _Fork | Leaf


_Forked = _Fork | Leaf


def pieces_of(forest: Forest, columns: Sequence[Column]) -> list[Piece] | None:
    """The pieces of all trees in their order, or None where branches are cheaper."""
    if max(forest.branches) > MOST_BRANCHES:
        return None
    pieces: list[Piece] = []
    levels = 0.0
    for rows in forest.trees:
        try:
            tree = _forked(forest.tree(rows), columns)
            pieces += _cut(tree, ())
        except (ValueError, KeyError, IndexError):
            return None
        levels += _mean_depth(tree)
    pays = PIECE_COST * len(pieces) <= MARGIN * LEVEL_COST * levels
    return pieces if pays and any(piece.tests for piece in pieces) else None


def _forked(tree: Tree, columns: Sequence[Column]) -> _Forked:
    if isinstance(tree, Leaf):
        return tree
    if tree.mode not in COMPARISONS:
        raise ValueError(f"a node of mode {tree.mode}")
    column = columns[tree.feature]
    if isinstance(column, Hot):
        return _forked_hot(tree, column, columns)
    test = Test(column, tree.mode, tree.threshold, tree.missing)
    return _Fork(test, _forked(tree.yes, columns), _forked(tree.no, columns))


def _forked_hot(tree: Branch, column: Hot, columns: Sequence[Column]) -> _Forked:
    decide = _DECIDES[tree.mode]
    absent, present = (bool(decide(np.float32(value), np.float32(tree.threshold))) for value in (0, 1))
    if absent == present:
        return _forked(tree.yes if present else tree.no, columns)
    yes, no = (tree.yes, tree.no) if present else (tree.no, tree.yes)
    return _Fork(Test(column, "BRANCH_EQ", 1.0, False), _forked(yes, columns), _forked(no, columns))


_DECIDES = {
    "BRANCH_LEQ": np.less_equal, "BRANCH_LT": np.less, "BRANCH_GTE": np.greater_equal, "BRANCH_GT": np.greater,
    "BRANCH_EQ": np.equal,
}  # fmt: skip


def _mean_depth(tree: _Forked) -> float:
    return 0.0 if isinstance(tree, Leaf) else 1 + (_mean_depth(tree.yes) + _mean_depth(tree.no)) / 2


def _tests(tree: _Forked) -> Iterator[Test]:
    if isinstance(tree, _Fork):
        yield tree.test
        yield from _tests(tree.yes)
        yield from _tests(tree.no)


def _cut(tree: _Forked, path: tuple[tuple[Test, bool], ...]) -> list[Piece]:
    tests = tuple(dict.fromkeys([*(test for test, _ in path), *_tests(tree)]))
    if len(tests) <= BITS:
        return [_piece(tree, path, tests)]
    if isinstance(tree, Leaf):
        raise ValueError("a path with more tests than a piece has bits")
    return _cut(tree.yes, (*path, (tree.test, True))) + _cut(tree.no, (*path, (tree.test, False)))


def _piece(tree: _Forked, path: tuple[tuple[Test, bool], ...], tests: tuple[Test, ...]) -> Piece:
    numbers = np.arange(1 << len(tests))
    bits = {test: (numbers >> place & 1).astype(bool) for place, test in enumerate(tests)}
    reached = np.ones(len(numbers), dtype=bool)
    for test, way in path:
        reached &= bits[test] == way
    tables: dict[int, Array] = {}
    _fill(tree, reached, bits, tables)
    return Piece(tests, tables)


def _fill(tree: _Forked, reached: Array, bits: dict[Test, Array], tables: dict[int, Array]) -> None:
    if isinstance(tree, Leaf):
        for target, weight in tree.weights:
            table = tables.setdefault(target, np.zeros(len(reached), dtype=np.float32))
            table[reached] += np.float32(weight)
        return
    _fill(tree.yes, reached & bits[tree.test], bits, tables)
    _fill(tree.no, reached & ~bits[tree.test], bits, tables)


def branch_free(forest: Forest, pieces: Sequence[Piece], total: str, prefix: str) -> Emitter:
    """Nodes that compute ``total`` [N,targets], the sum of the weights without the base values."""
    emit = Emitter(prefix)
    some = next(test for piece in pieces for test in piece.tests)
    sums: list[str | None] = [None] * forest.targets
    for start in range(0, len(pieces), SECTION):
        section = pieces[start : start + SECTION]
        bits, places = _bits(emit, dict.fromkeys(test for piece in section for test in piece.tests) or {some: None})
        for target, before in enumerate(sums):
            weighing = [piece for piece in section if target in piece.tables]
            if weighing or (before is None and start + SECTION >= len(pieces)):
                sums[target] = _sum(emit, bits, places, weighing, target, before)
    _join(emit, [name for name in sums if name is not None], total)
    return emit


def _join(emit: Emitter, sums: Sequence[str], total: str) -> None:
    if len(sums) == 1:
        emit.node("Reshape", sums[0], emit.constant(np.array([-1, 1], dtype=np.int64)), output=total)
    else:
        emit.node("Transpose", emit.node("Concat", *sums, axis=0), perm=[1, 0], output=total)


def _bits(emit: Emitter, tests: dict[Test, None]) -> tuple[str, dict[Test, int]]:
    """All tests as one matrix int8 [tests,N], and the row of each. One comparison serves all tests of a column."""
    alike: dict[tuple[object, ...], list[Test]] = {}
    for test in tests:
        hot = isinstance(test.column, Hot)
        key = (test.column.tensor,) if hot else (test.column, test.mode, test.missing)
        alike.setdefault(key, []).append(test)
    rows = [_compared(emit, group) for group in alike.values()]
    places = {test: place for place, test in enumerate(test for group in alike.values() for test in group)}
    together = rows[0] if len(rows) == 1 else emit.node("Concat", *rows, axis=0)
    return emit.node("Cast", together, to=TensorProto.INT8), places


def _compared(emit: Emitter, group: Sequence[Test]) -> str:
    first = group[0]
    row = emit.row(first.column)
    if isinstance(first.column, Hot):
        wanted = np.array([[test.column.category] for test in group if isinstance(test.column, Hot)], dtype=np.int64)
        return emit.node("Equal", row, emit.constant(wanted))
    thresholds = emit.constant(np.array([[test.threshold] for test in group], dtype=np.float32))
    made = emit.node(COMPARISONS[first.mode], row, thresholds)
    return emit.node("Or", made, emit.node("IsNaN", row)) if first.missing else made


def _sum(
    emit: Emitter, bits: str, places: dict[Test, int], pieces: Sequence[Piece], target: int, before: str | None
) -> str:
    """[1,N], in the order of the pieces, going on from the sum ``before``."""
    if not pieces:
        zero = emit.node("Gather", bits, emit.constant(np.array([0], dtype=np.int64)), axis=0)
        return emit.node(
            "Mul", emit.node("Cast", zero, to=TensorProto.FLOAT), emit.constant(np.zeros(1, dtype=np.float32))
        )
    weights = [] if before is None else [before]
    weights += [
        _looked_up(emit, bits, places, pieces[start : start + GROUP], target) for start in range(0, len(pieces), GROUP)
    ]
    together = weights[0] if len(weights) == 1 else emit.node("Concat", *weights, axis=0)
    return emit.node("ReduceSum", together, emit.constant(np.array([0], dtype=np.int64)), keepdims=1)


def _looked_up(emit: Emitter, bits: str, places: dict[Test, int], pieces: Sequence[Piece], target: int) -> str:
    """Weights [pieces,N] of one group."""
    used = sorted({places[test] for piece in pieces for test in piece.tests})
    at = {place: position for position, place in enumerate(used)}
    powers = np.zeros((len(pieces), max(1, len(used))), dtype=np.uint8)
    table = np.zeros((len(pieces), 1 << max(len(piece.tests) for piece in pieces)), dtype=np.float32)
    for number, piece in enumerate(pieces):
        for bit, test in enumerate(piece.tests):
            powers[number, at[places[test]]] = 1 << bit
        table[number, : 1 << len(piece.tests)] = piece.tables[target]
    picked = emit.node("Gather", bits, emit.constant(np.array(used or [0], dtype=np.int64)), axis=0)
    numbers = emit.node("MatMulInteger", emit.constant(powers), picked)
    return emit.node("GatherElements", emit.constant(table), numbers, axis=1)
