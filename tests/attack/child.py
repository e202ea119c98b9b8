"""Work in a process of its own with bounds on memory and time, so that what breaks them breaks nothing else."""

from __future__ import annotations

import multiprocessing
import resource
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MEMORY = 1_500_000_000
"""Bytes of address space beyond what the imports take."""


@dataclass(frozen=True)
class Outcome:
    value: Any
    seconds: float
    peak: int
    """Bytes."""


def bounded(work: Callable[..., Any], *args: Any, memory: int = MEMORY, seconds: float = 60) -> Outcome:
    """Raises AssertionError where the child dies, is late, or raises."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, memory, work, args))
    process.start()
    theirs.close()
    try:
        assert ours.poll(seconds), f"{work.__name__} takes longer than {seconds} s"
        try:
            outcome = ours.recv()
        except EOFError:
            process.join()
            raise AssertionError(f"{work.__name__} died: {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
    assert isinstance(outcome, Outcome), outcome
    return outcome


def _child(pipe: Any, memory: int, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    try:
        value = work(*args)
    except BaseException:
        pipe.send(traceback.format_exc())
        return
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    pipe.send(Outcome(value, time.monotonic() - started, peak * 1024))
