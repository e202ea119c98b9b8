"""A record batch and the names of its argument columns → a block that feeds the graph's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from sqlinfer import arrays
from sqlinfer.errors import ArtifactError, InferenceError
from sqlinfer.inference.block import Block, Feeder, LazyRows, array_feeder, select
from sqlinfer.inference.images import ImageRows
from sqlinfer.inference.runnable import Runnable
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

    def block(self, batch: pa.RecordBatch, arguments: Sequence[str]) -> Block:
        """``arguments`` are columns of the batch, in the contract's order."""
        ...


class Assembler:
    """Built once per session; used by several threads at a time."""

    def __init__(self, prepared: PreparedFunction, runnable: Runnable | None = None) -> None:
        self._prepared = prepared
        split = runnable.split if runnable is not None else None
        self._by_column = split.by_column if split is not None else frozenset()
        self._coded = runnable if runnable is not None and runnable.inputs else None
        self._names = [argument.name for argument in prepared.contract.arguments]
        self._widths = [self._width(name) for name in self._names]
        self._encoder = _encoder(prepared)

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

    def block(self, batch: pa.RecordBatch, arguments: Sequence[str]) -> Block:
        """``arguments`` are columns of the batch, in the contract's order."""
        columns = [column_of(batch, name) for name in arguments]
        chosen = select(columns, self._widths)
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
            block.feeders = tuple(self._feeders(columns, block))
        return block

    def _feeders(self, columns: Sequence[pa.Array], block: Block) -> Sequence[Feeder]:
        feeders: list[Feeder] = []
        for binding in self._prepared.inputs:
            if binding.layout not in ("tokens", "image"):
                dense = [self._dense(columns, block.positions, name) for name in binding.arguments]
                by_column = binding.name in self._by_column
                feeders.append(array_feeder(binding, dense, self._vocabulary(binding.name), by_column=by_column))
        if block.lazy is not None:
            feeders += block.lazy.feeders(block.failed)
        return feeders

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


def column_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    position = batch.schema.get_field_index(name)
    if position < 0:
        raise InferenceError(f"the batch to score has no column '{name}' (or has it twice)")
    return batch.column(position)
