"""The size of a run that suits this graph and machine, found by running it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from sqlinfer.errors import KernelError

CPU_SIZES = (32, 256, 1024, 4096, 16_384)
GPU_SIZES = (1024, 4096, 16_384, 65_536, 262_144)
SECONDS = 0.25
COMFORTABLE = 1024
WORTH_IT = 2048
"""Rows that must be at hand before measuring pays."""


@dataclass(frozen=True, slots=True)
class Measured:
    batch_size: int
    rows_per_second: float


def measure(run: Callable[[int], None], sizes: tuple[int, ...], seconds: float = SECONDS) -> Measured | None:
    """Time ``run(size)`` for each size, small ones first, and stop when the time is used up.

    None where nothing could be timed.
    """
    found: list[Measured] = []
    end = perf_counter() + seconds
    for position, size in enumerate(sizes):
        share = (end - perf_counter()) / (len(sizes) - position)
        if share <= 0 or (found and size / found[-1].rows_per_second > 2 * share):
            break
        try:
            found.append(Measured(size, _rate(run, size, share)))
        except KernelError:
            break
    return choose(found) if found else None


def choose(found: Sequence[Measured]) -> Measured:
    """The smallest size within 5 % of the fastest, but not below the size at which the cost of a call is lost."""
    best = max(one.rows_per_second for one in found)
    close = [one for one in found if one.rows_per_second >= 0.95 * best]
    return next((one for one in close if one.batch_size >= COMFORTABLE), close[-1])


def _rate(run: Callable[[int], None], size: int, share: float) -> float:
    """Rows per second of the fastest of several runs, the first one (which allocates) only where there is no other."""
    end = perf_counter() + share
    times: list[float] = []
    while len(times) < 12 and (not times or perf_counter() < end):
        began = perf_counter()
        run(size)
        times.append(perf_counter() - began)
    return size / max(min(times[1:] or times), 1e-9)
