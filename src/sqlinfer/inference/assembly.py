"""A record batch and the names of its argument columns → a block that feeds the graph's inputs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import pyarrow as pa

from sqlinfer import arrays
from sqlinfer.errors import ArtifactError, InferenceError
from sqlinfer.inference.block import Block, Feeder, LazyRows, MatrixFeeder, array_feeder, select, turned_feeder
from sqlinfer.inference.images import ImageRows
from sqlinfer.inference.runnable import Runnable
from sqlinfer.inference.sharing import Shared
from sqlinfer.inference.tensors import Array
from sqlinfer.inference.text import TextEncoder, TextRows
from sqlinfer.spec.function import InputBinding, PreparedFunction
from sqlinfer.types import array_width


class Assembling(Protocol):
    """What a session feeds its kernels with."""

    @property
    def has_text(self) -> bool: ...

    @property
    def has_images(self) -> bool: ...

    @property
    def categories(self) -> dict[int, list[str]]: ...

    def makes(self, arguments: Sequence[str]) -> Sequence[Hashable]:
        """What ``block`` makes that another function may make, too: ``Shared`` has it once."""
        ...

    def block(self, batch: pa.RecordBatch, arguments: Sequence[str], shared: Shared | None = None) -> Block:
        """``arguments`` are columns of the batch, in the contract's order."""
        ...


class Assembler:
    """Built once per session; used by several threads at a time."""

    def __init__(self, prepared: PreparedFunction, runnable: Runnable | None = None) -> None:
        self._prepared = prepared
        split = runnable.split if runnable is not None else None
        self._by_column = split.by_column if split is not None else frozenset()
        self._turned = runnable.by_column if runnable is not None else frozenset()
        self._coded = runnable if runnable is not None and runnable.inputs else None
        self._names = [argument.name for argument in prepared.contract.arguments]
        self._widths = tuple(self._width(name) for name in self._names)
        self._encoder = _encoder(prepared)
        self._packed = tuple(one for one in prepared.inputs if self._is_packed(one))

    @property
    def has_text(self) -> bool:
        return self._encoder is not None

    @property
    def has_images(self) -> bool:
        return self._prepared.image is not None

    @property
    def categories(self) -> dict[int, list[str]]:
        """See ``Passes.categories``."""
        if self._coded is None:
            return {}
        plain = {name for b in self._prepared.inputs if b.name not in self._coded.inputs for name in b.arguments}
        coded = {name for b in self._prepared.inputs if b.name in self._coded.inputs for name in b.arguments}
        words = self._coded.vocabulary.to_pylist()
        kinds = {a.name: a.data_type for a in self._prepared.contract.arguments}
        return {p: words for p, name in enumerate(self._names) if name in coded - plain and kinds[name] == "TEXT"}

    def makes(self, arguments: Sequence[str]) -> list[Hashable]:
        """What ``block`` makes that another function may make, too: ``Shared`` has it once."""
        packed: list[Hashable] = [_matrix(one, self._columns(one, arguments)) for one in self._packed]
        packed += [
            _turned(one, self._columns(one, arguments)) for one in self._prepared.inputs if one.name in self._turned
        ]
        kinds = {argument.name: argument.data_type for argument in self._prepared.contract.arguments}
        texts = {name for one, name in zip(self._names, arguments, strict=True) if kinds[one] == "TEXT"}
        return packed + [_column(name) for name in texts]

    def block(self, batch: pa.RecordBatch, arguments: Sequence[str], shared: Shared | None = None) -> Block:
        """``arguments`` are columns of the batch, in the contract's order."""
        shared = shared or Shared()
        columns = [column_of(batch, name) for name in arguments]
        chosen = shared.once(self._rows(arguments), partial(select, columns, self._widths))
        rows = batch.num_rows if chosen.positions is None else len(chosen.positions)
        positions, lazy = chosen.positions, None
        failed: dict[int, str] = {}
        if rows and self._encoder is not None:
            positions, lazy = self._tokenise(columns, positions, self._encoder, failed)
        elif rows and self._prepared.image is not None:
            image = self._dense(columns, positions, self._prepared.image.argument)
            lazy = ImageRows(image, self._prepared.image, self._bindings("image"))
        block = Block(batch.num_rows, rows, positions, (), chosen.rejected, chosen.null_inputs, lazy, failed)
        if rows:
            block.feeders = tuple(self._feeders(batch, arguments, block, shared))
        return block

    def _feeders(
        self, batch: pa.RecordBatch, arguments: Sequence[str], block: Block, shared: Shared
    ) -> Sequence[Feeder]:
        feeders: list[Feeder] = []
        which = None if block.positions is None else self._rows(arguments)
        for binding in self._prepared.inputs:
            if binding.layout in ("tokens", "image"):
                continue
            names = self._columns(binding, arguments)
            dense = [
                shared.once((_column(n), which), partial(_dense, batch, n, block.positions, shared)) for n in names
            ]
            matrix = _matrix(binding, names)
            if binding.name in self._turned:
                key = _turned(binding, names)
                feeders.append(turned_feeder(binding, dense, shared if shared.shares(key) else None, (key, which)))
            elif binding in self._packed and shared.shares(matrix):
                feeders.append(MatrixFeeder(binding.name, shared.matrix((matrix, which), dense, binding.element_type)))
            else:
                by_column = binding.name in self._by_column
                feeders.append(array_feeder(binding, dense, self._vocabulary(binding.name), by_column=by_column))
        if block.lazy is not None:
            feeders += block.lazy.feeders(block.failed)
        return feeders

    def _rows(self, arguments: Sequence[str]) -> Hashable:
        """What decides which rows of a batch are scored."""
        return ("rows", tuple(arguments), self._widths)

    def _columns(self, binding: InputBinding, arguments: Sequence[str]) -> tuple[str, ...]:
        return tuple(arguments[self._names.index(name)] for name in binding.arguments)

    def _tokenise(
        self, columns: Sequence[pa.Array], positions: Array | None, encoder: TextEncoder, failed: dict[int, str]
    ) -> tuple[Array, LazyRows]:
        """Rows sorted by length, so that a run pads little; ``positions`` undoes it when results are put back.

        ``failed`` is filled with the rows, as they are sorted, whose texts have no tokens.
        """
        texts = [self._dense(columns, positions, argument) for argument in encoder.arguments]
        refused: dict[int, str] = {}
        tokens = encoder.encode(texts, self._bindings("tokens"), refused)
        order: Array = np.argsort(tokens.lengths, kind="stable")
        if refused:
            failed |= {row: refused[place] for row, place in enumerate(order.tolist()) if place in refused}
        return (order if positions is None else positions[order]), TextRows(tokens, order)

    def _dense(self, columns: Sequence[pa.Array], positions: Array | None, argument: str) -> pa.Array:
        column = columns[self._names.index(argument)]
        return column if positions is None else column.take(arrays.from_numpy(positions))

    def _vocabulary(self, input_name: str) -> pa.Array | None:
        return self._coded.vocabulary if self._coded is not None and input_name in self._coded.inputs else None

    def _is_packed(self, binding: InputBinding) -> bool:
        """Whether a matrix of numbers is made for it."""
        plain = binding.layout == "packed" and binding.element_type != "string"
        is_row = binding.name not in self._by_column and binding.name not in self._turned
        return plain and is_row and self._vocabulary(binding.name) is None

    def _bindings(self, layout: str) -> tuple[InputBinding, ...]:
        return tuple(binding for binding in self._prepared.inputs if binding.layout == layout)

    def _width(self, argument: str) -> int | None:
        for binding in self._prepared.inputs:
            if binding.layout == "array" and argument in binding.arguments and binding.width:
                return binding.width
        kinds = {a.name: a.data_type for a in self._prepared.contract.arguments}
        return array_width(kinds[argument])


def _encoder(prepared: PreparedFunction) -> TextEncoder | None:
    """Raises ArtifactError, with the function's name, for a tokenizer that does not load."""
    if prepared.tokenizer is None:
        return None
    try:
        return TextEncoder(prepared.tokenizer)
    except ArtifactError as error:
        raise ArtifactError(f"function '{prepared.contract.name}': {error.message}", hint=error.hint) from error


def _matrix(binding: InputBinding, columns: tuple[str, ...]) -> Hashable:
    return ("matrix", columns, binding.element_type)


def _turned(binding: InputBinding, columns: tuple[str, ...]) -> Hashable:
    return ("turned", columns, binding.element_type)


def _column(name: str) -> Hashable:
    return ("column", name)


def _dense(batch: pa.RecordBatch, name: str, positions: Array | None, shared: Shared) -> pa.Array:
    """A column's rows that are scored. Several functions get texts as a dictionary, each text read once."""
    column = column_of(batch, name)
    dense = column if positions is None else column.take(arrays.from_numpy(positions))
    return dense.dictionary_encode() if pa.types.is_string(dense.type) and shared.shares(_column(name)) else dense


def column_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    position = batch.schema.get_field_index(name)
    if position < 0:
        raise InferenceError(f"the batch to score has no column '{name}' (or has it twice)")
    return batch.column(position)
