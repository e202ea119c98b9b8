"""The loop of a pass: scored batches → chunks, each committed before the next is put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

from sqlinfer.failpoints import fail_point
from sqlinfer.spec.scorer import ChunkLimits, ScoredPass, Watch, stop_if

if TYPE_CHECKING:
    import threading

    import pyarrow as pa

QUICK_SECONDS = 0.5
"""In its first half second a chunk may grow to ``quick_rows``: each commit costs as much as scoring thousands."""


def run_pass(scored: ScoredPass, watch: Watch, total: int | None, commit: Callable[[pa.Table], None]) -> int:
    """Every chunk through ``commit``. Returns the rows.

    Raises:
        Cancelled: after the chunk at hand is committed.
    """
    rows = 0
    for chunk in chunks(iter(scored), watch.limits, watch.cancel):
        began = perf_counter()
        commit(chunk)
        watch.seconds.add("write", perf_counter() - began)
        rows += chunk.num_rows
        watch.progress(rows, total, watch.seconds.so_far(*scored.parts))
        fail_point("after_append")
        stop_if(watch.cancel)
    for part in scored.parts:
        watch.seconds.add_session(part)
    return rows


def chunks(batches: Iterator[pa.RecordBatch], limits: ChunkLimits, cancel: threading.Event) -> Iterator[pa.Table]:
    """Batches put together to tables of ``rows`` rows, of some seconds of work, or of what memory allows.

    When the run is cancelled, what is at hand is the last chunk.
    """
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    size, weight, began = 0, 0, monotonic()
    for batch in batches:
        held.append(batch)
        size += batch.num_rows
        weight += batch.nbytes
        age = monotonic() - began
        enough = size >= (limits.quick_rows if limits.quick_rows and age < QUICK_SECONDS else limits.rows)
        if enough or weight >= limits.nbytes or age >= limits.seconds or cancel.is_set():
            yield pa.Table.from_batches(held)
            held, size, weight, began = [], 0, 0, monotonic()
    if size:
        yield pa.Table.from_batches(held)
