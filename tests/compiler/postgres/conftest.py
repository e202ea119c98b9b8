from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shop import FUNCTIONS, SETUP, models
from world import PostgresWorld

from sqlinfer.testing.postgres_server import Database


@pytest.fixture(scope="session")
def world(postgres_server: Database) -> Iterator[PostgresWorld]:
    """One world for all tests of a process."""
    with postgres_server.fresh() as database, database.connected() as connection:
        yield PostgresWorld.of(database, connection, models(), SETUP, FUNCTIONS)
