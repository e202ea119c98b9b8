from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chaoskit import House, network

SCORES = {"scores": "select id, g, predict('deep', a, b, c) as score from {{ source('erp', 'customers') }}"}


def built(folder: Path) -> House:
    """One model over one remembered function, quick to run."""
    house = House.build(folder, SCORES, layers=1, rows=400)
    house.function("deep", network("deep", 1), more=", max_error_rate: 1")
    house.env["SQLINFER_CHUNK_ROWS"] = "64"
    house.night()
    return house


@pytest.fixture
def cottage(tmp_path: Path) -> House:
    """Nothing has been published yet."""
    return built(tmp_path / "cottage")


@pytest.fixture(scope="module")
def first_night(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = built(tmp_path_factory.mktemp("first") / "cottage")
    assert house.run().code == 0
    return house


@pytest.fixture
def settled(first_night: House, tmp_path: Path) -> House:
    """A cottage of the test's own, where a first night has been published."""
    folder = tmp_path / "cottage"
    shutil.copytree(first_night.folder, folder)
    return replace(first_night, folder=folder, env=dict(first_night.env))
