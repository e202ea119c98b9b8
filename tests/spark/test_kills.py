"""Drivers and executors that are killed, at random and at chosen places, and the nights after them.

Each process has a JVM of its own; what is published is read all the while. Three kills of each kind, SQLINFER_KILLS
asks for more (``make chaos-spark``: 20).
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sqlinfer.failpoints import VARIABLE
from sqlinfer.testing import onnx_builder
from sqlinfer.testing.patience import patience

sys.path.insert(0, str(Path(__file__).parent))

from class_archive import QUICK
from kill_house import ASK, CHUNK, KillHouse, answer_of, executors, kill_group, metastore

KILLS = int(os.environ.get("SQLINFER_KILLS", "3"))
SEED = int(os.environ.get("SQLINFER_SEED", "20261126"))
SLOTS = 2
PER_NIGHT = 5
ROWS = 200_000
"""Four files of what is to be scored: two slices on two cores."""
FUNCTION = """functions:
  - name: f
    model: {path: f.onnx}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
    config: {reuse: true}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """f(x) = 2x + 1 over a table t of as many numbers."""
    parameters = {"spark.master": "local[2]", "spark.sql.shuffle.partitions": 2, "spark.driver.extraJavaOptions": QUICK,
                  "spark.sql.codegen.wholeStage": False}  # fmt: skip
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
    return answer_of(command(project, "-c", ASK, *sql))


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


@pytest.fixture
def uri(tmp_path: Path) -> Iterator[str]:
    with metastore(tmp_path / "metastore") as found:
        yield found


def report(kind: str, house: KillHouse, kills: int, nights: int) -> None:
    """For the table in docs/reliability.md: SQLINFER_FIGURES names a file."""
    seen = house.seen()
    figures = {"kind": kind, "kills": kills, "nights": nights, "states_read": seen["seen"], "wrong": seen["wrong"],
               "scored": house.counted(), "bound": house.budget, "seed": SEED}  # fmt: skip
    print(json.dumps(figures))
    if os.environ.get("SQLINFER_FIGURES"):
        with open(os.environ["SQLINFER_FIGURES"], "a") as file:
            file.write(json.dumps(figures) + "\n")
    assert seen["wrong"] == []
    assert seen["seen"] > 0
    assert house.counted() <= house.budget


@pytest.mark.timeout(900 + 300 * KILLS)
def test_no_kill_of_a_driver_is_seen_by_readers_or_in_the_result(tmp_path: Path, uri: str) -> None:
    house, rng = KillHouse(tmp_path / "house", uri, f"local[{SLOTS}]").build(), random.Random(SEED)
    house.night()
    calm, kills, nights = house.run(), 0, 1
    house.assert_right()
    while kills < KILLS:
        house.night()
        for number in range(min(PER_NIGHT, KILLS - kills)):
            driver = house.start()
            time.sleep(rng.uniform(0.2, 1) * calm)
            if driver.poll() is not None:
                assert driver.returncode == 0, driver.communicate()[0]
                break
            if number % 2:
                driver.kill()  # its JVM works on for a moment
            else:
                kill_group(driver)
            driver.wait()
            kills, house.budget = kills + 1, house.budget + SLOTS * CHUNK
            print(f"driver {kills}, {house.counted()} rows scored", flush=True)
        house.run()
        house.assert_right()
        nights += 1
    report("drivers", house, kills, nights)


@pytest.mark.timeout(900 + 300 * KILLS)
def test_no_kill_of_an_executor_is_seen_by_readers_or_in_the_result(tmp_path: Path, uri: str) -> None:
    master = f"local-cluster[{SLOTS},1,1024]"
    house, rng = KillHouse(tmp_path / "house", uri, master).build(), random.Random(SEED)
    house.night()
    calm, kills, nights = house.run(), 0, 1
    house.assert_right()
    while kills < KILLS:
        house.night()
        driver, here = house.start(), 0
        while driver.poll() is None and here < 2 and kills < KILLS:
            time.sleep(rng.uniform(0.05, 0.4) * calm)
            found = executors(driver)
            if found:
                os.kill(rng.choice(found), 9)
                here, kills, house.budget = here + 1, kills + 1, house.budget + CHUNK
                print(f"executor {kills}, {house.counted()} rows scored", flush=True)
        said = driver.communicate(timeout=patience(300))[0]
        assert driver.returncode == 0, said
        house.assert_right()
        nights += 1
    report("executors", house, kills, nights)
