"""Seconds of a quiet machine → seconds to wait on this one, for tests that must not fail because it is busy."""

from __future__ import annotations

import os
import time
from functools import cache

MOST = 30.0
_LOOP, _QUIET = 300_000, 0.02
"""Turns of a loop, and the seconds that they take on an ordinary core that has nothing else to do."""


def patience(seconds: float) -> float:
    """``seconds`` times how slow or busy the machine is, at least once and at most ``MOST`` times.

    SQLINFER_PATIENCE says how often instead.
    """
    told = os.environ.get("SQLINFER_PATIENCE")
    return seconds * (float(told) if told else min(MOST, max(1.0, _slowness(), _load())))


@cache
def _slowness() -> float:
    began = time.perf_counter()
    for _ in range(_LOOP):
        pass
    return (time.perf_counter() - began) / _QUIET


def _load() -> float:
    """Processes that want a core, for each core; those of the last minute and a few that are just starting."""
    return 1 + os.getloadavg()[0] / (os.cpu_count() or 1)
