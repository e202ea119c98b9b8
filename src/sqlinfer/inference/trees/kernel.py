"""A split graph behind the kernel seam: head, forests, tail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sqlinfer.inference.kernel import Feeds, Raw
from sqlinfer.inference.ort_kernel import OrtKernel, SharedSession
from sqlinfer.inference.tensors import Array
from sqlinfer.inference.trees.library import Library
from sqlinfer.inference.trees.running import Columns, Wanted, run
from sqlinfer.inference.trees.split import Part, Piece, Split

Opened = Callable[[bytes], Any]
"""A session of ONNX Runtime over a graph."""


class ForestKernel:
    """Used by several threads at a time."""

    def __init__(self, library: Library, split: Split, names: Sequence[str], opened: Opened) -> None:
        self._library = library
        self._split = split
        self._names = tuple(names)
        self._head, self._tail = (_kernel(piece, opened) for piece in (split.head, split.tail))
        self._wanted = [Wanted.of(part.columns) for part in split.forests]
        self._labels = [_as_array(part.labels) for part in split.forests]
        self._parts = [one for one in (self._head, self._tail) if one is not None]

    @property
    def generation(self) -> int:
        return sum(one.generation for one in self._parts)

    def run(self, feeds: Feeds) -> Sequence[Raw]:
        split = self._split
        values: dict[str, Any] = dict(feeds)
        rows = len(next(iter(feeds.values())))
        self._through(self._head, split.head, values)
        columns: dict[str, Columns] = {}
        for part, wanted, labels in zip(split.forests, self._wanted, self._labels, strict=True):
            values[part.total], best = self._forest(part, wanted, values, columns, rows)
            if best is not None:
                values[part.label] = labels.take(best)
        self._through(self._tail, split.tail, values)
        return [values[split.direct.get(name, name)] for name in self._names]

    def _forest(
        self, part: Part, wanted: Sequence[Wanted], values: dict[str, Any], columns: dict[str, Columns], rows: int
    ) -> tuple[Array, Array | None]:
        for one in wanted:
            if one.tensor not in columns:
                given = values[one.tensor]
                columns[one.tensor] = given if isinstance(given, Columns) else Columns.of_matrix(given)
        return run(self._library, part.program, [(one, columns[one.tensor]) for one in wanted], rows, part.wide)

    def _through(self, kernel: OrtKernel | None, piece: Piece | None, values: dict[str, Any]) -> None:
        if kernel is not None and piece is not None:
            found = kernel.run({name: values[name] for name in piece.inputs})
            values.update(zip(piece.outputs, found, strict=True))

    def rebuild(self, generation: int) -> None:
        if generation == self.generation:
            for one in self._parts:
                one.rebuild(one.generation)

    def close(self) -> None:
        for one in self._parts:
            one.close()


def _as_array(labels: Sequence[int | str]) -> Array:
    return np.asarray(labels, dtype=object if labels and isinstance(labels[0], str) else np.int64)


def _kernel(piece: Piece | None, opened: Opened) -> OrtKernel | None:
    if piece is None:
        return None
    graph = piece.graph
    return OrtKernel(SharedSession(lambda: opened(graph)), piece.outputs)
