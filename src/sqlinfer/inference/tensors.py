"""Arrow columns without nulls → numpy arrays of an ONNX element type, vectorised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from sqlinfer import arrays
from sqlinfer.errors import InferenceError

Array = np.ndarray[Any, Any]

DTYPES: dict[str, Any] = {
    "float": np.float32, "double": np.float64, "float16": np.float16, "int8": np.int8, "int16": np.int16,
    "int32": np.int32, "int64": np.int64, "uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32,
    "uint64": np.uint64, "bool": np.bool_, "string": np.object_,
}  # fmt: skip
"""ONNX element type → numpy dtype."""


def dtype_of(element_type: str) -> Any:
    try:
        return DTYPES[element_type]
    except KeyError:
        raise InferenceError(f"ONNX element type '{element_type}' cannot be fed from a column") from None


def is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def numbers(column: pa.Array) -> Array:
    """A one-dimensional numpy array of a numeric, boolean, decimal or temporal column; zero-copy where it can be.

    Dates are days and timestamps their own unit since 1970.
    """
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):  # arrow.bool8, which DuckDB gives for BOOLEAN in lossless mode
        return numbers(column.storage)
    if pa.types.is_dictionary(kind):
        return numbers(column.dictionary_decode())
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif pa.types.is_date32(kind) or pa.types.is_time32(kind):
        column = column.cast(pa.int32())
    elif pa.types.is_temporal(kind):
        column = column.cast(pa.int64())
    elif not (pa.types.is_primitive(kind) or pa.types.is_boolean(kind)):
        raise InferenceError(f"a column of type {kind} cannot feed a numeric input")
    return arrays.to_numpy(column)


def strings(column: pa.Array) -> Array:
    """An object array with one Python string per distinct value."""
    if not pa.types.is_dictionary(column.type):
        if not is_text(column.type):
            column = column.cast(pa.string())
        elif pa.types.is_string_view(column.type):
            column = column.cast(pa.large_string())
        column = column.dictionary_encode()
    values, codes = arrays.texts(column.dictionary), arrays.to_numpy(column.indices)
    result: Array = values.take(codes) if len(values) else np.empty(len(codes), dtype=object)
    return result


def column_values(column: pa.Array, element_type: str) -> Array:
    """A column as the values that an input of ``element_type`` takes, not yet cast to it."""
    return strings(column) if element_type == "string" else numbers(column)


def list_lengths(column: pa.Array) -> Array:
    if pa.types.is_fixed_size_list(column.type):
        return np.full(len(column), column.type.list_size, dtype=np.int64)
    import pyarrow.compute as pc  # 80 ms that numeric functions need not pay

    return numbers(pc.list_value_length(column)).astype(np.int64, copy=False)


def list_null_rows(column: pa.Array) -> Array:
    """Which rows of a list column without null rows hold a NULL element."""
    values = column.flatten()
    rows = np.zeros(len(column), dtype=bool)
    if values.null_count:
        owner = np.repeat(np.arange(len(column)), list_lengths(column))
        rows[owner[numbers(values.is_null())]] = True
    return rows
