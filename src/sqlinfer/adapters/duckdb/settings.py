"""profiles.yml output of ``type: duckdb`` → DuckDBSettings, and a fresh in-memory DuckDB configured by it.

The working connection is always an in-memory database; the warehouse and the side file are attached to it, so that
either can be closed while the other stays open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from sqlinfer.adapters.base import ANYTHING, Reads
from sqlinfer.adapters.duckdb import access
from sqlinfer.adapters.duckdb.errors import translated
from sqlinfer.errors import ProfileError, did_you_mean
from sqlinfer.relation import literal, quote

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_KNOWN = (
    "type", "path", "schema", "database", "attach", "settings", "extensions", "threads", "memory_limit",
    "external_root",
)  # fmt: skip
_SYNONYMS = {"max_memory": "memory_limit", "worker_threads": "threads"}
"""Settings that DuckDB knows by two names."""
_DBT = (
    "config_options", "secrets", "plugins", "filesystems", "disable_transactions", "retries", "module_paths", "remote",
    "keep_open", "use_credential_provider", "custom_user_agent", "is_ducklake",
)  # fmt: skip
"""Keys of dbt-duckdb that a shared profiles.yml may hold and that mean nothing here."""
LEAST_MEMORY, THREAD_MEMORY = 512 << 20, 128 << 20
"""Enough for the row groups in flight, a block of each column for each thread; joins and sorts above it spill. Raised
with ``settings: {memory_limit: …}``."""


@dataclass(frozen=True, slots=True)
class Attached:
    path: str
    alias: str | None = None
    type: str | None = None

    def sql(self) -> str:
        options = ["READ_ONLY"] + ([f"TYPE {self.type}"] if self.type else [])
        alias = f" AS {quote(self.alias)}" if self.alias else ""
        return f"ATTACH IF NOT EXISTS {literal(self.path)}{alias} ({', '.join(options)})"

    @property
    def catalog(self) -> str:
        return self.alias or catalog_name(Path(self.path))


@dataclass(frozen=True, slots=True)
class DuckDBSettings:
    path: Path
    schema: str = "main"
    attach: tuple[Attached, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    extensions: tuple[str, ...] = ()
    reads: Reads = ANYTHING
    """What the project's SQL reads besides the databases."""
    root: Path = Path()
    """Paths in rows are relative to it."""

    @property
    def catalog(self) -> str:
        return catalog_name(self.path)

    @property
    def memory_limit(self) -> object | None:
        """What the user has set; None: as much as ``default_memory`` says."""
        return self.settings.get("memory_limit")

    @property
    def side(self) -> Path:
        return self.path.with_suffix(".sqlinfer.duckdb")

    @property
    def lock(self) -> Path:
        return self.path.with_suffix(".sqlinfer.lock")

    @classmethod
    def parse(cls, raw: Mapping[str, object], root: Path) -> DuckDBSettings:
        """Raises ProfileError for an unknown key or a missing path."""
        for key in raw:
            if key not in _KNOWN and key not in _DBT:
                raise ProfileError(f"unknown key '{key}' in a duckdb profile", hint=did_you_mean(key, _KNOWN))
        path = raw.get("path")
        if not path or str(path) == ":memory:":
            raise ProfileError("a duckdb profile needs a path to a database file", hint="path: warehouse.duckdb")
        given = {str(name).casefold(): value for name, value in _mapping(raw.get("settings")).items()}
        settings = {_SYNONYMS.get(name, name): value for name, value in given.items()}
        if raw.get("memory_limit") is not None:
            settings.setdefault("memory_limit", raw["memory_limit"])
        return cls(
            path=(root / str(path)).resolve(),
            schema=str(raw.get("schema") or "main"),
            attach=tuple(_attached(item, root) for item in _sequence(raw.get("attach"))),
            settings=settings,
            extensions=tuple(str(item) for item in _sequence(raw.get("extensions"))),
            root=root.absolute(),
        )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _attached(item: object, root: Path) -> Attached:
    if isinstance(item, Mapping):
        raw = dict(item)
        kind = raw.get("type")
        path = str(raw["path"])
        alias = raw.get("alias")
        return Attached(
            path=path if kind or "://" in path or path == ":memory:" else str((root / path).resolve()),
            alias=str(alias) if alias else None,
            type=str(kind) if kind else None,
        )
    return Attached(path=str((root / str(item)).resolve()))


def catalog_name(path: Path) -> str:
    """The name that DuckDB itself gives to a database file: its base name up to the first dot."""
    name = path.name.split(".")[0]
    return f"{name}_db" if name in ("memory", "temp", "system") else name


def open_memory(settings: DuckDBSettings) -> DuckDBPyConnection:
    """A fresh in-memory DuckDB with the profile's settings and extensions."""
    config: dict[str, Any] = {
        "temp_directory": str(settings.path.with_suffix(".sqlinfer.tmp")),
        "arrow_lossless_conversion": "true",
    }
    config |= {key: _text(value) for key, value in settings.settings.items() if key not in access.LISTS}
    with translated(rows=False):
        connection = duckdb.connect(":memory:", config=config)
    try:
        with translated(rows=False):
            for name in settings.extensions:
                connection.execute(f"LOAD {quote(name)}")
            if settings.memory_limit is None:
                connection.execute(f"SET memory_limit = '{default_memory(thread_count(connection))}B'")
            access.lock(connection, settings, config)
    except BaseException:
        connection.close()
        raise
    return connection


def default_memory(threads: int) -> int:
    """Bytes, by the threads that read."""
    return max(LEAST_MEMORY, threads * THREAD_MEMORY)


def thread_count(connection: DuckDBPyConnection) -> int:
    (threads,) = connection.execute("SELECT current_setting('threads')").fetchall()[0]
    return int(threads)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
