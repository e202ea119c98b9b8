"""Named places where a test can make a run die, fail or run out of disk. Inert unless SQLINFER_FAIL_POINTS is set.

The variable holds ``name=action`` pairs, comma separated: ``kill``, ``error``, ``enospc``, ``stop``; ``name=kill:3``
acts at the third passage.
"""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter

VARIABLE = "SQLINFER_FAIL_POINTS"
_passed: Counter[str] = Counter()


def fail_point(name: str) -> None:
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    for pair in wanted.split(","):
        point, _, action = pair.partition("=")
        if point.strip() == name:
            _act(name, *action.strip().partition(":")[::2])


def _act(name: str, action: str, passage: str) -> None:
    _passed[name] += 1
    if passage and _passed[name] != int(passage):
        return
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if action == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
    if action == "error":
        raise RuntimeError(f"fail point {name}")
