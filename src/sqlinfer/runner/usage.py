"""What the process has used so far."""

from __future__ import annotations

import sys


def peak_memory() -> int | None:
    """Bytes of memory that the process has held at most; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)
