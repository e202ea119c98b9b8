"""profiles.yml output of ``type: duckdb`` → DuckDBSettings, and a fresh in-memory DuckDB configured by it.

The working connection is always an in-memory database; the warehouse and the side file are attached to it, so that
either can be closed while the other stays open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from sqlinfer.adapters.base import ANYTHING, Reads
from sqlinfer.adapters.duckdb import access, databases
from sqlinfer.adapters.duckdb.databases import Database
from sqlinfer.adapters.duckdb.errors import translated
from sqlinfer.adapters.duckdb.names import SCRATCH, SIDE
from sqlinfer.adapters.duckdb.place import Place, of_profile
from sqlinfer.errors import ProfileError, did_you_mean
from sqlinfer.relation import fold, literal, quote
from sqlinfer.storage import NOWHERE, Access

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_KNOWN = (
    "type", "path", "schema", "database", "attach", "state", "settings", "extensions", "threads", "memory_limit",
    "external_root", "storage",
)  # fmt: skip
_SYNONYMS = {"max_memory": "memory_limit", "worker_threads": "threads"}
"""Settings that DuckDB knows by two names."""
_RESERVED = ("main", "memory", "temp", "system")
"""Names of databases that DuckDB takes for its own."""
_DBT = (
    "config_options", "secrets", "plugins", "filesystems", "disable_transactions", "retries", "module_paths", "remote",
    "keep_open", "use_credential_provider", "custom_user_agent", "is_ducklake",
)  # fmt: skip
"""Keys of dbt-duckdb that a shared profiles.yml may hold and that mean nothing here."""
LEAST_MEMORY, THREAD_MEMORY = 512 << 20, 128 << 20
"""Enough for the row groups in flight, a block of each column for each thread; joins and sorts above it spill. Raised
with ``settings: {memory_limit: …}``."""


_OF_MOTHERDUCK = "motherduck_"
"""How the settings begin that its extension knows."""


@dataclass(frozen=True, slots=True)
class DuckDBSettings:
    databases: tuple[Database, ...]
    """The profile's own, then those under ``attach:``."""
    place: Place
    schema: str = "main"
    catalog: str = ""
    """The database of unqualified names: one of them."""
    settings: Mapping[str, object] = field(default_factory=dict)
    extensions: tuple[str, ...] = ()
    reads: Reads = ANYTHING
    """What the project's SQL reads besides the databases."""
    root: Path = Path()
    """Paths in rows are relative to it."""
    storage: Access = NOWHERE
    """How buckets are reached."""

    @property
    def default(self) -> Database:
        found = self.database(self.catalog)
        assert found is not None
        return found

    def database(self, name: str) -> Database | None:
        """The database of that name, as DuckDB compares names."""
        return next((one for one in self.databases if fold(one.name) == fold(name)), None)

    @property
    def memory_limit(self) -> object | None:
        """What the user has set; None: as much as ``default_memory`` says."""
        return self.settings.get("memory_limit")

    @property
    def side(self) -> Path:
        return self.place.side

    @property
    def lock(self) -> Path:
        return self.place.lock

    @classmethod
    def of_file(cls, path: Path, reads: Reads = ANYTHING) -> DuckDBSettings:
        return replace(cls.parse({"path": str(path)}, path.parent), reads=reads)

    @classmethod
    def parse(cls, raw: Mapping[str, object], root: Path) -> DuckDBSettings:
        """Raises ProfileError for an unknown key, a missing path, names or places that are taken twice."""
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
        found, catalog = _databases(str(path), raw, root)
        return cls(
            databases=found,
            place=of_profile(raw.get("state"), root, found, Access.of(raw)),
            schema=str(raw.get("schema") or "main"),
            catalog=catalog,
            settings=settings,
            extensions=tuple(_extension(item) for item in _sequence(raw.get("extensions"))),
            root=root.absolute(),
            storage=Access.of(raw),
        )


def _databases(path: str, raw: Mapping[str, object], root: Path) -> tuple[tuple[Database, ...], str]:
    """The profile's own and the attached ones, and the name of the one that is meant where a model names none."""
    attached = [databases.of_entry(item, root) for item in _sequence(raw.get("attach"))]
    wanted = str(raw.get("database") or "")
    chosen = next((one.name for one in attached if fold(one.name) == fold(wanted)), None)
    own = databases.of_path(path, wanted if chosen is None else None, root)
    found = (own, *attached)
    seen: dict[str, Database] = {}
    files: dict[Path, Database] = {}
    for one in found:
        if fold(one.name) in (SIDE, SCRATCH, *_RESERVED):
            raise ProfileError(f"a database may not be called {one.name}: DuckDB or sqlinfer has one of that name",
                               hint="give it another name: database: beside path:, alias: under attach:")  # fmt: skip
        if one.local is not None:
            twin = files.setdefault(one.local, one)
            if twin is not one:
                raise ProfileError(f"{one.local} is attached twice, as {twin.name} and as {one.name}",
                                   hint="name it once; models may name its database")  # fmt: skip
        other = seen.setdefault(fold(one.name), one)
        if other is not one:
            raise ProfileError(f"two databases are called {one.name}: {other.identity} and {one.identity}",
                               hint="give one of them an alias: under attach:")  # fmt: skip
    return found, chosen or own.name


def _extension(item: object) -> str:
    """A name, or dbt-duckdb's ``{name: …, repo: …}``."""
    return str(item.get("name")) if isinstance(item, Mapping) else str(item)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def open_memory(settings: DuckDBSettings) -> DuckDBPyConnection:
    """A fresh in-memory DuckDB with the profile's settings and extensions."""
    config: dict[str, Any] = {
        "temp_directory": str(settings.place.spill),
        "arrow_lossless_conversion": "true",
    }
    theirs = {name: value for name, value in settings.settings.items() if name.startswith(_OF_MOTHERDUCK)}
    config |= {key: _text(value) for key, value in settings.settings.items() if key not in {*access.LISTS, *theirs}}
    with translated(rows=False):
        connection = duckdb.connect(":memory:", config=config)
    try:
        with translated(rows=False):
            for name in settings.extensions:
                connection.execute(f"LOAD {quote(name)}")
            for extension in sorted({one.kind for one in settings.databases} & {"ducklake", "motherduck"}):
                connection.execute(f"LOAD {extension}")
            for name, value in theirs.items():
                connection.execute(f"SET {quote(name)} = {literal(_text(value))}")
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
