from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session", autouse=True)
def _world_ends() -> Iterator[None]:
    """A connection with Python functions that outlives the interpreter is reported after the summary."""
    yield
    from harness import world

    if world.cache_info().currsize:
        world().close()
        world.cache_clear()
    gc.collect()
