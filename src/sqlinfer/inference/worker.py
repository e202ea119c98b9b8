"""The process that scores for an isolated session: ``python -m sqlinfer.inference.worker SOCKET ALIVE``.

It may be killed at any moment and keeps nothing. ALIVE is a pipe that nobody writes to: when its parent is gone,
however that went, the kernel ends this process and those that it started, whatever they are doing.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from sqlinfer import numerals
from sqlinfer.errors import SqlinferError
from sqlinfer.inference import frames
from sqlinfer.inference.passes import Passes
from sqlinfer.inference.session import open_session
from sqlinfer.lifeline import end_with
from sqlinfer.spec.function import PreparedFunction

HANG_SECONDS = 600
"""At least; far above any deadline of the parent, who usually ends a worker long before."""


def main(handle: int, alive: int) -> None:
    end_with(alive)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")  # rather this process than the run
    channel = socket.socket(fileno=handle)
    _, setup = frames.receive(channel)
    prepared, device, cache_dir, workers, memory = pickle.loads(setup)
    try:
        session = open_here(prepared, device, cache_dir)
    except SqlinferError as error:
        frames.send_error(channel, error)
        return
    if session.device.family == "cpu":
        bound_memory(memory or available_memory() // (2 * workers))
    frames.send(channel, frames.READY)
    with suppress(EOFError, ConnectionError):
        serve(channel, session)


def open_here(prepared: PreparedFunction, device: str, cache_dir: Path | None) -> Passes:
    if prepared.native is None:
        return open_session(prepared, device=device, threads=1, cache_dir=cache_dir)
    from sqlinfer.inference.native import open_native

    return open_native(prepared)


def serve(channel: socket.socket, session: Passes) -> None:
    hang = max(HANG_SECONDS, 2 * int(numerals.of_environment(frames.TIMEOUT_VARIABLE) or 0))
    while True:
        signal.alarm(0)
        _, payload = frames.receive(channel)
        signal.alarm(hang)
        batch = frames.unpack(payload)
        try:
            answer = frames.pack_result(session.run_batch(batch, batch.schema.names))
        except MemoryError:
            frames.send(channel, frames.MEMORY)
        except SqlinferError as error:
            frames.send_error(channel, error)
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
    main(int(sys.argv[1]), int(sys.argv[2]))
