"""Scored batches put together to chunks."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest

from sqlinfer.adapters.shared import chunks as module
from sqlinfer.adapters.shared.chunks import chunks
from sqlinfer.spec.scorer import ChunkLimits


def batches(sizes: list[int]) -> Iterator[pa.RecordBatch]:
    return (pa.record_batch({"x": list(range(size))}) for size in sizes)


@pytest.mark.parametrize(("pause", "sizes"), [(0.0, [256, 44]), (0.3, [128, 128, 44])])
def test_a_chunk_that_takes_no_time_may_be_larger(
    pause: float, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: clock[-1])

    def slow() -> Iterator[pa.RecordBatch]:
        for batch in batches([64, 64, 64, 64, 44]):
            clock.append(clock[-1] + pause)
            yield batch

    limits = ChunkLimits(100, 200)
    assert [chunk.num_rows for chunk in chunks(slow(), limits, threading.Event())] == sizes


def test_a_chunk_has_the_bytes_that_memory_allows() -> None:
    limits = ChunkLimits(1000, nbytes=500)
    assert [chunk.num_rows for chunk in chunks(batches([50] * 4), limits, threading.Event())] == [100, 100]


def test_what_is_at_hand_when_the_run_is_cancelled_is_the_last_chunk() -> None:
    cancel = threading.Event()
    cancel.set()
    found = chunks(batches([50] * 4), ChunkLimits(1000), cancel)
    assert next(found).num_rows == 50
