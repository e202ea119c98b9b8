"""The compiled kernel: found beside this file, loaded once, and which of its instruction sets this processor has."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlinfer.forest_kernel import LIBRARY, OFF

SETS: Final = ("plain C", "AVX2", "AVX-512")
"""In the order of dispatch.c; plain C is vectors of 16 bytes, which is NEON on ARM."""
_VERSION: Final = 4
_NAMED: Final = {"plain": 0, "avx2": 1, "avx512": 2}


@dataclass(frozen=True, slots=True)
class Library:
    run: Any
    best: int
    """The place in SETS of the set that is used."""

    @property
    def instructions(self) -> str:
        return SETS[self.best]


@lru_cache(maxsize=8)
def _loaded(wanted: str) -> Library | str:
    if wanted == "0":
        return f"{OFF}=0"
    if not LIBRARY.exists():
        return "not compiled where sqlinfer was installed"
    from sqlinfer.inference.trees.program import Struct

    try:
        library = ctypes.CDLL(str(LIBRARY))
        if library.forest_version() != _VERSION or library.forest_size() != ctypes.sizeof(Struct):
            return "compiled from another version of sqlinfer"
        run = library.forest_run
        best = min(library.forest_best(), _NAMED.get(wanted, len(SETS)))
    except (OSError, AttributeError) as error:
        return f"its library does not load: {type(error).__name__}"
    pointer = ctypes.c_void_p
    run.argtypes = [pointer, pointer, ctypes.c_int64, pointer, pointer, pointer, ctypes.c_int]
    run.restype = ctypes.c_int
    return Library(run, best)


def library() -> Library | str:
    """The kernel, or why there is none."""
    return _loaded(os.environ.get(OFF, ""))
