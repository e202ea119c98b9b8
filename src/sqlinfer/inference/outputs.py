"""Raw outputs of a run → the contract's columns: selection, invalid values, Arrow arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from sqlinfer import arrays
from sqlinfer.errors import InferenceError
from sqlinfer.inference.kernel import Raw
from sqlinfer.inference.tensors import Array
from sqlinfer.spec.function import Output, OutputBinding, nan_names
from sqlinfer.types import array_width, arrow_type, is_array

INVALID_NAN = "invalid_output:nan"
INVALID_INF = "invalid_output:inf"
INVALID_LABEL = "invalid_output:label"


def pick(raw: Raw, rows: int, binding: OutputBinding, vector: bool) -> Array:
    """The values of one field for ``rows`` rows: [N], or [N,K] where ``vector``.

    Raises:
        InferenceError: the output has not one row per input row, or not the declared shape.
    """
    if isinstance(raw, dict):
        raw = [raw] if rows == 1 else raw
    values: Array = _zipmap(raw, binding) if isinstance(raw, list) else np.asarray(raw)
    if rows == 1 and values.ndim == 0:
        values = values.reshape(1)
    if values.ndim == 0 or len(values) != rows:
        got = "no rows" if values.ndim == 0 else f"{len(values)} rows"
        raise InferenceError(
            f"output '{binding.name}' has {got} for {rows} rows in",
            hint="the graph must return one result per row; 'row_wise: force' scores one row at a time",
        )
    if vector:
        return values.reshape(rows, -1)
    return _scalar(values, binding)


def _scalar(values: Array, binding: OutputBinding) -> Array:
    if binding.index is not None and values.ndim > 1:
        values = values[:, binding.index]
    if values.ndim > 1:
        if values[:1].size > 1:
            shape = "×".join(str(size) for size in values.shape[1:])
            raise InferenceError(
                f"output '{binding.name}' has {shape} values per row where one is declared",
                hint="declare an index, or an array type such as float[4]",
            )
        values = values.reshape(len(values))
    return values


def _zipmap(raw: list[Any], binding: OutputBinding) -> Array:
    if binding.key is not None:
        return np.array([row.get(binding.key, np.nan) for row in raw])
    return np.array([list(row.values()) if isinstance(row, dict) else row for row in raw])


class Collecting(Protocol):
    """Takes the values of the rows of one block, run by run."""

    def put(self, start: int, stop: int, raws: Sequence[Raw]) -> None: ...

    def invalid(self) -> dict[int, str]:
        """Row → error class, of values that are no results."""
        ...

    def arrays(self, total: int, places: Array | None, missing: Array | None) -> tuple[pa.Array, ...]:
        """Arrow arrays of ``total`` rows; block row i lies at ``places[i]``, rows in ``missing`` are NULL."""
        ...


class Collector:
    """The values of all fields for the rows of one block, filled run by run."""

    __slots__ = ("bindings", "nan", "outputs", "rows", "values")

    def __init__(self, rows: int, outputs: Sequence[Output], bindings: Sequence[OutputBinding]) -> None:
        self.rows = rows
        self.outputs = outputs
        self.bindings = bindings
        self.values: list[Array | None] = [None] * len(outputs)
        self.nan: dict[str, Array] = {name: np.zeros(rows, dtype=bool) for name in nan_names(bindings)}
        """Rows whose label was taken from scores with NaN, by the output that says so."""

    def put(self, start: int, stop: int, raws: Sequence[Raw]) -> None:
        """``raws``: one for each output, then one for each of ``nan``."""
        for (name, rows), raw in zip(self.nan.items(), raws[len(self.outputs) :], strict=True):
            rows[start:stop] = pick(raw, stop - start, OutputBinding(name, name), False) > 0
        values = raws[: len(self.outputs)]
        for position, (raw, output, binding) in enumerate(zip(values, self.outputs, self.bindings, strict=True)):
            part = pick(raw, stop - start, binding, is_array(output.data_type))
            target = self.values[position]
            if target is None:
                if stop - start == self.rows:
                    self.values[position] = part
                    continue
                target = self.values[position] = np.zeros((self.rows, *part.shape[1:]), dtype=part.dtype)
            if part.shape[1:] != target.shape[1:]:
                raise InferenceError(f"output '{binding.name}' changes its width from run to run")
            target[start:stop] = part

    def invalid(self) -> dict[int, str]:
        """Row → error class, for NaN, infinities and labels out of range."""
        bad: dict[int, str] = {}
        for values, binding in zip(self.values, self.bindings, strict=True):
            if values is None:
                continue
            if values.dtype.kind == "f":
                _not_finite(values, bad)
            if binding.labels is not None:
                outside = (values < 0) | (values >= len(binding.labels))
                bad.update(dict.fromkeys(np.flatnonzero(outside).tolist(), INVALID_LABEL))
        for rows in self.nan.values():
            bad.update(dict.fromkeys(np.flatnonzero(rows).tolist(), INVALID_NAN))
        return bad

    def arrays(self, total: int, places: Array | None, missing: Array | None) -> tuple[pa.Array, ...]:
        """Arrow arrays of ``total`` rows; block row i lies at ``places[i]``, rows in ``missing`` are NULL."""
        return tuple(
            _arrow(values, output, binding, total, places, self._missing(binding, total, places, missing))
            for values, output, binding in zip(self.values, self.outputs, self.bindings, strict=True)
        )

    def _missing(self, binding: OutputBinding, total: int, places: Array | None, missing: Array | None) -> Array | None:
        """A label out of NaN is NULL, also where NaN itself is allowed."""
        rows = self.nan[binding.nan] if binding.nan else None
        if rows is None or not rows.any():
            return missing
        spread = np.zeros(total, dtype=bool)
        spread[slice(None) if places is None else places] = rows
        return spread if missing is None else spread | missing


def _not_finite(values: Array, bad: dict[int, str]) -> None:
    finite: Array = np.isfinite(values)
    if finite.all():
        return
    nan: Array = np.isnan(values)
    if values.ndim > 1:
        finite, nan = np.all(finite, axis=1), np.any(nan, axis=1)
    for row in np.flatnonzero(~finite).tolist():
        bad[row] = INVALID_NAN if nan[row] else INVALID_INF


def _arrow(
    values: Array | None,
    output: Output,
    binding: OutputBinding,
    total: int,
    places: Array | None,
    missing: Array | None,
) -> pa.Array:
    kind = arrow_type(output.data_type)
    if values is None:
        return pa.nulls(total, kind)
    if places is not None:
        spread = np.full((total, *values.shape[1:]), "" if values.dtype.kind == "O" else 0, dtype=values.dtype)
        spread[places] = values
        values = spread
    if binding.labels is not None:
        return _labels(values, binding.labels, missing)
    if is_array(output.data_type):
        return _vectors(values, kind, array_width(output.data_type), missing, binding)
    return _plain(values, kind, missing, binding)


def _labels(values: Array, labels: Sequence[str], missing: Array | None) -> pa.Array:
    codes = values.astype(np.int64)
    outside = (codes < 0) | (codes >= len(labels))
    mask = outside if missing is None else outside | missing
    return arrays.from_texts(labels).take(arrays.from_numpy(codes, missing=mask))


def _vectors(
    values: Array, kind: pa.DataType, width: int | None, missing: Array | None, binding: OutputBinding
) -> pa.Array:
    if width is not None and values.shape[1] != width:
        raise InferenceError(f"output '{binding.name}' has {values.shape[1]} values per row where {width} are declared")
    flat = _plain(np.ascontiguousarray(values).reshape(-1), kind.value_type, None, binding)
    mask = None if missing is None else arrays.from_numpy(missing)
    if width is not None:
        return pa.FixedSizeListArray.from_arrays(flat, type=kind, mask=mask)
    offsets = arrays.from_numpy(np.arange(len(values) + 1, dtype=np.int32) * np.int32(values.shape[1]))
    return pa.ListArray.from_arrays(offsets, flat, type=kind, mask=mask)


def _plain(values: Array, kind: pa.DataType, missing: Array | None, binding: OutputBinding) -> pa.Array:
    if values.dtype.kind in "OUS":
        texts = _texts(values, missing)
        return texts if pa.types.is_string(kind) else _cast(texts, kind, binding)
    if pa.types.is_string(kind):
        return _cast(arrays.from_numpy(values, missing=missing), kind, binding)
    target = np.bool_ if pa.types.is_boolean(kind) else kind.to_pandas_dtype()
    if missing is not None and values.dtype.kind == "f" and not pa.types.is_floating(kind):
        values = np.where(missing, 0, values)
    return arrays.from_numpy(values.astype(target, copy=False), kind, missing)


def _texts(values: Array, missing: Array | None) -> pa.Array:
    """Outputs of strings are ``str``; what a map holds may be something else."""
    found: list[Any] = values.astype(object, copy=False).tolist()
    if missing is not None:
        found = [None if gone else value for value, gone in zip(found, missing.tolist(), strict=True)]
    try:
        return arrays.from_texts(found)
    except AttributeError:
        return pa.array(found, pa.string())


def _cast(values: pa.Array, kind: pa.DataType, binding: OutputBinding) -> pa.Array:
    try:
        return values.cast(kind)
    except pa.ArrowException as error:
        raise InferenceError(f"output '{binding.name}' does not fit its declared type {kind}") from error
