"""Import what sessions need while the main thread waits for the warehouse (which lets go of the interpreter)."""

from __future__ import annotations

import threading
from contextlib import suppress


def preload() -> None:
    """Start it and forget it: whoever needs the modules sooner waits for the import lock as usual."""
    threading.Thread(target=_import, name="sqlinfer-preload", daemon=True).start()


def _import() -> None:
    with suppress(ImportError):  # said, with a hint, by whoever needs it
        import onnxruntime  # noqa: F401

        import sqlinfer.inference.session  # noqa: F401
