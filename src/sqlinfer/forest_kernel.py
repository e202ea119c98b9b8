"""Where the compiled forest kernel is, for what loads it and for what must only know that it is there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

LIBRARY: Final = Path(__file__).parent / "inference" / "trees" / "_forest.so"
OFF: Final = "SQLINFER_FOREST"
"""``0``: forests are left to ONNX Runtime. ``plain``, ``avx2``: no better instructions than these."""


def is_there() -> bool:
    """Whether forests on a CPU are run by it."""
    return os.environ.get(OFF, "") != "0" and LIBRARY.exists()
