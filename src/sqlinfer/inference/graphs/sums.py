"""Matrix products over one-hot columns, emitted as sums: numbers are multiplied, the weight of a category is looked up.

The runtime adds the products of a row in the order of the columns, with one rounding for each product and its sum, and
starts anew after a number of columns (``stride``) that depends on the operator. Adding zero changes nothing, so the one
weight that a category picks is all that its columns add.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper

from sqlinfer.inference.graphs.alike import alive
from sqlinfer.inference.graphs.blocks import Block, Blocks, Looked, Numbers
from sqlinfer.inference.graphs.emitter import Emitter
from sqlinfer.inference.graphs.forest import ML
from sqlinfer.inference.graphs.lookups import Lookups
from sqlinfer.inference.graphs.opsets import opset_of
from sqlinfer.inference.graphs.rewriting import Kept

Array = np.ndarray[Any, Any]
LEAST_SAVED = 12
"""Columns that a look-up must save: below that the product is as fast."""


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """``total`` = matrix · weights + intercept, as one node has it."""

    node: NodeProto
    source: str
    weights: Array
    """[F,K]"""
    intercept: Array | None
    post_transform: str = "NONE"
    labels: Array | None = None


class Sums:
    """A model with the matrix products replaced that read one-hot columns."""

    def __init__(self, model: onnx.ModelProto, lookups: Lookups, widths: Mapping[str, int], stride: int) -> None:
        self._model, self._lookups, self._stride = model, lookups, stride
        self._emit = Emitter("__linear_")
        self._opset = opset_of(model)
        self._blocks = Blocks(model, lookups, widths, self._emit)

    def made(self, found: Sequence[Linear]) -> bytes:
        """Raises Kept where nothing is gained, or the order cannot be held."""
        by_output = {one.node.output[0]: one for one in found}
        nodes: list[NodeProto] = []
        done = False
        for node in self._model.graph.node:
            start = len(self._emit.nodes)
            linear = by_output.get(node.output[0])
            if linear is not None and self._linear(linear):
                done = True
            elif not self._times_nothing(node):
                self._forget(start)
            nodes += self._emit.nodes[start:] or [node]
        if not done:
            raise Kept("")
        return with_nodes(self._model, nodes, self._emit.constants)

    def _forget(self, start: int) -> None:
        """What was made for a node that stays as it is."""
        gone = {name for node in self._emit.nodes[start:] for name in node.output}
        del self._emit.nodes[start:]
        self._emit.rows = {key: name for key, name in self._emit.rows.items() if name not in gone}

    # -- products ---------------------------------------------------------------------------------------------------

    def _linear(self, linear: Linear) -> bool:
        """False where the matrix has no one-hot columns worth it."""
        blocks = self._blocks.of(linear.source)
        if blocks is None or sum(block.width for block in blocks) != len(linear.weights):
            return False
        if not _is_worth_it(blocks, linear.weights):
            return False
        if not np.isfinite(linear.weights).all():
            return False
        total: str | None = None
        for section in _sections(blocks, self._stride):
            made = _Section(self._emit, linear.weights).sum(section)
            total = self._begun(made, linear.intercept) if total is None else self._emit.node("Add", total, made)
        if total is None:
            return False
        finish(self._emit, linear, total, self._opset)
        return True

    def _begun(self, first: str, intercept: Array | None) -> str:
        if intercept is None:
            return first
        return self._emit.node("Add", self._emit.constant(np.ascontiguousarray(intercept)), first)

    # -- checks of numbers --------------------------------------------------------------------------------------------

    def _times_nothing(self, node: NodeProto) -> bool:
        """A matrix times zero, as we write the check for NaN: tables have none, so its numbers are enough."""
        if node.op_type != "Mul" or not self._is_summed_up(node.output[0]):
            return False
        values = [self._lookups.constant(name) for name in node.input]
        if values[1] is None or values[1].any() or values[1].size != 1:
            return False
        blocks = self._blocks.of(node.input[0])
        if blocks is None:
            return False
        numbers = [block.tensor for block in blocks if isinstance(block, Numbers)]
        if len(numbers) == len(blocks) or not numbers:
            return False
        if not all(np.isfinite(block.table).all() for block in blocks if isinstance(block, Looked)):
            return False
        together = numbers[0] if len(numbers) == 1 else self._emit.node("Concat", *numbers, axis=1)
        self._emit.node("Mul", together, node.input[1], output=node.output[0])
        return True

    def _is_summed_up(self, tensor: str) -> bool:
        readers = [node for node in self._model.graph.node if tensor in node.input]
        return bool(readers) and all(node.op_type == "ReduceSum" for node in readers)


def with_nodes(
    model: onnx.ModelProto,
    nodes: Sequence[NodeProto],
    constants: Sequence[onnx.TensorProto],
    typed: Sequence[onnx.ValueInfoProto] = (),
) -> bytes:
    """The model with other nodes, without those and the tensors that nothing reads. ``typed``: types of some."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    kept = alive(nodes, {port.name for port in whole.graph.output})
    del whole.graph.node[:], whole.graph.value_info[:]
    whole.graph.node.extend(kept)
    whole.graph.value_info.extend(typed)
    whole.graph.initializer.extend(constants)
    read = {name for node in kept for name in node.input} | {port.name for port in whole.graph.output}
    copies = [
        onnx.TensorProto.FromString(one.SerializeToString()) for one in whole.graph.initializer if one.name in read
    ]
    del whole.graph.initializer[:]
    whole.graph.initializer.extend(copies)
    made: bytes = whole.SerializeToString()
    return made


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some columns of a block, and where they stand in the matrix."""

    block: Block
    start: int
    stop: int
    place: int


def _sections(blocks: Sequence[Block], stride: int) -> Iterator[list[_Piece]]:
    """The columns between two new beginnings of the sum."""
    place, section = 0, list[_Piece]()
    for block in blocks:
        start = 0
        while start < block.width:
            stop = min(block.width, start + stride - place % stride)
            section.append(_Piece(block, start, stop, place))
            place += stop - start
            start = stop
            if place % stride == 0:
                yield section
                section = []
    if section:
        yield section


class _Section:
    """The sum over the columns of one section, in their order."""

    def __init__(self, emit: Emitter, weights: Array) -> None:
        self._emit, self._weights = emit, weights
        self._sum: str | None = None
        self._has_numbers = False
        self._waiting: list[tuple[str, Array]] = []

    def sum(self, pieces: Sequence[_Piece]) -> str:
        for piece in pieces:
            weights = self._weights[piece.place : piece.place + piece.stop - piece.start]
            if isinstance(piece.block, Numbers):
                self._waiting.append((self._cut(piece.block, piece.start, piece.stop), weights))
                continue
            table = np.ascontiguousarray(piece.block.table[:, piece.start : piece.stop])
            picked = picked_weights(table, weights)
            if picked is None:
                self._waiting.append((self._rows(piece.block, table), weights))
            else:
                self._multiply()
                self._add(self._rows(piece.block, picked))
        self._multiply()
        if self._sum is None:
            raise Kept("")
        return self._sum

    def _rows(self, block: Looked, table: Array) -> str:
        index, spread = block.source.index(self._emit, table)
        return self._emit.node("Gather", self._emit.constant(spread), index, axis=0)

    def _cut(self, block: Numbers, start: int, stop: int) -> str:
        if (start, stop) == (0, block.width):
            return block.tensor
        return self._emit.node("Gather", block.tensor, self._emit.constant(np.arange(start, stop)), axis=1)

    def _add(self, term: str) -> None:
        self._sum = term if self._sum is None else self._emit.node("Add", self._sum, term)

    def _multiply(self) -> None:
        """Numbers that wait are multiplied; a sum before them goes in as columns of weight one."""
        if not self._waiting:
            return
        tensors, weights = [name for name, _ in self._waiting], [weights for _, weights in self._waiting]
        if self._sum is not None:
            targets = self._weights.shape[1]
            if self._has_numbers and targets > 1:
                raise Kept("numbers stand between them")  # an infinite sum times the zero of another target is NaN
            tensors.insert(0, self._sum)
            weights.insert(0, np.eye(targets, dtype=self._weights.dtype))
        matrix = tensors[0] if len(tensors) == 1 else self._emit.node("Concat", *tensors, axis=1)
        self._sum = self._emit.node("Gemm", matrix, self._emit.constant(np.concatenate(weights)))
        self._has_numbers, self._waiting = True, []


def picked_weights(table: Array, weights: Array) -> Array | None:
    """[rows,K]: what each row of a table adds; None where it adds more than one product, or one that is rounded."""
    if table.dtype != weights.dtype or not np.isfinite(table).all():
        return None
    there = table != 0
    if there.sum(axis=1).max(initial=0) > 1:
        return None
    values = np.where(there, table, 0).sum(axis=1)
    place = there.argmax(axis=1)
    products = values[:, None] * weights[place]
    exact = np.abs(np.frexp(values)[0]) == 0.5  # a power of two
    if not (exact | (values == 0)).all():
        return None
    picked: Array = np.where(there.any(axis=1)[:, None], products, 0).astype(weights.dtype)
    picked += 0.0  # which makes 0 of -0
    return picked


def _is_worth_it(blocks: Sequence[Block], weights: Array) -> bool:
    """Raises Kept where it would be, were the columns no more than zeros and ones."""
    place, saved, scaled = 0, 0, 0
    for block in blocks:
        if isinstance(block, Looked):
            fewer = max(0, block.width - weights.shape[1])
            if picked_weights(block.table, weights[place : place + block.width]) is None:
                scaled += fewer
            else:
                saved += fewer
        place += block.width
    if saved < LEAST_SAVED <= scaled:
        raise Kept("their values are scaled, and a sum of products would be rounded in another way")
    return saved >= LEAST_SAVED


def _without_zero_times_infinity(emit: Emitter, total: str, opset: int) -> str:
    """Scores of minus infinity as the lowest number, which stands for no chance as well, where another is above it.

    The operator adds all scores to each, times zero; beside one of plus infinity there are no chances anyway.
    """
    axes = np.array([1])
    most = (
        emit.node("ReduceMax", total, emit.constant(axes), keepdims=1)
        if opset >= 18
        else emit.node("ReduceMax", total, axes=axes.tolist(), keepdims=1)
    )
    lowest = emit.node("Min", most, emit.constant(np.array(np.finfo(np.float32).min)))
    return emit.node("Max", total, lowest)


def finish(emit: Emitter, linear: Linear, total: str, opset: int) -> None:
    """What the node makes of its sums."""
    node = linear.node
    if linear.labels is None:
        if linear.post_transform != "NONE":
            raise Kept(f"a regression with {linear.post_transform}")
        emit.node("Identity", total, output=node.output[0])
        return
    label, scores = node.output[0], node.output[1] if len(node.output) > 1 else ""
    if label:
        number = emit.node("ArgMax", total, axis=1, keepdims=0)
        emit.node("Gather", emit.constant(linear.labels), number, output=label, axis=0)
    if not scores:
        return
    if linear.post_transform == "NONE":
        emit.node("Identity", total, output=scores)
    elif linear.post_transform == "LOGISTIC":
        emit.node("Sigmoid", total, output=scores)
    else:
        count = len(linear.labels)
        total = _without_zero_times_infinity(emit, total, opset)
        again: dict[str, Any] = {
            "coefficients": np.eye(count, dtype=np.float32).reshape(-1).tolist(),
            "intercepts": [0.0] * count,
        }
        kind = "classlabels_ints" if linear.labels.dtype == np.int64 else "classlabels_strings"
        again |= {kind: linear.labels.tolist(), "post_transform": linear.post_transform}
        emit.nodes.append(
            helper.make_node("LinearClassifier", [total], [f"{scores}__label", scores], domain=ML, **again)
        )
