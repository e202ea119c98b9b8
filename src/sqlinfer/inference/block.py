"""One piece of a read batch, ready to be fed: rows that are not to be scored are out, the others feed in slices.

Inputs are assembled slice by slice, so that a packed matrix is written and read inside the cache.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from sqlinfer import arrays
from sqlinfer.errors import InferenceError
from sqlinfer.inference.codes import codes_of
from sqlinfer.inference.sharing import Matrix, Shared
from sqlinfer.inference.tensors import Array, column_values, dtype_of, is_list, list_lengths, list_null_rows
from sqlinfer.inference.trees.running import Columns
from sqlinfer.spec.function import InputBinding

Scratch = dict[str, Array]
"""Buffers of one worker, reused from run to run."""


class Feeder(Protocol):
    @property
    def name(self) -> str: ...

    def feed(self, start: int, stop: int, scratch: Scratch) -> Any: ...


@dataclass(frozen=True, slots=True)
class ColumnFeeder:
    """Rows of one array, [N], [N,1] or [N,K]."""

    name: str
    values: Array

    def feed(self, start: int, stop: int, scratch: Scratch) -> Array:
        return self.values[start:stop]


@dataclass(frozen=True, slots=True)
class PackedFeeder:
    """[N,F] from F columns."""

    name: str
    columns: tuple[Array, ...]
    dtype: type

    def feed(self, start: int, stop: int, scratch: Scratch) -> Array:
        rows, width = stop - start, len(self.columns)
        buffer = scratch.get(self.name)
        if buffer is None or len(buffer) < rows or buffer.shape[1] != width:
            buffer = scratch[self.name] = np.empty((rows, width), dtype=self.dtype)
        target = buffer[:rows]
        for position, values in enumerate(self.columns):
            target[:, position] = values[start:stop]
        return target


@dataclass(frozen=True, slots=True)
class TurnedFeeder:
    """[F,N] from F columns."""

    name: str
    columns: tuple[Array, ...]
    dtype: type
    shared: Shared | None = None
    """Where other functions feed from it, too."""
    key: Hashable = None

    def feed(self, start: int, stop: int, scratch: Scratch) -> Array:
        if self.shared is not None:
            return self.shared.once((self.key, start, stop), lambda: self._filled(start, stop, {}))
        return self._filled(start, stop, scratch)

    def _filled(self, start: int, stop: int, scratch: Scratch) -> Array:
        rows, width = stop - start, len(self.columns)
        buffer = scratch.get(self.name)
        if buffer is None or len(buffer) < rows * width:
            buffer = scratch[self.name] = np.empty(rows * width, dtype=self.dtype)
        target: Array = buffer[: rows * width].reshape(width, rows)
        for position, values in enumerate(self.columns):
            target[position] = values[start:stop]
        return target


@dataclass(frozen=True, slots=True)
class MatrixFeeder:
    """[N,F] that other functions feed from, too."""

    name: str
    matrix: Matrix

    def feed(self, start: int, stop: int, scratch: Scratch) -> Array:
        return self.matrix.rows(start, stop)


class ColumnsFeeder:
    """The columns of a matrix as they lie in memory, for a forest kernel."""

    def __init__(self, name: str, columns: Sequence[Array], dtype: type) -> None:
        self.name = name
        self._columns = Columns.of(columns, dtype)

    def feed(self, start: int, stop: int, scratch: Scratch) -> Columns:
        return self._columns.part(start, stop)


class LazyRows(Protocol):
    """Text or images: inputs made per run, with rows that can fail while they are made."""

    def feeders(self, failed: dict[int, str]) -> Sequence[Feeder]: ...

    def splits(self, batch_size: int, token_budget: int | None) -> Iterator[tuple[int, int]]: ...


@dataclass(slots=True)
class Block:
    """``rows`` rows to score. ``positions`` are their places in the batch (None: all of it, in order)."""

    total: int
    rows: int
    positions: Array | None
    feeders: tuple[Feeder, ...]
    rejected: dict[int, str]
    """Place in the batch → error, for rows that cannot be fed at all."""
    null_inputs: int
    lazy: LazyRows | None = None
    failed: dict[int, str] = field(default_factory=dict)
    """Row of the block → error, found while feeding or running."""

    def feeds(self, start: int, stop: int, scratch: Scratch) -> dict[str, Any]:
        return {feeder.name: feeder.feed(start, stop, scratch) for feeder in self.feeders}

    def splits(self, batch_size: int, token_budget: int | None = None) -> Iterator[tuple[int, int]]:
        if self.lazy is not None:
            yield from self.lazy.splits(batch_size, token_budget)
            return
        for start in range(0, self.rows, batch_size):
            yield start, min(start + batch_size, self.rows)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a batch can be scored."""

    positions: Array | None
    rejected: dict[int, str]
    null_inputs: int


def select(columns: Sequence[pa.Array], widths: Sequence[int | None]) -> Selection:
    """Rows without NULL arguments and with well-formed lists. ``widths`` is K for arguments of an [N,K] input."""
    total = len(columns[0]) if columns else 0
    nullable = [column for column in columns if column.null_count]
    lists = [(column, width) for column, width in zip(columns, widths, strict=True) if is_list(column.type)]
    if not nullable and not lists:
        return Selection(None, {}, 0)
    good = np.ones(total, dtype=bool)
    for column in nullable:
        good &= arrays.valid(column)
    null_inputs = total - int(good.sum())
    rejected: dict[int, str] = {}
    for column, width in lists:
        _reject_lists(column, width, good, rejected)
    positions = None if good.all() else np.flatnonzero(good)
    return Selection(positions, rejected, null_inputs)


def _reject_lists(column: pa.Array, width: int | None, good: Array, rejected: dict[int, str]) -> None:
    places = np.flatnonzero(good)
    dense = column if len(places) == len(column) else column.take(arrays.from_numpy(places))
    if width is None and len(dense):
        width = int(np.bincount(list_lengths(dense)).argmax())
    wrong = list_lengths(dense) != width
    nulls = list_null_rows(dense) & ~wrong
    for rows, error in ((wrong, "array_length"), (nulls, "null_in_array")):
        for place in places[rows]:
            rejected[int(place)] = error
            good[place] = False


def turned_feeder(
    binding: InputBinding, columns: Sequence[pa.Array], shared: Shared | None, key: Hashable
) -> TurnedFeeder:
    values = tuple(column_values(column, binding.element_type) for column in columns)
    return TurnedFeeder(binding.name, values, dtype_of(binding.element_type), shared, key)


def array_feeder(
    binding: InputBinding, columns: Sequence[pa.Array], vocabulary: pa.Array | None = None, *, by_column: bool = False
) -> Feeder:
    """The feeder of one input from its dense argument columns; with a vocabulary strings feed as their codes.

    ``by_column``: the columns of a packed input are not packed.
    """
    kind = binding.element_type if vocabulary is None else "int64"
    dtype = dtype_of(kind)

    def values_of(column: pa.Array) -> Array:
        return column_values(column, kind) if vocabulary is None else codes_of(column, vocabulary)

    match binding.layout:
        case "array":
            column = columns[0]
            width = binding.width or (int(list_lengths(column)[0]) if len(column) else 1)
            flat = values_of(column.flatten()).reshape(len(column), width)
            return ColumnFeeder(binding.name, np.ascontiguousarray(flat, dtype=dtype))
        case "packed" if by_column:
            return ColumnsFeeder(binding.name, [values_of(column) for column in columns], dtype)
        case "packed":
            return PackedFeeder(binding.name, tuple(values_of(column) for column in columns), dtype)
        case "vector" | "column":
            values = np.ascontiguousarray(values_of(columns[0]), dtype=dtype)
            return ColumnFeeder(binding.name, values if binding.layout == "vector" else values.reshape(-1, 1))
        case "tokens" | "image":
            raise InferenceError(f"input '{binding.name}' of layout {binding.layout} needs a tokenizer or an image")
