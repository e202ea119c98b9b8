"""One house for all cases: built once, copied for each."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import house as houses

from sqlinfer import api
from sqlinfer.catalog import ProjectCompiler
from sqlinfer.jobs.night import Night
from sqlinfer.jobs.options import RunOptions


@pytest.fixture(scope="session")
def morning(tmp_path_factory: pytest.TempPathFactory) -> houses.House:
    return houses.build(tmp_path_factory.mktemp("house"))


@pytest.fixture
def house(morning: houses.House, tmp_path: Path) -> Callable[..., houses.House]:
    def make(files: houses.Files | None = None) -> houses.House:
        return houses.copy(morning, tmp_path / "shop", files)

    return make


@pytest.fixture(scope="session")
def compiler(morning: houses.House) -> Iterator[ProjectCompiler]:
    """One open compiler over the house, shared by the cases that only compile."""
    options = RunOptions(project_dir=morning.root)
    with Night(api.load(options), options, lambda _: None, threading.Event()).compiler() as opened:
        yield opened
