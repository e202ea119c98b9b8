"""What other processes see and do while a run is under way, and what is left after a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from kit import Night, node, plan

from sqlinfer.errors import StoreError
from sqlinfer.runner.node import retry_publication, run_node
from sqlinfer.testing.children import start
from sqlinfer.testing.patience import patience

JOB = Path(__file__).parent / "job.py"
QUERY = (
    "import duckdb,sys; c=duckdb.connect(sys.argv[1], read_only=sys.argv[2]=='r'); "
    "print(c.execute(sys.argv[3]).fetchall())"
)
HOLD = "import duckdb,sys; c=duckdb.connect(sys.argv[1], read_only=True); print('held', flush=True); sys.stdin.read()"


def job(night: Night, run_id: str, *more: str, **environment: str) -> subprocess.Popen[str]:
    return start(
        [sys.executable, str(JOB), str(night.folder), run_id, *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def outcome(process: subprocess.Popen[str]) -> dict:
    out, _ = process.communicate(timeout=patience(60))
    return json.loads(out.splitlines()[-1])


def other(night: Night, mode: str, sql: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", QUERY, str(night.path), mode, sql], capture_output=True, text=True, timeout=patience(60)
    )
    return done.stdout.strip() or done.stderr


@pytest.mark.thorough("small")
def test_others_read_and_write_while_a_run_scores(night: Night) -> None:
    assert outcome(job(night, "one"))["status"] == "success"
    night.sql("update customers set raw = (20000 + id)::varchar where id > 500")
    running = job(night, "two", "wait")
    assert running.stdout is not None
    assert running.stdout.readline() == "batch\n"
    assert other(night, "r", "select count(*) from scores") == "[(1000,)]"
    assert other(night, "w", "insert into customers values (5000, '1')") == "[(1,)]"
    result = outcome(running)
    assert (result["status"], result["scored"], result["rows"]) == ("success", 499, 1000)


def test_a_retry_waits_as_long_as_the_node_says(night: Night) -> None:
    with start(
        [sys.executable, "-c", HOLD, str(night.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with night.environment() as env:
            assert run_node(plan(), node(publish_timeout=0.25), env).pending
        with night.environment(publish_timeout=600) as env:
            (again,) = retry_publication(env)
        holder.kill()
    assert again.pending
    assert "0.25 s" in again.message
    with night.environment() as env:
        (done,) = retry_publication(env)
    assert (done.status, done.rows) == ("success", 1000)


@pytest.mark.thorough("small")
def test_a_reader_at_publication_delays_it_and_retry_publishes_without_scoring(night: Night) -> None:
    running = job(night, "one", "wait")
    assert running.stdout is not None
    assert running.stdout.readline() == "batch\n"
    holder = start(
        [sys.executable, "-c", HOLD, str(night.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        result = outcome(running)
    finally:
        holder.kill()
        holder.communicate()
    assert result["pending"]
    assert "scored, not published" in result["message"]
    assert f"process {holder.pid}" in result["message"]
    again = outcome(job(night, "two", "", "retry"))
    assert (again["status"], again["rows"], again["seen"]) == ("success", 1000, 0)
    assert night.sql("select count(*) from scores") == [(1000,)]


@pytest.mark.thorough("large")
def test_a_second_run_leaves_at_once_naming_the_holder(night: Night) -> None:
    running = job(night, "one", "wait")
    assert running.stdout is not None
    running.stdout.readline()
    second = outcome(job(night, "two"))
    running.kill()
    running.communicate()
    assert second["status"] == "refused"
    assert f"process {running.pid}" in second["message"]
    assert "run one" in second["message"]
    assert outcome(job(night, "three"))["status"] == "success"


@pytest.mark.parametrize(
    "point",
    ["after_stage", "before_append_commit", "after_append", "after_pending", "before_publish_commit",
     "after_publish_commit", "after_compaction"],
)  # fmt: skip
@pytest.mark.thorough(
    "large-after_stage",
    "large-before_append",
    "large-after_pending",
    "large-after_publish",
    "large-after_compaction",
)
def test_after_a_kill_the_next_run_gives_the_table_of_an_undisturbed_one(
    night: Night, point: str, table_size: str
) -> None:
    killed = job(night, "one", SQLINFER_FAIL_POINTS=f"{point}=kill")
    killed.communicate(timeout=patience(60))
    # A large table's publication is written down only when it has to wait: it never comes to that point.
    assert killed.returncode == (0 if (point, table_size) == ("after_pending", "large") else -9)
    result = outcome(job(night, "two"))
    assert result["status"] == "success"
    assert night.sql("select count(*), count(distinct id), count(score) from scores") == [(1000, 1000, 996)]
    scored_before = point not in ("after_stage", "before_append_commit")
    assert result["scored"] == (0 if scored_before else 500)


def test_a_commit_that_happened_is_not_repeated_by_retry(night: Night, table_size: str) -> None:
    killed = job(night, "one", SQLINFER_FAIL_POINTS="after_publish_commit=kill")
    killed.communicate(timeout=patience(60))
    if table_size == "large":  # nothing was written down: the run is done again, from the store
        again = outcome(job(night, "two"))
        assert (again["status"], again["rows"], again["seen"]) == ("success", 1000, 0)
        return
    again = outcome(job(night, "two", "", "retry"))
    assert (again["status"], again["rows"]) == ("success", 1000)
    assert night.sql("select count(*) from sqlinfer_runs") == [(1,)]


@pytest.mark.parametrize("content", [b"x" * 9000, b""])
@pytest.mark.thorough("large")
def test_a_damaged_side_file_is_moved_aside_and_rebuilt(night: Night, content: bytes) -> None:
    assert outcome(job(night, "one"))["status"] == "success"
    (night.folder / "wh.sqlinfer.duckdb").write_bytes(content)
    with night.adapter().workspace("look") as work:
        assert "damaged" in work.warnings[0]
    assert list(night.folder.glob("wh.sqlinfer.duckdb.damaged-*"))
    result = outcome(job(night, "two"))
    assert (result["status"], result["scored"]) == ("success", 500)


def test_a_store_of_a_newer_version_is_refused(night: Night) -> None:
    outcome(job(night, "one"))
    with duckdb.connect(str(night.folder / "wh.sqlinfer.duckdb")) as side:
        side.execute("update meta.info set format_version = 99")
    with pytest.raises(StoreError, match="format 99"), night.adapter().workspace("look"):
        pass


@pytest.mark.thorough("small")
def test_a_failing_disk_leaves_the_table_alone(night: Night) -> None:
    outcome(job(night, "one"))
    broken = job(night, "two", SQLINFER_FAIL_POINTS="before_publish_commit=enospc")
    result = outcome(broken)
    assert result["status"] == "error"
    assert "No space left on device" in result["message"]
    assert night.sql("select count(*) from sqlinfer_runs") == [(1,)]
    assert outcome(job(night, "three"))["status"] == "success"


def test_run_that_lost_its_lock_file_cannot_publish(night: Night) -> None:
    from kit import node, plan

    from sqlinfer.runner.node import run_node

    with night.environment() as env:
        (night.folder / "wh.sqlinfer.lock").unlink()
        result = run_node(plan(), node(), env)
    assert result.status == "error"
    assert "lost its lock" in result.message
    assert night.sql("select count(*) from duckdb_tables() where table_name = 'scores'") == [(0,)]
