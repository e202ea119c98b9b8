"""One run of a program over columns that lie anywhere in memory; the interpreter's lock is free meanwhile."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sqlinfer.errors import KernelError, KernelOutOfMemory
from sqlinfer.inference.trees.library import Library
from sqlinfer.inference.trees.program import Program

Array = np.ndarray[Any, Any]
KINDS = {np.dtype(np.float32): 0, np.dtype(np.float64): 1, np.dtype(np.int32): 2, np.dtype(np.int64): 3}


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of the rows of one run: where each lies, how far its rows are apart in bytes, its type."""

    address: Array
    stride: Array
    kind: Array
    rows: int
    owner: object
    """What keeps the memory."""

    @classmethod
    def of(cls, arrays: Sequence[Array], dtype: Any = np.float32) -> Columns:
        """Of one array [N] for each column; types that the kernel does not read become ``dtype``."""
        kept = [one if one.dtype in KINDS and one.dtype.isnative else one.astype(dtype) for one in arrays]
        return cls(
            np.asarray([one.ctypes.data for one in kept], dtype=np.int64),
            np.asarray([one.strides[0] for one in kept], dtype=np.int64),
            np.asarray([KINDS[one.dtype] for one in kept], dtype=np.int64),
            len(kept[0]) if kept else 0,
            kept,
        )

    @classmethod
    def of_matrix(cls, matrix: Array) -> Columns:
        """Of [N,F], [N,1] or [N]."""
        flat = matrix.reshape(len(matrix), int(np.prod(matrix.shape[1:])))
        if flat.dtype not in KINDS:
            flat = flat.astype(np.float32)
        count = flat.shape[1]
        address = flat.ctypes.data + np.arange(count, dtype=np.int64) * flat.strides[1]
        kind = np.full(count, KINDS[flat.dtype], dtype=np.int64)
        return cls(address, np.full(count, flat.strides[0], dtype=np.int64), kind, len(flat), flat)

    def part(self, start: int, stop: int) -> Columns:
        """Rows ``start`` to ``stop``."""
        return Columns(self.address + start * self.stride, self.stride, self.kind, stop - start, self.owner)

    def __len__(self) -> int:
        """Rows, as an array says."""
        return self.rows

    @property
    def width(self) -> int:
        return len(self.address)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Columns of a program that lie in one tensor."""

    tensor: str
    columns: Array
    """Places in the program."""
    positions: Array
    """Places in the rows of the tensor."""

    @classmethod
    def of(cls, columns: Sequence[tuple[str, int]]) -> tuple[Wanted, ...]:
        """``columns``: tensor and position of each column of a program."""
        tensors = dict.fromkeys(tensor for tensor, _ in columns)
        places = {name: [place for place, (tensor, _) in enumerate(columns) if tensor == name] for name in tensors}
        return tuple(
            cls(name, np.asarray(places[name]), np.asarray([columns[place][1] for place in places[name]]))
            for name in tensors
        )


def run(
    library: Library, program: Program, sources: Sequence[tuple[Wanted, Columns]], rows: int, wide: bool
) -> tuple[Array, Array | None]:
    """[rows,targets] of doubles where ``wide``, else of floats; of classes their scores, and which is the best.

    Raises:
        KernelError: a column that there is not.
        KernelOutOfMemory: there is no memory for the ranks.
    """
    table = np.zeros((max(1, program.columns), 3), dtype=np.int64)
    filled = 0
    for wanted, given in sources:
        if int(wanted.positions.max()) >= given.width or int(wanted.positions.min()) < 0 or given.rows != rows:
            raise KernelError("a forest asks for a column that its input has not")
        filled += len(wanted.columns)
        for part, values in enumerate((given.address, given.stride, given.kind)):
            table[wanted.columns, part] = values[wanted.positions]
    if filled != program.columns:
        raise KernelError("a forest asks for a column that its input has not")
    out = np.empty((rows, program.width), dtype=np.float64 if wide else np.float32)
    narrow, double = (None, out.ctypes.data) if wide else (out.ctypes.data, None)
    best = np.empty(rows, dtype=np.int64) if program.classes else None
    label = None if best is None else best.ctypes.data
    if library.run(ctypes.byref(program.struct), table.ctypes.data, rows, narrow, double, label, library.best):
        raise KernelOutOfMemory("no memory for the ranks of a forest")
    return out, best
