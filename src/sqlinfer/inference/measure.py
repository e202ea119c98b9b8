"""The size of a run that suits this graph and machine, found by running it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from sqlinfer.inference.kernel import KernelError

CPU_SIZES = (256, 1024, 4096, 16_384)
GPU_SIZES = (1024, 4096, 16_384, 65_536, 262_144)
SECONDS = 0.25
WORTH_IT = 2048
"""Rows that must be at hand before measuring pays."""


@dataclass(frozen=True, slots=True)
class Measured:
    batch_size: int
    rows_per_second: float


def measure(run: Callable[[int], None], sizes: tuple[int, ...], seconds: float = SECONDS) -> Measured | None:
    """Time ``run(size)`` for each size, small ones first, and stop when the time is used up.

    A larger size must be 3 % faster to win: the smaller one costs less memory. None where nothing could be timed.
    """
    best: Measured | None = None
    end = perf_counter() + seconds
    for position, size in enumerate(sizes):
        share = (end - perf_counter()) / (len(sizes) - position)
        if share <= 0 or (best is not None and size / best.rows_per_second > 2 * share):
            break
        try:
            rate = _rate(run, size, share)
        except KernelError:
            break
        if best is None or rate > best.rows_per_second * 1.03:
            best = Measured(size, rate)
        elif rate < best.rows_per_second * 0.7:
            break
    return best


def _rate(run: Callable[[int], None], size: int, share: float) -> float:
    """Rows per second of the fastest of several runs, the first one (which allocates) only where there is no other."""
    end = perf_counter() + share
    times: list[float] = []
    while len(times) < 12 and (not times or perf_counter() < end):
        began = perf_counter()
        run(size)
        times.append(perf_counter() - began)
    return size / max(min(times[1:] or times), 1e-9)
