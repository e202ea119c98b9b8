from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from kit import Night


@pytest.fixture(params=["small", "large"], autouse=True)
def table_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every night as it is for small tables, and with the ways of large ones (fused streams, stages by key)."""
    if request.param == "large":
        monkeypatch.setenv("SQLINFER_LARGE_ROWS", "1")
    return str(request.param)


@pytest.fixture
def night(tmp_path: Path) -> Night:
    made = Night(tmp_path)
    made.sql(
        "create table customers as select i as id, (i % 500)::varchar as raw from range(1000) r(i)",
        "update customers set raw = null where id in (1, 2)",
        "update customers set raw = 'oops' where id = 3",
        "update customers set raw = '-1' where id = 4",
    )
    return made
