"""Who may work on a target: one run, for as long as it lives."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
from chaoskit import House, network

from sqlinfer.testing.patience import patience

STARTS = 50


def slowly(tmp_path: Path, layers: int = 400) -> House:
    house = House.build(
        tmp_path / "slow",
        {"scores": "select id, g, predict('deep', a, b, c) as score from {{ source('erp', 'customers') }}"},
        layers=layers,
        rows=40_000,
    )
    house.night()
    return house


def until(what, seconds: float = 60) -> None:
    end = time.monotonic() + patience(seconds)
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def scoring(house: House) -> bool:
    return house.counted() > 0


@pytest.mark.timeout(300)
def test_of_fifty_simultaneous_starts_one_runs_and_the_others_leave(tmp_path: Path) -> None:
    house = slowly(tmp_path)
    began, spent = time.monotonic(), processor_seconds()
    processes = [house.start() for _ in range(STARTS)]
    ended: dict[int, float] = {}
    while len(ended) < STARTS - 1 and time.monotonic() - began < patience(60):
        for process in processes:
            if process.pid not in ended and process.poll() is not None:
                ended[process.pid] = time.monotonic() - began
        time.sleep(0.02)
    (runner,) = [process for process in processes if process.pid not in ended]
    assert runner.poll() is None
    refused = [process for process in processes if process is not runner]
    texts = [process.communicate() for process in refused]
    spent = (processor_seconds() - spent) / len(os.sched_getaffinity(0))
    runner.kill()
    runner.communicate()
    assert {process.returncode for process in refused} == {1}
    assert all(f"process {runner.pid} " in err for _, err in texts), texts[0]
    print(
        f"49 starts refused after {min(ended.values()):.1f} to {max(ended.values()):.1f} s, {spent:.1f} s of each core"
    )
    assert min(max(ended.values()), spent) < patience(
        5
    )  # what they took of the cores, where others had these at the same time


def processor_seconds() -> float:
    """Of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_second_run_leaves_within_five_seconds_and_a_dead_holder_frees_the_lock_at_once(tmp_path: Path) -> None:
    house = slowly(tmp_path)
    holder = house.start()
    until(lambda: scoring(house))
    before = house.folder.joinpath("target", "run_results.json").read_bytes()
    second = house.run()
    assert second.code == 1
    assert second.seconds < patience(5)
    assert f"process {holder.pid} " in second.err
    assert house.folder.joinpath("target", "run_results.json").read_bytes() == before
    holder.kill()
    holder.communicate()
    house.function("deep", network("deep", 1))
    third = house.run()
    assert third.code == 0, third.text


def test_a_run_stopped_past_its_lock_never_publishes_over_a_newer_one(tmp_path: Path) -> None:
    house = slowly(tmp_path, layers=1)
    old = house.start(env={"SQLINFER_FAIL_POINTS": "after_pending=stop"})
    house_done = lambda: stopped(old)  # noqa: E731
    until(house_done, 120)
    # What an operator does who believes the holder dead: its lock and its side file go.
    for name in ("wh.sqlinfer.lock", "wh.sqlinfer.duckdb", "wh.sqlinfer.duckdb.wal"):
        (house.folder / name).unlink(missing_ok=True)
    house.sql("update customers set g = 7")
    newer = house.run()
    assert newer.code == 0, newer.text
    published = house.tables("scores")
    os.kill(old.pid, signal.SIGCONT)
    out, err = old.communicate(timeout=patience(60))
    assert old.returncode == 1
    assert "lost its lock" in out + err
    assert house.tables("scores") == published
    assert house.read("select distinct g from scores") == [(7,)]


def stopped(process: subprocess.Popen[str]) -> bool:
    state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.thorough("2")
def test_a_signal_ends_a_run_within_ten_seconds_keeping_what_was_scored(tmp_path: Path, number: int) -> None:
    house = slowly(tmp_path)
    running = house.start()
    until(lambda: house.counted() > 3000)
    os.kill(running.pid, number)
    sent = time.monotonic()
    out, err = running.communicate(timeout=patience(30))
    assert time.monotonic() - sent < patience(10)
    assert running.returncode == 1
    assert "sqlinfer retry" in err
    assert "Traceback" not in out + err
    assert house.results()["scores"]["status"] in ("error", "skipped")
    kept = house.side_rows("select count(*) from store." + store_table(house))[0][0]
    assert kept > 1000


def store_table(house: House) -> str:
    (name,) = house.side_rows("select table_name from duckdb_tables() where schema_name = 'store'")[0]
    return f'"{name}"'


def test_a_second_signal_ends_a_run_at_once(tmp_path: Path) -> None:
    house = slowly(tmp_path)
    running = house.start(env={"SQLINFER_TEST_POISON": "0:hang"})
    until(lambda: scoring(house))
    time.sleep(0.3)
    os.kill(running.pid, signal.SIGINT)
    time.sleep(0.5)
    assert running.poll() is None
    os.kill(running.pid, signal.SIGINT)
    sent = time.monotonic()
    running.communicate(timeout=patience(10))
    assert running.returncode == 1
    assert time.monotonic() - sent < patience(1)
