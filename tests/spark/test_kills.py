"""A driver that is killed in the middle of a night, and the night after it. Each has a JVM of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sqlinfer.failpoints import VARIABLE
from sqlinfer.testing import onnx_builder
from sqlinfer.testing.patience import patience

ROWS = 200_000
"""Four files of what is to be scored: two slices on two cores."""
FUNCTION = """functions:
  - name: f
    model: {path: f.onnx}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
    config: {reuse: true}
"""
ASK = """
import json, sys
from pathlib import Path
from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
output = json.loads(Path("profiles.yml").read_text())["shop"]["outputs"]["dev"]
with SparkSqlSession(SparkSettings.parse(output, Path.cwd())) as session:
    for sql in sys.argv[1:]:
        found = session.rows(sql)
    print("answer", json.dumps(found, default=str))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """f(x) = 2x + 1 over a table t of as many numbers."""
    parameters = {"spark.master": "local[2]", "spark.sql.shuffle.partitions": 2}
    output = {"type": "spark", "method": "session", "schema": "ml", "server_side_parameters": parameters}
    files = {
        "sqlinfer_project.yml": "name: shop\nprofile: shop\n",
        "profiles.yml": json.dumps({"shop": {"target": "dev", "outputs": {"dev": output}}}),
        "functions/f.yml": FUNCTION,
        "models/m.sql": "select id, predict('f', x) as y from t",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    onnx_builder.linear([2.0], 1.0, element_type="double", path=tmp_path / "functions/f.onnx")
    made = f"create table ml.t using parquet as select id, cast(id as double) as x from range({ROWS})"
    ask(tmp_path, "create schema ml", made)
    return tmp_path


def command(project: Path, *words: str, points: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=project, env=os.environ | {VARIABLE: points}, capture_output=True, text=True,
        timeout=patience(300), check=False,
    )  # fmt: skip


def ask(project: Path, *sql: str) -> list[list[object]]:
    done = command(project, "-c", ASK, *sql)
    assert done.returncode == 0, done.stderr
    found: list[list[object]] = json.loads(done.stdout.rpartition("answer ")[2])
    return found


@pytest.mark.chaos
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("point", ["before_append_commit=kill:2", "after_append=kill:1"])
def test_the_night_after_a_kill_scores_what_is_left_and_doubles_nothing(project: Path, point: str) -> None:
    run = ("-c", "from sqlinfer.cli.main import main; main()", "run")
    killed = command(project, *run, points=point)
    assert killed.returncode == -9, killed.stdout + killed.stderr
    night = command(project, *run)
    assert night.returncode == 0, night.stdout + night.stderr
    scored = re.search(r"rows, ([\d,]+) scored", night.stdout + night.stderr)
    assert scored is not None
    assert 0 < int(scored[1].replace(",", "")) < ROWS, "the first slice was kept"
    counted = "select count(*), count(distinct id), count_if(y = 2 * id + 1) from ml.m"
    assert ask(project, counted) == [[ROWS, ROWS, ROWS]]
