"""The process that scores for an isolated session: ``python -m sqlinfer.inference.worker SOCKET``.

It may be killed at any moment and keeps nothing. If its parent dies it ends with the closed socket; if it hangs then,
an alarm ends it, which needs no Python to run.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from sqlinfer.errors import SqlinferError
from sqlinfer.inference import frames
from sqlinfer.inference.session import Session, open_session

HANG_SECONDS = 600
"""Far above any deadline of the parent, who usually ends a worker long before."""


def main(handle: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")  # rather this process than the run
    channel = socket.socket(fileno=handle)
    _, setup = frames.receive(channel)
    prepared, device, cache_dir, workers, memory = pickle.loads(setup)
    try:
        session = open_session(prepared, device=device, threads=1, cache_dir=cache_dir)
    except SqlinferError as error:
        frames.send(channel, frames.ERROR, str(error).encode())
        return
    if session.device.family == "cpu":
        bound_memory(memory or available_memory() // (2 * workers))
    frames.send(channel, frames.READY)
    with suppress(EOFError, ConnectionError):
        serve(channel, session)


def serve(channel: socket.socket, session: Session) -> None:
    while True:
        signal.alarm(0)
        _, payload = frames.receive(channel)
        signal.alarm(HANG_SECONDS)
        batch = frames.unpack(payload)
        try:
            answer = frames.pack_result(session.run_batch(batch, batch.schema.names))
        except MemoryError:
            frames.send(channel, frames.MEMORY)
        except SqlinferError as error:
            frames.send(channel, frames.ERROR, str(error).encode())
        else:
            frames.send(channel, frames.RESULT, answer)


def available_memory() -> int:
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    return 4 << 30


def bound_memory(more: int) -> None:
    """Allocations beyond what is held now plus ``more`` bytes fail, instead of the machine."""
    import resource

    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE") + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main(int(sys.argv[1]))
