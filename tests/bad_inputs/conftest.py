"""One house for all cases: built once, copied for each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import house as houses


@pytest.fixture(scope="session")
def morning(tmp_path_factory: pytest.TempPathFactory) -> houses.House:
    return houses.build(tmp_path_factory.mktemp("house"))


@pytest.fixture
def house(morning: houses.House, tmp_path: Path) -> Callable[..., houses.House]:
    def make(files: houses.Files | None = None) -> houses.House:
        return houses.copy(morning, tmp_path / "shop", files)

    return make
