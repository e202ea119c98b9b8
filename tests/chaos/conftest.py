from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chaoskit import House, network

SCORES = {"scores": "select id, g, predict('deep', a, b, c) as score from {{ source('erp', 'customers') }}"}


@pytest.fixture
def cottage(tmp_path: Path) -> House:
    """One model over one remembered function, quick to run; a first night has been published."""
    house = House.build(tmp_path / "cottage", SCORES, layers=1, rows=400)
    house.function("deep", network("deep", 1), more=", max_error_rate: 1")
    house.env["SQLINFER_CHUNK_ROWS"] = "64"
    house.night()
    return house
