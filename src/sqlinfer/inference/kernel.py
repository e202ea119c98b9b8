"""The seam to ONNX Runtime: named arrays in, arrays out. Tests put a fake kernel in its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from traceback import clear_frames
from typing import Any, Protocol

from sqlinfer.errors import KernelError, KernelOutOfMemory

Feeds = Mapping[str, Any]
"""Name of an input → its array; for a forest kernel also the columns of a matrix."""
Raw = Any
"""What one output of a run is: an array, or a list of dicts for a ZipMap."""

_OOM = (
    "failed to allocate memory for requested buffer",
    "out of memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "cuda_error_out_of_memory",
    "available memory of",
    "std::bad_alloc",
    "bad allocation",
)
_CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : (\w+) : ")
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|(?<![\w/.])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


class Kernel(Protocol):
    @property
    def generation(self) -> int:
        """Counts the rebuilds, so that several threads that saw the same failure rebuild once."""
        ...

    def run(self, feeds: Feeds) -> Sequence[Raw]:
        """The outputs in the order of the function's output names.

        Raises:
            KernelOutOfMemory: memory of the host or the device ran out.
            KernelError: anything else that the run reports.
        """
        ...

    def rebuild(self, generation: int) -> None:
        """Throw the session away and build it again, unless that has been done since ``generation``."""
        ...

    def close(self) -> None: ...


def is_out_of_memory(message: str) -> bool:
    text = message.casefold()
    return any(part in text for part in _OOM)


def translate(error: Exception) -> KernelError:
    """Any exception of a run as one of ours, the message stripped of values.

    Its frames let go of the session and the tensors: who catches it builds a new session while it is still alive.
    """
    clear_frames(error.__traceback__)
    kind = KernelOutOfMemory if isinstance(error, MemoryError) or is_out_of_memory(str(error)) else KernelError
    return kind(safe_message(str(error)))


def unfed(error: Exception) -> KernelError:
    """What went wrong before a run; its words may be those of a row."""
    kind = KernelOutOfMemory if isinstance(error, MemoryError) else KernelError
    return kind(f"{type(error).__name__} while its input was made")


@lru_cache(256)
def safe_message(message: str, limit: int = 200) -> str:
    """ONNX Runtime's message without literals (they may be values of the row) and without its first column of codes."""
    lines = _CODE.sub(r"\1: ", message.strip()).splitlines()
    text = _VALUES.sub("…", lines[0] if lines else "unknown")
    return text if len(text) <= limit else text[: limit - 1] + "…"
