"""What functions that score the same batch make of it once: rows to score, dense columns, packed matrices.

One of it belongs to one worker thread. A function that scores alone has an empty one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from sqlinfer.inference.tensors import Array, column_values, dtype_of

T = TypeVar("T")


class Shared:
    """Use for one batch after the other, each begun with ``begin``."""

    def __init__(self, wanted: Iterable[Hashable] = ()) -> None:
        """``wanted``: what each function says that it makes (``Assembling.makes``); what is there twice is shared."""
        self._twice = frozenset(key for key, times in Counter(wanted).items() if times > 1)
        self._made: dict[Hashable, Any] = {}
        self._buffers: dict[Hashable, Array] = {}

    def begin(self) -> None:
        self._made.clear()

    def shares(self, key: Hashable) -> bool:
        """Whether several functions make it."""
        return key in self._twice

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        if key not in self._made:
            self._made[key] = make()
        found: T = self._made[key]
        return found

    def matrix(self, key: Hashable, columns: Sequence[pa.Array], element_type: str) -> Matrix:
        """[N,F] from F columns, over a buffer that is used again with the next batch."""
        return self.once(
            key, lambda: self._matrix(key, [column_values(one, element_type) for one in columns], element_type)
        )

    def _matrix(self, key: Hashable, columns: Sequence[Array], element_type: str) -> Matrix:
        rows = len(columns[0])
        buffer = self._buffers.get(key)
        if buffer is None or len(buffer) < rows:
            buffer = self._buffers[key] = np.empty((rows, len(columns)), dtype=dtype_of(element_type))
        return Matrix(buffer, columns)


class Matrix:
    """Packed as far as somebody has asked: the first to read a piece finds it in the cache."""

    def __init__(self, buffer: Array, columns: Sequence[Array]) -> None:
        self._buffer, self._columns = buffer, columns
        self._packed = 0

    def rows(self, start: int, stop: int) -> Array:
        if stop > self._packed:
            target = self._buffer[self._packed : stop]
            for position, values in enumerate(self._columns):
                target[:, position] = values[self._packed : stop]
            self._packed = stop
        return self._buffer[start:stop]
