"""How much memory and time work on a file that is not trusted may take, and how a process keeps to that."""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from sqlinfer import numerals

MEMORY_VARIABLE: Final = "SQLINFER_PREPARE_MEMORY"
SECONDS_VARIABLE: Final = "SQLINFER_PREPARE_SECONDS"
_LEAST_MEMORY: Final = 1 << 30
_TIMES_MEMORY: Final = 12
"""A model is parsed, copied by each inference of shapes, written, and loaded by a session."""
_LEAST_SECONDS: Final = 6.0
_SECONDS_A_BYTE: Final = 0.5 / (1 << 20)
"""A forest of 64 MB takes ten seconds to rewrite."""
_PATIENCE: Final = 6.0
"""Seconds on the clock for each second of a processor: the machine may be busy."""


@dataclass(frozen=True, slots=True)
class Limits:
    memory: int
    """Bytes beyond what the process holds when it begins."""
    seconds: float
    """Of processor time."""

    @classmethod
    def of_size(cls, size: int) -> Self:
        """For files of so many bytes together; both can be raised by the environment."""
        memory, seconds = numerals.of_environment(MEMORY_VARIABLE), numerals.of_environment(SECONDS_VARIABLE)
        return cls(
            _LEAST_MEMORY + _TIMES_MEMORY * size if memory is None else int(memory),
            _LEAST_SECONDS + _SECONDS_A_BYTE * size if seconds is None else seconds,
        )

    def apply(self) -> None:
        """From here on what allocates too much fails, and what runs too long is ended by the kernel."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE * self.seconds)
        _soft(resource.RLIMIT_CORE, 0)
        _soft(resource.RLIMIT_CPU, int(self.seconds + os.times().user) + 1)
        with suppress(OSError, ValueError):  # no /proc: the clock is what is left
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            _soft(resource.RLIMIT_AS, pages * resource.getpagesize() + self.memory)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("800")  # rather this process than the run

    @staticmethod
    def lift_memory() -> None:
        """So that an answer can be made after memory ran out."""
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _soft(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
