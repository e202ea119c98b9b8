"""What scoring made of one batch of rows, and two of them as one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What scoring made of one batch."""

    arrays: tuple[pa.Array, ...]
    """One per output of the contract."""
    errors: pa.Array
    """Text per row, NULL where nothing went wrong."""
    missing: np.ndarray[tuple[int], np.dtype[np.bool_]] | None
    """Rows without a result (NULL arguments or an error), None where there are none."""
    rows: int
    null_inputs: int
    failed: int


def joined(first: BatchResult, second: BatchResult) -> BatchResult:
    """Two halves of a batch as one."""
    masks = [np.zeros(one.rows, dtype=bool) if one.missing is None else one.missing for one in (first, second)]
    missing = np.concatenate(masks)
    return BatchResult(
        tuple(pa.concat_arrays(pair) for pair in zip(first.arrays, second.arrays, strict=True)),
        pa.concat_arrays([first.errors, second.errors]),
        missing if missing.any() else None,
        first.rows + second.rows,
        first.null_inputs + second.null_inputs,
        first.failed + second.failed,
    )
