"""The scored stream: failures at every stage, counts, closing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from sqlinfer.errors import InferenceError
from sqlinfer.inference.layout import Layout
from sqlinfer.inference.session import Session
from sqlinfer.spec.function import InputBinding
from sqlinfer.testing import onnx_builder
from sqlinfer.testing.fake_kernel import FakeKernel
from sqlinfer.testing.patience import patience

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def session(prepare) -> Iterator[Session]:
    function = prepare(onnx_builder.identity(), {"x": "DOUBLE"}, (InputBinding("x", "vector", "double", ("x",)),))
    with Session(function, [FakeKernel()] * 2, Layout(64, 2, 1, source="declared")) as made:
        yield made
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sqlinfer-")]


def stream(batches: int, rows: int = 40_000, fail_at: int | None = None) -> pa.RecordBatchReader:
    schema = pa.schema({"x": pa.float64()})

    def produce() -> Iterator[pa.RecordBatch]:
        for number in range(batches):
            if number == fail_at:
                raise ValueError("the warehouse went away")
            yield pa.record_batch({"x": np.full(rows, float(number))})

    return pa.RecordBatchReader.from_batches(schema, produce())


def test_a_failing_reader_surfaces_in_the_consumer(session: Session) -> None:
    with session.score(stream(9, fail_at=3), ["x"], ["x"]) as scored, pytest.raises(ValueError, match="went away"):
        list(scored)


def test_a_stream_may_be_left_early(session: Session) -> None:
    with session.score(stream(1000), ["x"], ["x"]) as scored:
        assert next(iter(scored)).num_rows > 0


def test_a_stream_that_is_never_iterated_can_be_closed(session: Session) -> None:
    session.score(stream(3), ["x"], []).close()


def test_counts_seconds_and_progress(session: Session) -> None:
    seen: list[int] = []
    with session.score(stream(5), ["x"], [], on_progress=seen.append) as scored:
        rows = sum(batch.num_rows for batch in scored)
    assert rows == scored.counts.rows == seen[-1] == 200_000
    assert seen == sorted(seen)
    assert scored.seconds.kernel > 0
    assert scored.seconds.read > 0
    assert scored.seconds.workers == session.layout.sessions


def test_a_failing_progress_hook_stops_the_stream(session: Session) -> None:
    def hook(rows: int) -> None:
        raise RuntimeError("no terminal")

    with (
        session.score(stream(50), ["x"], [], on_progress=hook) as scored,
        pytest.raises(RuntimeError, match="no terminal"),
    ):
        list(scored)


def test_missing_columns_are_named(session: Session) -> None:
    with pytest.raises(InferenceError, match="no column 'y'"):
        session.score(stream(1), ["x"], ["y"])
    with session.score(stream(1), ["z"], []) as scored, pytest.raises(InferenceError, match="no column 'z'"):
        list(scored)


def test_a_slow_consumer_bounds_what_is_read(session: Session) -> None:
    produced = 0

    def produce() -> Iterator[pa.RecordBatch]:
        nonlocal produced
        for _ in range(200):
            produced += 1
            yield pa.record_batch({"x": np.zeros(40_000)})

    reader = pa.RecordBatchReader.from_batches(pa.schema({"x": pa.float64()}), produce())
    with session.score(reader, ["x"], []) as scored:
        next(iter(scored))
        time.sleep(0.2)
        assert produced <= 10


def test_a_chain_of_streams_passes_errors_up(session: Session) -> None:
    first = session.score(stream(9, fail_at=4), ["x"], ["x"], as_column="p", error_column="e")
    with session.score(first.to_reader(), ["p"], []) as second, pytest.raises(ValueError, match="went away"):
        list(second)
    first.close()


def test_a_chain_that_is_left_early_leaves_no_thread(session: Session) -> None:
    first = session.score(stream(1000), ["x"], ["x"], as_column="p", error_column="e")
    with session.score(first, ["p"], []) as second:
        next(iter(second))
    deadline = time.monotonic() + patience(5)
    while any(thread.name.startswith("sqlinfer-") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
