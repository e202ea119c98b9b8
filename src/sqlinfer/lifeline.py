"""``python -m sqlinfer.lifeline ALIVE MODULE ARGUMENTS…``: runs a module in a process that ends with its parent.

ALIVE is a pipe that nobody writes to: when the parent is gone, however that went, the kernel ends this process and
those that it started, whatever they are doing. The process leads a group of its own.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys


def end_with(alive: int) -> None:
    """Be ended by a signal when the other end of the pipe closes. It needs no Python to run, so no loop can hold it."""
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(alive, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(alive, fcntl.F_SETFL, fcntl.fcntl(alive, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([alive], [], [], 0)[0]:  # gone already
        os._exit(0)


if __name__ == "__main__":
    import runpy

    end_with(int(sys.argv[1]))
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
