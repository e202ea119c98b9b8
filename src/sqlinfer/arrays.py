"""numpy ↔ Arrow by their buffers.

The first ``pa.array``, ``pa.scalar`` or ``to_numpy`` of a process imports pandas where it is installed, only to ask
whether a value is one of its own: 0.15 s, in the middle of scoring. What makes arrays on the way of rows uses this
module instead; ``pa.Array.to_pylist``, casts and kernels over arrays are free of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

Array = np.ndarray[Any, Any]
_PADDED = 64
"""Bytes: what Arrow recommends, so that nobody reads past a bitmap's end."""


def from_numpy(values: Array, kind: pa.DataType | None = None, missing: Array | None = None) -> pa.Array:
    """[N] of numbers or booleans, without a copy where they lie side by side. ``missing``: rows that are NULL.

    ``kind``: a type of the same width, e.g. a date over int32.
    """
    kind = kind or pa.from_numpy_dtype(values.dtype)
    validity, nulls = None, 0
    if missing is not None:
        nulls = int(np.count_nonzero(missing))
        validity = _bitmap(~missing) if nulls else None
    data = _bitmap(values) if values.dtype == np.bool_ else pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(kind, len(values), [validity, data], nulls)


def from_texts(values: Sequence[str | None], kind: pa.DataType | None = None) -> pa.Array:
    """``string`` or ``large_string``; None is NULL."""
    kind = kind or pa.string()
    encoded = [b"" if value is None else value.encode() for value in values]
    ends = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum([len(value) for value in encoded], out=ends[1:])
    if not pa.types.is_large_string(kind):
        if ends[-1] > np.iinfo(np.int32).max:
            raise pa.ArrowCapacityError("more than 2 GiB of text in one array")
        ends = ends.astype(np.int32)
    missing = np.fromiter((value is None for value in values), dtype=bool, count=len(values))
    nulls = int(missing.sum())
    buffers = [_bitmap(~missing) if nulls else None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(kind, len(values), buffers, nulls)


def to_numpy(array: pa.Array) -> Array:
    """[N] of numbers or booleans, without a copy where there is none to make.

    NULL: NaN among floats and integers (which become doubles), as ``to_numpy`` has it, and false among booleans.
    """
    if pa.types.is_boolean(array.type):
        values = _bits(array.buffers()[1], array.offset, len(array))
        return values & valid(array) if array.null_count else values
    values = raw(array)
    if not array.null_count:
        return values
    values = values.astype(np.float64 if values.dtype.kind in "iu" else values.dtype)
    values[~valid(array)] = np.nan
    return values


def raw(array: pa.Array) -> Array:
    """[N] of numbers as they lie in memory; what stands for a NULL is any number."""
    dtype = np.dtype(array.type.to_pandas_dtype())
    data = array.buffers()[1]
    if data is None or not len(array):
        return np.zeros(len(array), dtype=dtype)
    return np.frombuffer(data, dtype=dtype, count=len(array), offset=array.offset * dtype.itemsize)


def valid(array: pa.Array) -> Array:
    """Which rows are not NULL."""
    bitmap = array.buffers()[0]
    if bitmap is None:
        return np.full(len(array), not pa.types.is_null(array.type))
    return _bits(bitmap, array.offset, len(array))


def texts(array: pa.Array) -> Array:
    """Objects [N]: a ``str`` each, None for NULL."""
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        array = array.cast(pa.large_string())
    _, offsets, data = array.buffers()
    width = np.int64 if pa.types.is_large_string(array.type) else np.int32
    found = np.empty(len(array), dtype=object)
    if not len(array) or offsets is None:
        return found
    ends = np.frombuffer(offsets, dtype=width)[array.offset : array.offset + len(array) + 1].tolist()
    raw = b"" if data is None else data.slice(ends[0], ends[-1] - ends[0]).to_pybytes()
    first = ends[0]
    if raw.isascii():
        whole = raw.decode("ascii")
        found[:] = [whole[a - first : b - first] for a, b in pairwise(ends)]
    else:
        found[:] = [raw[a - first : b - first].decode() for a, b in pairwise(ends)]
    if array.null_count:
        found[~valid(array)] = None
    return found


def _bitmap(bits: Array) -> pa.Buffer:
    packed = np.packbits(bits, bitorder="little")
    padded = np.zeros(-(-max(len(packed), 1) // _PADDED) * _PADDED, dtype=np.uint8)
    padded[: len(packed)] = packed
    return pa.py_buffer(padded)


def _bits(bitmap: pa.Buffer | None, offset: int, length: int) -> Array:
    if bitmap is None or not length:
        return np.zeros(length, dtype=bool)
    first = offset // 8
    packed = np.frombuffer(bitmap, dtype=np.uint8)[first : -(-(offset + length) // 8)]
    bits = np.unpackbits(packed, bitorder="little")[offset - 8 * first :][:length]
    return bits.view(np.bool_)
