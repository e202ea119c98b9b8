"""No failure leaves a thread behind, and order is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from sqlinfer.inference.pipeline import Pipeline
from sqlinfer.testing.patience import patience

pytestmark = pytest.mark.timeout(20)


@pytest.fixture(autouse=True)
def _no_threads_left() -> Iterator[None]:
    yield
    deadline = time.monotonic() + patience(5)
    while any(thread.name.startswith("sqlinfer-") for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a thread is still alive"
        time.sleep(0.01)


def workers(work: Callable[[int], int], number: int = 3) -> list[Callable[[int], int]]:
    return [work] * number


def fail_at(bad: int) -> Callable[[int], int]:
    def work(item: int) -> int:
        if item == bad:
            raise ValueError(f"worker at {item}")
        return item

    return work


def source_failing_at(bad: int) -> Iterator[int]:
    for item in range(1000):
        if item == bad:
            raise OSError("source")
        yield item


def test_results_come_in_the_order_of_the_source() -> None:
    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item

    assert list(Pipeline(iter(range(60)), workers(work), 8)) == list(range(60))


def test_no_more_items_are_under_way_than_the_window() -> None:
    pulled, delivered, most = 0, 0, 0

    def source() -> Iterator[int]:
        nonlocal pulled, most
        for item in range(50):
            pulled += 1
            most = max(most, pulled - delivered)
            yield item

    for _ in Pipeline(source(), workers(lambda item: item), 5):
        time.sleep(0.001)
        delivered += 1
    assert most <= 6


@pytest.mark.parametrize("bad", [0, 1, 5, 500])
def test_a_failing_source_surfaces(bad: int) -> None:
    with pytest.raises(OSError, match="source"):
        list(Pipeline(source_failing_at(bad), workers(lambda item: item), 4))


@pytest.mark.parametrize("bad", [0, 1, 5, 500])
def test_a_failing_worker_surfaces(bad: int) -> None:
    with pytest.raises(ValueError, match=f"worker at {bad}"):
        list(Pipeline(iter(range(1000)), workers(fail_at(bad)), 4))


@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_failing_consumer_stops_everything(after: int) -> None:
    pipeline = Pipeline(iter(range(1000)), workers(lambda item: item), 4)
    results = iter(pipeline)

    def consume() -> None:
        for item in results:
            if item == after:
                raise KeyError

    with pytest.raises(KeyError):
        consume()
    results.close()  # type: ignore[attr-defined]
    assert pipeline.stopped


def test_an_early_stop_ends_an_endless_source() -> None:
    def endless() -> Iterator[int]:
        item = 0
        while True:
            yield item
            item += 1

    pipeline = Pipeline(endless(), workers(lambda item: item), 4)
    for item in pipeline:
        if item == 10:
            break
    pipeline.close()


def test_an_interrupt_in_the_consumer_stops_everything() -> None:
    pipeline = Pipeline(iter(range(1000)), workers(lambda item: item), 4)

    def interrupted() -> None:
        for item in pipeline:
            if item == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    pipeline.close()


def test_closing_before_the_start_is_harmless() -> None:
    source = iter(range(3))
    pipeline = Pipeline(source, workers(lambda item: item), 2)
    pipeline.close()
    assert list(source) == [0, 1, 2], "nothing was taken"
    assert list(pipeline) == []


def test_a_worker_that_is_slow_does_not_block_the_close() -> None:
    started = threading.Event()

    def slow(item: int) -> int:
        started.set()
        time.sleep(0.2)
        return item

    pipeline = Pipeline(iter(range(100)), workers(slow), 4)
    results = iter(pipeline)
    next(results)
    began = time.monotonic()
    pipeline.close()
    assert started.is_set()
    assert time.monotonic() - began < patience(1)


def test_an_empty_source_ends_at_once() -> None:
    assert list(Pipeline(iter(()), workers(lambda item: item), 2)) == []
