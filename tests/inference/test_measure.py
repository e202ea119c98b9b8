"""The size of a run is found quickly and sensibly."""

from __future__ import annotations

from pathlib import Path

import pytest

from sqlinfer.errors import KernelError
from sqlinfer.inference.layout import Layout, read_layout, write_layout
from sqlinfer.inference.measure import CPU_SIZES, Measured, choose, measure


class Clock:
    """Time that passes only where a graph says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("sqlinfer.inference.measure.perf_counter", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_measuring_a_slow_graph_stays_short(clock: Clock) -> None:
    def run(size: int) -> None:
        clock.now += size * 0.002

    found = measure(run, CPU_SIZES)
    assert clock.now < 0.9
    assert found is not None
    assert found.batch_size <= 256


def test_a_size_that_fails_ends_the_search(clock: Clock) -> None:
    def run(size: int) -> None:
        if size > 1024:
            raise KernelError("too large")
        clock.now += 0.0005

    found = measure(run, CPU_SIZES)
    assert found is not None
    assert found.batch_size == 1024


def test_a_graph_that_always_fails_is_not_measured() -> None:
    def run(size: int) -> None:
        raise KernelError("never")

    assert measure(run, CPU_SIZES) is None


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [
        ({32: 50, 256: 99, 1024: 98, 4096: 100}, 1024),
        ({32: 50, 256: 99, 1024: 80, 4096: 70}, 256),
        ({1024: 50, 4096: 90, 16_384: 100}, 16_384),
    ],
)
def test_ties_go_to_the_smallest_comfortable_size(rates: dict[int, float], chosen: int) -> None:
    assert choose([Measured(size, rate) for size, rate in rates.items()]).batch_size == chosen


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"batch_size": "x"}', "null"])
def test_a_damaged_layout_cache_is_no_layout(tmp_path: Path, content: str) -> None:
    write_layout(tmp_path, "d" * 64, "cpu", Layout(8, 2, 1, 5.0))
    (file,) = tmp_path.iterdir()
    assert read_layout(tmp_path, "d" * 64, "cpu") == Layout(8, 2, 1, 5.0, "cached")
    file.write_text(content)
    assert read_layout(tmp_path, "d" * 64, "cpu") is None


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    write_layout(blocked, "d" * 64, "cpu", Layout(8, 2, 1))
