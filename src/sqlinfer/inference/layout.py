"""How a session runs: rows per run and runs at a time. Measured once, cached as JSON."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from sqlinfer import numerals
from sqlinfer.files import parse_json, read_plain, write_atomic

THREADS_VARIABLE = "SQLINFER_THREADS"
Source = Literal["measured", "cached", "declared", "default"]


@dataclass(frozen=True, slots=True)
class Layout:
    batch_size: int
    """Rows in one run of the graph."""
    sessions: int
    """Runs in flight at a time."""
    intra_op_threads: int
    rows_per_second: float | None = None
    """Of all sessions together, over the kernel alone. None where it was not measured."""
    source: Source = "default"
    token_budget: int | None = None
    """Tokens in one run, padding included, for functions with a tokenizer."""


def core_count() -> int:
    """Cores that this process may use: one of several that share a machine is told how many."""
    told = numerals.of_environment(THREADS_VARIABLE)
    if told is not None:
        return max(1, int(told))
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read_layout(cache_dir: Path, digest: str, device: str) -> Layout | None:
    """The cached layout of a function on ``device`` (``cpu``, ``cuda``, …) with this machine's core count, or None."""
    try:
        stored = parse_json(read_plain(_path(cache_dir, digest, device)))
        return Layout(
            batch_size=max(1, int(stored["batch_size"])),
            sessions=max(1, int(stored["sessions"])),
            intra_op_threads=max(1, int(stored["intra_op_threads"])),
            rows_per_second=stored["rows_per_second"] and float(stored["rows_per_second"]),
            source="cached",
            token_budget=stored["token_budget"] and max(1, int(stored["token_budget"])),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_layout(cache_dir: Path, digest: str, device: str, layout: Layout) -> None:
    """Remember a layout. A cache that cannot be written is no reason to fail a night."""
    with contextlib.suppress(OSError):
        write_atomic(_path(cache_dir, digest, device), json.dumps(asdict(layout)).encode())


def _path(cache_dir: Path, digest: str, device: str) -> Path:
    return cache_dir / f"layout-{digest[:32]}-{device.replace(':', '_')}-{core_count()}.json"
