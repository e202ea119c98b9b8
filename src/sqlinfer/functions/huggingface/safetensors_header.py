"""The header of a safetensors file, checked by its own numbers before the file is mapped."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

from sqlinfer.functions.sources.original import Refused

_BITS: Final = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32,
    "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
}  # fmt: skip
_MOST_HEADER: Final = 64 << 20


def elements(path: Path) -> int:
    """How many numbers the file holds.

    Raises:
        Refused: the header is not one, or promises what the file does not have.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(size - 8, _MOST_HEADER):
            raise _damaged(path, f"its header would have {length:,} bytes, the file has {size:,}")
        header = file.read(length)
    try:
        tensors = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "its header is not JSON") from error
    if not isinstance(tensors, dict):
        raise _damaged(path, "its header describes no tensors")
    return sum(_counted(path, name, one, size - 8 - length) for name, one in tensors.items() if name != "__metadata__")


def _counted(path: Path, name: str, tensor: Any, size: int) -> int:
    try:
        kind, shape, (begin, end) = tensor["dtype"], tensor["shape"], tensor["data_offsets"]
        whole = all(type(one) is int and one >= 0 for one in (*shape, begin, end))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"tensor {name[:60]!r} is not described") from error
    if not whole or kind not in _BITS:
        raise _damaged(path, f"tensor {name[:60]!r} has no known type and shape")
    count = int(math.prod(shape))
    if not begin <= end <= size or (end - begin) * 8 != count * _BITS[kind]:
        raise _damaged(path, f"tensor {name[:60]!r} of shape {shape} does not lie where the header says")
    return count


def _damaged(path: Path, why: str) -> Refused:
    return Refused(
        f"{path.name} is no safetensors file: {why}", "the copy may be cut off; Git LFS pointers are no weights"
    )
