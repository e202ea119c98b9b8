"""Raw outputs of a library (numpy, by name) as an Arrow file between processes, and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

Array = np.ndarray[Any, Any]
REFUSED: Final = "\ufdd0refused"
"""Column of what the library said of a row that it refuses; NULL where it answered."""


def write(path: Path, table: pa.RecordBatch) -> None:
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_batch(table)


def read(path: Path) -> pa.RecordBatch:
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
        return file.get_batch(0)


def to_batch(outputs: Mapping[str, Array], refused: list[str | None]) -> pa.RecordBatch:
    columns = {name: _column(values) for name, values in outputs.items()}
    return pa.RecordBatch.from_pydict({**columns, REFUSED: pa.array(refused, pa.string())})


def of_batch(batch: pa.RecordBatch) -> tuple[dict[str, Array], Array]:
    """Raw outputs, and which rows were refused."""
    outputs = {name: _values(batch.column(name)) for name in batch.schema.names if name != REFUSED}
    return outputs, np.asarray(batch.column(REFUSED).is_valid())


def _column(values: Array) -> pa.Array:
    values = np.asarray(values)
    if values.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(_column(values.reshape(-1)), values.shape[1])
    if values.dtype.kind in "OUS":
        return pa.array([None if one is None else str(one) for one in values.tolist()], pa.string())
    return pa.array(values)


def _values(column: pa.Array) -> Array:
    if pa.types.is_fixed_size_list(column.type):
        flat: Array = column.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(column), column.type.list_size)
    found: Array = column.to_numpy(zero_copy_only=False)
    return found
