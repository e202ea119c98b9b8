"""What a library or the project's code returned → Arrow arrays of the declared types, and a block's worth of them.

A value that does not fit is its row's error; a type or a length that does not fit is the function's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from sqlinfer import arrays
from sqlinfer.errors import InferenceError, KernelError
from sqlinfer.inference.outputs import INVALID_INF, INVALID_NAN
from sqlinfer.inference.tensors import Array
from sqlinfer.spec.function import Output
from sqlinfer.types import arrow_type, is_array

INVALID_NULL = "invalid_output:null"


def declared_array(function: str, given: str, values: Any, output: Output, rows: int) -> pa.Array:
    """``values`` as an array of the output's type. ``given``: ``model returned {}``, for messages.

    Objects of Python have a type each, so there it is the row's error.

    Raises:
        InferenceError: another number of rows, or another type, than declared.
        KernelError: a value that the declared type does not hold.
    """
    found = _array(values, is_array(output.data_type))
    mixed = isinstance(values, list | tuple) or getattr(getattr(values, "dtype", None), "kind", "") == "O"
    if found is None:
        raise _differs(
            function, given, output, f"a Python {type(values).__name__}", "return an array of one value per row"
        )
    if len(found) != rows:
        raise InferenceError(
            f"function '{function}': {given.format(f'{len(found):,} values')} for {rows:,} rows",
            hint="one value per row, in the order of the rows; NULL or NaN where there is none",
        )
    try:
        return _cast(function, given, found, output)
    except InferenceError as error:
        if not mixed:
            raise
        raise KernelError(error.message.removeprefix(f"function '{function}' ")) from error


def _array(values: Any, vector: bool) -> pa.Array | None:
    """Any array of Arrow, numpy or pandas; None: it is none."""
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, np.ma.MaskedArray):
        return _masked(values) if values.ndim == 1 else None
    if isinstance(values, np.ndarray):
        return _from_numpy(values, vector)
    if isinstance(values, list | tuple):
        return _from_objects(list(values))
    if hasattr(values, "__array__") and hasattr(values, "dtype"):  # a pandas Series, a torch tensor on the CPU
        as_arrow: Callable[..., pa.Array] | None = getattr(values, "__arrow_array__", None)
        return as_arrow() if as_arrow is not None else _array(np.asarray(values), vector)
    return None


def _from_numpy(values: Array, vector: bool) -> pa.Array | None:
    if values.ndim == 0:
        return None
    if values.ndim > 2 or (values.ndim == 2 and values.shape[1] == 1 and not vector):
        values = values.reshape(len(values), -1) if vector or values[:1].size > 1 else values.reshape(len(values))
    if values.dtype.kind in "OUST":
        return _from_objects(values.tolist())
    if values.dtype.kind not in "biufmM":
        return None
    flat = _numbers(np.ascontiguousarray(values).reshape(-1))
    if values.ndim == 1:
        return flat
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1]) if values.shape[1] else None


def _masked(values: np.ma.MaskedArray[Any, Any]) -> pa.Array:
    return _numbers(np.ma.getdata(values), np.ma.getmaskarray(values))


def _numbers(values: Array, missing: Array | None = None) -> pa.Array:
    """pyarrow's own way for what is none: times, objects, numbers in another order of bytes."""
    if values.dtype.kind in "biuf" and values.dtype.isnative:
        return arrays.from_numpy(values, missing=missing)
    return pa.array(values, mask=missing)


def _from_objects(values: list[Any]) -> pa.Array:
    """Arrow finds the type. Raises KernelError where the values have none in common: some row is odd."""
    try:
        return pa.array(values, from_pandas=False)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise KernelError("the values returned have no type in common") from error


def _cast(function: str, given: str, found: pa.Array, output: Output) -> pa.Array:
    kind = arrow_type(output.data_type)
    if isinstance(found.type, pa.BaseExtensionType):
        found = found.storage
    if pa.types.is_dictionary(found.type):
        found = found.dictionary_decode()
    if found.type == kind:
        return found
    if not _fits(found.type, kind):
        raise _differs(
            function, given, output, _said(found.type), "declare what it returns, or return what is declared"
        )
    if pa.types.is_floating(found.type) and pa.types.is_integer(kind):
        found = _whole(found)
    try:
        return found.cast(kind)
    except pa.ArrowException as error:
        raise KernelError(f"the value returned does not fit {output.data_type.lower()}") from error


def _fits(given: pa.DataType, declared: pa.DataType) -> bool:
    """Whether values of one type can be meant as the other; what each of them holds is another question."""
    t = pa.types
    if t.is_null(given):
        return True
    if _is_list(declared):
        return _is_list(given) and _fits(given.value_type, declared.value_type) and _same_width(given, declared)
    if t.is_floating(declared) or t.is_integer(declared):
        return bool(t.is_floating(given) or t.is_integer(given) or t.is_boolean(given) or t.is_decimal(given))
    if t.is_boolean(declared):
        return bool(t.is_boolean(given) or t.is_integer(given))
    if t.is_string(declared):
        return bool(t.is_string(given) or t.is_large_string(given) or t.is_string_view(given))
    if t.is_binary(declared):
        return bool(t.is_binary(given) or t.is_large_binary(given) or t.is_fixed_size_binary(given))
    return bool(t.is_date(declared) and (t.is_date(given) or t.is_timestamp(given)))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _same_width(given: pa.DataType, declared: pa.DataType) -> bool:
    both = pa.types.is_fixed_size_list(given) and pa.types.is_fixed_size_list(declared)
    return not both or given.list_size == declared.list_size


def _whole(found: pa.Array) -> pa.Array:
    """NaN is no integer: NULL, which is looked at like NaN."""
    values = arrays.to_numpy(found)
    return arrays.from_numpy(values, missing=~np.isfinite(values))


def _said(kind: pa.DataType) -> str:
    names = {"double": "double", "float": "float", "string": "varchar", "large_string": "varchar", "bool": "boolean",
             "int64": "bigint", "int32": "integer"}  # fmt: skip
    if pa.types.is_fixed_size_list(kind):
        return f"{_said(kind.value_type)}[{kind.list_size}]"
    if _is_list(kind):
        return f"{_said(kind.value_type)}[]"
    return names.get(str(kind), str(kind))


def _differs(function: str, given: str, output: Output, found: str, hint: str) -> InferenceError:
    declared = output.data_type.lower() if output.name == "value" else f"'{output.name}' as {output.data_type.lower()}"
    return InferenceError(f"function '{function}' declares {declared}, and {given.format(found)}", hint=hint)


class ArrowCollector:
    """The arrays of one block, in pieces as they were made; of a row that was made twice the last one counts."""

    __slots__ = ("_outputs", "_pieces", "_place", "_rows", "_size")

    def __init__(self, rows: int, outputs: Sequence[Output]) -> None:
        self._rows, self._outputs = rows, outputs
        self._pieces: list[Sequence[pa.Array]] = []
        self._place = np.full(rows, -1, dtype=np.int64)
        """Where in the pieces, end to end, each row of the block lies; -1: nowhere."""
        self._size = 0

    def put(self, start: int, stop: int, raws: Sequence[Any]) -> None:
        self._pieces.append(raws)
        self._place[start:stop] = np.arange(self._size, self._size + stop - start)
        self._size += stop - start

    def invalid(self) -> dict[int, str]:
        """NULL, NaN and infinities, by row."""
        owner = np.full(self._size, -1, dtype=np.int64)
        there = self._place >= 0
        owner[self._place[there]] = np.flatnonzero(there)
        bad: dict[int, str] = {}
        for position in range(len(self._outputs)):
            begin = 0
            for piece in self._pieces:
                for place, error in _invalid(piece[position]).items():
                    bad.setdefault(int(owner[begin + place]), error)
                begin += len(piece[position])
        bad.pop(-1, None)
        return bad

    def arrays(self, total: int, places: Array | None, missing: Array | None) -> tuple[pa.Array, ...]:
        if not self._pieces:
            return tuple(pa.nulls(total, arrow_type(output.data_type)) for output in self._outputs)
        wanted = self._place
        if places is not None:
            wanted = np.full(total, -1, dtype=np.int64)
            wanted[places] = self._place
        if missing is not None:
            wanted = np.where(missing, -1, wanted)
        if len(self._pieces) == 1 and self._size == total and (wanted == np.arange(total)).all():
            return tuple(self._pieces[0])
        indices = arrays.from_numpy(wanted, missing=wanted < 0)
        whole = (pa.concat_arrays([piece[p] for piece in self._pieces]) for p in range(len(self._outputs)))
        return tuple(array.take(indices) for array in whole)


def _invalid(array: pa.Array) -> dict[int, str]:
    """Place → error class."""
    bad = dict.fromkeys(np.flatnonzero(~arrays.valid(array)).tolist(), INVALID_NULL) if array.null_count else {}
    values, width = array, 1
    if pa.types.is_fixed_size_list(array.type):
        width = array.type.list_size
        values = array.values.slice(array.offset * width, len(array) * width)
    owners: Array = np.arange(len(values)) // width
    if pa.types.is_list(array.type):
        values, lengths = array.flatten(), np.diff(arrays.to_numpy(array.offsets))  # leaves out what lies under NULL
        owners = np.repeat(np.arange(len(array)), np.where(arrays.valid(array), lengths, 0))
    if values is not array and values.null_count:
        for place in owners[np.flatnonzero(~arrays.valid(values))].tolist():
            bad.setdefault(int(place), INVALID_NULL)
    if pa.types.is_floating(values.type):
        numbers = arrays.to_numpy(values)
        wrong = np.flatnonzero(~np.isfinite(numbers))
        for item, place in zip(wrong.tolist(), owners[wrong].tolist(), strict=True):
            bad.setdefault(int(place), INVALID_NAN if np.isnan(numbers[item]) else INVALID_INF)
    return bad
