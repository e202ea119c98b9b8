from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pytest

from sqlinfer.adapters.base import Materialization, Written
from sqlinfer.adapters.postgres.adapter import PostgresAdapter
from sqlinfer.relation import Relation
from sqlinfer.testing.postgres_server import Database


@pytest.fixture
def adapter(postgres_database: Database) -> PostgresAdapter:
    return PostgresAdapter.from_settings(postgres_database.output(), Path())


class Publish(Protocol):
    def __call__(self, sql: str, **how: Any) -> Written: ...


@pytest.fixture
def publish(adapter: PostgresAdapter) -> Publish:
    """Into public.t."""

    def published(sql: str, **how: Any) -> Written:
        target = Relation("t", "public", adapter.settings.database)
        with adapter.workspace("r") as work, work.publishing(5):
            return work.materialize(Materialization(target, **how), sql)

    return published
