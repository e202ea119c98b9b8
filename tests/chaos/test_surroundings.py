"""A full disk, a database that goes away, files that change while a run is under way: old data intact, then go on."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chaoskit import House, network

from sqlinfer.testing.children import start
from sqlinfer.testing.patience import patience

HOLD = """import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
print("held", flush=True)
sys.stdin.read()
"""


def paused(house: House, point: str) -> subprocess.Popen[str]:
    """A run that has stopped itself at a fail point."""
    process = house.start(env={"SQLINFER_FAIL_POINTS": f"{point}=stop"})
    end = time.monotonic() + patience(60)
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    return process


def go_on(process: subprocess.Popen[str]) -> str:
    os.kill(process.pid, signal.SIGCONT)
    out, err = process.communicate(timeout=patience(60))
    return out + err


@pytest.mark.parametrize("limit", [1 << 18, 1 << 19, 1 << 20])
@pytest.mark.thorough("262144", "1048576")
def test_files_that_may_not_grow_are_an_error_of_the_node(settled: House, limit: int) -> None:
    before = settled.tables("scores")
    settled.sql(
        "insert into customers select id + 1000000 * r, 2, sin(id * r + 0.5)::real, r, r "
        "from customers, range(1, 40) t(r)",
        "update customers set g = 2",
    )
    full = settled.run(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert full.code in (1, 2)
    assert "Traceback" not in full.text
    assert "File too large" in full.text or "too large" in full.text, full.text
    assert settled.tables("scores") == before
    again = settled.run()
    assert again.code == 0, again.text
    assert settled.read("select count(*), min(g) from scores") == [(16_000, 2)]


def test_a_held_database_delays_publication_and_retry_publishes_without_scoring(settled: House) -> None:
    settled.night()
    settled.write("models/scores.yml", "models: [{name: scores, config: {publish_timeout: 1}}]")
    running = paused(settled, "after_pending")
    holder = start(
        [sys.executable, "-c", HOLD, str(settled.database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        text = go_on(running)
    finally:
        holder.kill()
        holder.communicate()
    assert running.returncode == 1
    assert "scored, not published" in text
    assert f"process {holder.pid}" in text
    counted = settled.counted()
    done = settled.run("retry")
    assert done.code == 0, done.text
    assert settled.counted() == counted
    assert settled.read("select distinct g from scores") == [(2,)]


def test_a_database_that_goes_away_is_not_made_anew(cottage: House) -> None:
    running = paused(cottage, "after_pending")
    elsewhere = cottage.database.rename(cottage.folder / "elsewhere.duckdb")
    text = go_on(running)
    assert running.returncode == 1
    assert "is gone" in text
    assert not cottage.database.exists()
    elsewhere.rename(cottage.database)
    counted = cottage.counted()
    assert cottage.run("retry").code == 0
    assert cottage.counted() == counted
    assert cottage.read("select count(*) from scores where score is not null") == [(400,)]


def test_one_run_uses_one_digest_though_the_file_is_replaced(cottage: House) -> None:
    running = paused(cottage, "after_append")
    cottage.function("deep", network("deep", 3))
    text = go_on(running)
    assert running.returncode == 0, text
    (first,) = cottage.read("select functions from sqlinfer_runs")[0][0]
    one_model = cottage.tables("scores")
    assert cottage.run().code == 0
    assert cottage.response("scores")["scored"] == 400
    assert cottage.tables("scores") != one_model
    second = cottage.read("select functions from sqlinfer_runs order by started_at desc limit 1")[0][0][0]
    assert first != second


def test_a_source_that_lost_a_column_is_an_error_before_any_row_is_read(settled: House) -> None:
    before, counted = settled.tables("scores"), settled.counted()
    settled.sql("alter table customers rename column c to d")
    broken = settled.run()
    assert broken.code == 1
    assert "unknown column 'c'" in broken.text or '"c"' in broken.text, broken.text
    assert settled.counted() == counted
    assert settled.tables("scores") == before
    settled.sql("alter table customers rename column d to c")
    assert settled.run().code == 0


def test_a_source_that_changed_a_type_is_cast_or_refused(settled: House) -> None:
    settled.sql("alter table customers alter c type double")
    assert settled.run().code == 0
    assert settled.response("scores")["scored"] == 0
    settled.sql("alter table customers alter c type date using date '2026-01-01'")
    before = settled.tables("scores")
    assert settled.run().code == 1
    assert settled.tables("scores") == before


def test_a_side_file_damaged_between_nights_is_rebuilt(cottage: House) -> None:
    cottage.sql("insert into customers select id + 1000 * r, 1, id * r, r, r from customers, range(1, 60) t(r)")
    assert cottage.run().code == 0
    before = cottage.tables("scores")
    damage(cottage.side)
    outcomes = [cottage.run() for _ in range(2)]
    assert outcomes[-1].code == 0, outcomes[-1].text
    assert "damaged" in outcomes[0].text + outcomes[1].text
    assert list(cottage.folder.glob("wh.sqlinfer.duckdb.damaged-*"))
    assert cottage.tables("scores") == before


def damage(path: Path) -> None:
    """Noise over the middle of the file; its head stays readable."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(3 * 4096 + (size - 3 * 4096) // 8)
        file.write(os.urandom(size // 2))


def test_memory_limit_is_kept(cottage: House) -> None:
    done = cottage.run("run", "--memory-limit", "600MB")
    assert done.code == 0, done.text
    wrong = cottage.run("run", "--memory-limit", "much")
    assert wrong.code == 2
    assert "is not a size" in wrong.err
