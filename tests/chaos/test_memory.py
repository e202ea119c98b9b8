"""``--memory-limit`` bounds what a whole run takes from the host, as the system counts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from chaoskit import CLI, House, network

LIMIT = 600
"""Megabytes. Libraries and sessions take a good part of them, whatever the size of the tables."""
ROWS = 2_000_000
MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 // 10**6)
"""
"""A small process of its own starts the run: Linux counts the size of the process that forks as the child's."""


def peak(house: House, *arguments: str) -> int:
    """Megabytes of one run that scores every row."""
    for file in house.folder.glob("wh.sqlinfer*"):
        file.unlink()
    command = [sys.executable, "-c", MEASURED, str(CLI), "run", "--project-dir", str(house.folder), "--threads", "2"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    code, megabytes = map(int, done.stdout.split())
    assert code == 0, done.stderr
    return megabytes


@pytest.mark.parametrize("reuse", ["true", "false"])
@pytest.mark.thorough("false")
def test_a_run_stays_within_its_memory_limit(tmp_path: Path, reuse: str) -> None:
    sql = "select id, note, predict('deep', a, b, c) as score from {{ source('erp', 'customers') }}"
    house = House.build(tmp_path / "large", {"scores": sql}, layers=1)
    house.function("deep", network("deep", 1, 16), reuse=reuse)
    house.sql(
        f"create table customers as select i as id, repeat(md5(i::varchar), 3) as note, sin(i)::real as a, "
        f"cos(i)::real as b, (i % 7)::real as c from range({ROWS}) r(i)"
    )
    bounded, free = peak(house, "--memory-limit", f"{LIMIT}MB"), peak(house)
    print(f"reuse {reuse}: {bounded} MB of {LIMIT}, {free} MB without a limit")
    assert bounded < LIMIT
    assert reuse == "false" or bounded < free - 100  # a stream holds little in any case
