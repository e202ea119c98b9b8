"""PostgreSQL does what every warehouse must do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from sqlinfer.adapters.postgres.adapter import PostgresAdapter
from sqlinfer.testing.adapter_conformance import AdapterConformance
from sqlinfer.testing.postgres_server import Database
from sqlinfer.testing.scoring_conformance import ScoringConformance


@pytest.fixture
def adapter(postgres_database: Database) -> PostgresAdapter:
    return PostgresAdapter.from_settings(postgres_database.output(), Path())


@pytest.fixture
def load(postgres_database: Database) -> Callable[[str], None]:
    return lambda sql: postgres_database.run(sql) and None


class TestPostgres(AdapterConformance):
    spelled: ClassVar = {"integer": "integer", "double precision": "double precision"}
    compares_case = True


class TestPostgresScores(ScoringConformance):
    pass
