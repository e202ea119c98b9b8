"""The warehouses that exist. One line each."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from sqlinfer.adapters.base import Adapter
from sqlinfer.errors import ProfileError, did_you_mean

ADAPTERS = {
    "duckdb": "sqlinfer.adapters.duckdb.adapter:DuckDBAdapter",
    "postgres": "sqlinfer.adapters.postgres.adapter:PostgresAdapter",
    "spark": "sqlinfer.adapters.spark.adapter:SparkAdapter",
}


def open_adapter(kind: str, settings: Mapping[str, object], root: Path) -> Adapter:
    """The adapter for one output of profiles.yml. Relative paths are taken from ``root``.

    Raises:
        ProfileError: no such warehouse, or settings that it does not know.
    """
    target = ADAPTERS.get(kind)
    if target is None:
        raise ProfileError(f"unknown warehouse type '{kind}'", hint=did_you_mean(kind, ADAPTERS))
    module, _, name = target.partition(":")
    factory = getattr(importlib.import_module(module), name)
    return cast(Adapter, factory.from_settings(settings, root))
