"""Strings as the codes of a vocabulary."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sqlinfer import arrays
from sqlinfer.inference.tensors import Array


def codes_of(column: pa.Array, vocabulary: pa.Array) -> Array:
    """int64 positions in the vocabulary, -1 for strings outside of it. The column has no nulls."""
    if pa.types.is_dictionary(column.type):
        known = codes_of(column.dictionary.cast(pa.large_string()), vocabulary)
        picked: Array = known.take(arrays.to_numpy(column.indices))
        return picked
    import pyarrow.compute as pc

    found = pc.index_in(column.cast(pa.large_string()), value_set=vocabulary)
    codes: Array = np.where(arrays.valid(found), arrays.raw(found), -1)
    return codes.astype(np.int64, copy=False)
