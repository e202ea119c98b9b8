"""Nights over Spark Connect: the client has no JVM, and everything of a night is on the server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sqlinfer.adapters.spark.jvm import java
from sqlinfer.testing import onnx_builder
from sqlinfer.testing.children import start
from sqlinfer.testing.patience import patience

sys.path.insert(0, str(Path(__file__).parent))

from class_archive import QUICK
from kill_house import ASK, answer_of, answers, kill_group

ROWS = 20_000
FUNCTION = """
  - name: {name}
    model: {{path: f.onnx}}
    arguments: [{{name: x, data_type: double}}]
    returns: {{data_type: double}}
    config: {{reuse: {reuse}}}
"""
SOURCE = "select id, if(id % 5000 = 17, 'three', cast(id as string)) as x from range({rows})"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and its address."""
    if java() is None:
        pytest.skip("no Java")
    import pyspark

    home = Path(pyspark.__file__).parent
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    settings = {
        "spark.connect.grpc.binding.port": port, "spark.sql.warehouse.dir": tmp_path / "warehouse",
        "spark.driver.extraJavaOptions": QUICK, "spark.sql.codegen.wholeStage": "false",
        "spark.sql.catalogImplementation": "hive", "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": 2,
        "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:derby:memory:connect;create=true",
    }  # fmt: skip
    given = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    command = [home / "bin" / "spark-submit", "--class", "org.apache.spark.sql.connect.service.SparkConnectServer",
               "--master", "local[2]", *given, "spark-internal"]  # fmt: skip
    env = {**os.environ, "SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable}
    with (tmp_path / "server.txt").open("w") as log:
        process = start(command, stdout=log, stderr=log, env=env, cwd=tmp_path)
        end = time.monotonic() + patience(60)
        while not answers(port):
            is_late = process.poll() is not None or time.monotonic() > end
            assert not is_late, (tmp_path / "server.txt").read_text()[-2000:]
            time.sleep(0.2)
        yield process, f"sc://localhost:{port}"
        kill_group(process)


@pytest.fixture
def project(tmp_path: Path, server: tuple[subprocess.Popen[str], str]) -> Path:
    """y = 2x + 1 over numbers as texts; four of them are none."""
    folder = tmp_path / "project"
    output = {"type": "spark", "remote": server[1], "schema": "ml"}
    call = "select id, predict('{name}', cast(x as double)) as y from ml.t"
    files = {
        "sqlinfer_project.yml": "name: shop\nprofile: shop\n",
        "profiles.yml": json.dumps({"shop": {"target": "dev", "outputs": {"dev": output}}}),
        "functions/f.yml": "functions:" + "".join(
            FUNCTION.format(name=name, reuse=reuse) for name, reuse in (("stored", "true"), ("streamed", "false"))),
        "models/remembered.sql": call.format(name="stored").replace("cast", "try_cast"),
        "models/passed.sql": call.format(name="streamed").replace("cast", "try_cast"),
    }  # fmt: skip
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    onnx_builder.linear([2.0], 1.0, element_type="double", path=folder / "functions" / "f.onnx")
    ask(folder, "create schema ml", f"create table ml.t using parquet as {SOURCE.format(rows=ROWS)}")
    return folder


def run(project: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from sqlinfer.cli.main import main; main()", "run"]
    return start(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                 start_new_session=True)  # fmt: skip


def ask(project: Path, *sql: str) -> list[list[object]]:
    done = subprocess.run(
        [sys.executable, "-c", ASK, *sql], cwd=project, capture_output=True, text=True, timeout=patience(120),
        check=False,
    )  # fmt: skip
    return answer_of(done)


@pytest.mark.timeout(1800)
def test_nights_run_on_a_server_and_one_that_is_gone_leaves_what_was_published(
    project: Path, server: tuple[subprocess.Popen[str], str]
) -> None:
    for expected in (ROWS - 4, 0):
        night = run(project)
        said = night.communicate(timeout=patience(300))[0]
        assert night.returncode == 0, said
        assert f"{ROWS:,} rows, {expected:,} scored" in said
        for view in ("remembered", "passed"):
            counted = f"select count(*), count(distinct id), count_if(y = 2 * id + 1), count(y) from ml.{view}"
            assert ask(project, counted) == [[ROWS, ROWS, ROWS - 4, ROWS - 4]]
    assert ask(project, "select count(*) from ml.sqlinfer_runs") == [[4]]
    before = ask(project, "show create table ml.remembered")
    night = run(project)
    time.sleep(1)
    lock = "SHOW TABLES IN ml_sqlinfer LIKE 'lock_*'"
    while not ask(project, lock):
        assert night.poll() is None
    assert ask(project, "show create table ml.remembered") == before
    kill_group(server[0])
    said = night.communicate(timeout=patience(300))[0]
    assert night.returncode == 1, said
    assert "Traceback" not in said
    assert "does not answer" in said or "is gone" in said
