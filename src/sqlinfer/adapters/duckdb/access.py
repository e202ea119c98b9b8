"""DuckDB with the least access to files: its own databases, what the project's SQL reads, what the profile allows.

``lock_configuration`` stays off, because the runner sets compression for its stages. It is not needed: access that is
switched off cannot be switched on again, and a model is one SELECT, which cannot hold a SET.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlinfer.errors import AdapterError
from sqlinfer.relation import literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from sqlinfer.adapters.duckdb.settings import DuckDBSettings

LISTS = ("allowed_paths", "allowed_directories")
"""Settings of the profile that add to what is needed."""
_BESIDE = ("", ".wal", ".wal.checkpoint", ".wal.recovery", ".tmp")
"""What DuckDB keeps beside a database file."""


def lock(connection: DuckDBPyConnection, settings: DuckDBSettings, config: Mapping[str, Any]) -> None:
    """Switch external access off, but for what is needed.

    Raises:
        AdapterError: DuckDB did not take it.
    """
    if settings.reads.anything or "enable_external_access" in config or not _local(settings):
        return
    databases = [settings.side, *(one.file for one in settings.databases if one.file is not None)]
    files = [f"{path}{end}" for path in databases for end in _BESIDE] + [str(path) for path in settings.reads.files]
    files += settings.reads.urls
    folders = [config["temp_directory"], *(str(path) for path in settings.reads.folders)]
    files += _listed(settings.settings.get("allowed_paths"))
    folders += _listed(settings.settings.get("allowed_directories"))
    connection.execute(f"SET allowed_paths = {_list(files)}")
    connection.execute(f"SET allowed_directories = {_list(f'{folder}/'.replace('//', '/') for folder in folders)}")
    connection.execute("SET enable_external_access = false")
    found = connection.execute("SELECT current_setting('enable_external_access')").fetchone()
    if found is None or found[0] is not False:
        raise AdapterError("DuckDB's access to files could not be limited")


def _local(settings: DuckDBSettings) -> bool:
    """Whether every database is a DuckDB file: the others need extensions and the network."""
    return all(one.kind == "file" for one in settings.databases)


def _listed(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else []


def _list(texts: Any) -> str:
    return "[" + ", ".join(literal(text) for text in texts) + "]"
