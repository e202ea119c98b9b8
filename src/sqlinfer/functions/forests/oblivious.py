"""Trees whose levels ask one thing each → arithmetic for all trees at once: the answers of a tree are the bits of a
number, and the number finds the weight. Rows lie along the last axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sqlinfer.functions.forests.graph import GraphWriter

MOST_LEVELS: Final = 8
"""Bits of a byte."""
MOST_TESTS: Final = 30_000
"""Each is a float for every row of a batch."""
MOST_WEIGHTS: Final = 10_000_000
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Oblivious:
    """All trees, those of fewer levels filled up with tests that no number passes."""

    feature: Array
    """[T,D]"""
    border: Array
    """[T,D]: the test is whether the feature is greater."""
    weight: Array
    """[T,2^D,K], by the number whose lowest bit is the first test."""
    above: frozenset[int]
    """Features whose missing values are greater than every border."""


def fits(trees: int, levels: int, targets: int) -> bool:
    """Whether trees of so many levels are done this way: a few shallow ones are, whatever a file states."""
    return 0 < levels <= MOST_LEVELS and trees * levels <= MOST_TESTS and (trees << levels) * targets <= MOST_WEIGHTS


def sums(writer: GraphWriter, trees: Oblivious, rows: str) -> str:
    """The name of [N,K], doubles; ``rows`` is a matrix of floats."""
    count, levels = trees.feature.shape
    targets = trees.weight.shape[2]
    if trees.above:
        rows = _with_missing_above(writer, trees, rows)
    columns_first = writer.op("Transpose", rows, perm=[1, 0])
    looked_at = writer.op("Gather", columns_first, writer.constant(trees.feature), axis=0)
    passed = writer.op("Greater", looked_at, writer.constant(trees.border[:, :, None], np.float32))
    powers = writer.constant((1 << np.arange(levels)).reshape(1, levels), np.uint8)
    number = writer.op("MatMulInteger", powers, writer.cast(passed, "uint8"))
    starts = writer.constant((np.arange(count) << levels).reshape(count, 1, 1), np.int32)
    place = writer.op("Add", number, starts)
    columns = [_of_target(writer, trees.weight[:, :, target], place) for target in range(targets)]
    upright = [writer.op("Unsqueeze", one, writer.constant([1], np.int64)) for one in columns]
    return writer.op("Concat", *upright, axis=1) if targets > 1 else upright[0]


def _of_target(writer: GraphWriter, weight: Array, place: str) -> str:
    found = writer.op("Gather", writer.constant(weight.reshape(-1)), place, axis=0)
    return writer.op("ReduceSum", found, writer.constant([0, 1], np.int64), keepdims=0)


def _with_missing_above(writer: GraphWriter, trees: Oblivious, rows: str) -> str:
    width = int(trees.feature.max()) + 1
    greatest = np.full((1, width), np.nan, np.float32)
    greatest[0, [one for one in trees.above if one < width]] = np.inf
    used = writer.op("Gather", rows, writer.constant(np.arange(width)), axis=1)
    return writer.op("Where", writer.op("IsNaN", used), writer.constant(greatest), used)
