"""The databases of a profile: its own and those under ``attach:``, each with how it is attached.

A file that others may hold is attached for reading and let go of; a DuckLake has its own way to keep writers apart, and
MotherDuck takes neither an alias nor READ_ONLY.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sqlinfer.errors import AdapterError, ProfileError, did_you_mean
from sqlinfer.relation import literal, quote
from sqlinfer.scrub import scrub_pairs
from sqlinfer.spec.duckdb_path import PathKind, database_name, is_local, kind_of, without_prefix

_KEYS = ("path", "alias", "type", "read_only", "options", "secret", "is_ducklake")
"""Of an entry under ``attach:``, as dbt-duckdb has them."""
_OPTION = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Database:
    path: str
    """As ATTACH takes it, a file's absolute."""
    name: str
    """The catalog in SQL."""
    type: str | None = None
    read_only: bool = False
    options: tuple[tuple[str, object], ...] = ()

    @property
    def kind(self) -> PathKind:
        return kind_of(self.path, self.type)

    @property
    def file(self) -> Path | None:
        """The DuckDB file that it is."""
        return Path(self.path) if self.kind == "file" else None

    @property
    def local(self) -> Path | None:
        """The file that says whether it is there: itself, or the metadata of a DuckLake."""
        return _local(self.path, self.kind)

    @property
    def identity(self) -> str:
        """What tells it from others, without what a connection needs of secrets."""
        return scrub_pairs(self.path.partition("?")[0])

    @property
    def why_not(self) -> str | None:
        """Why nothing is published there, in words; None where something may be."""
        if self.kind == "other":
            of = f"of type {self.type}" if self.type else "no file of DuckDB's"
            return f"{of}, and only files of DuckDB, DuckLake and MotherDuck are written"
        return "attached for reading (read_only: true)" if self.read_only else None

    def attach(self, *, writing: bool) -> str:
        """SQL. For reading, a file that is not there is an empty database; nothing is made.

        Raises:
            AdapterError: it is there to be read, and is not there.
        """
        if self.read_only and self.local is not None and not self.local.exists():
            raise AdapterError(f"database {self.name} of attach: is not there: {self.local}",
                               hint="correct its path, or leave out read_only: where a model makes it")  # fmt: skip
        if self.kind == "motherduck":
            return f"ATTACH IF NOT EXISTS {literal(self.path)}"
        if not writing and not self.read_only and self.local is not None and not self.local.exists():
            return f"ATTACH IF NOT EXISTS ':memory:' AS {quote(self.name)}"
        reads = self.read_only or (not writing and (self.local is not None or self.kind == "other"))
        return f"ATTACH IF NOT EXISTS {literal(self.path)} AS {quote(self.name)}{self._options(reads)}"

    def _options(self, reads: bool) -> str:
        said = ["READ_ONLY"] if reads else []
        if self.type not in (None, "duckdb"):
            said.append(f"TYPE {self.type}")
        said += [f"{name.upper()} {_spelled(value)}" for name, value in self.options]
        return f" ({', '.join(said)})" if said else ""


@lru_cache
def _local(path: str, kind: PathKind) -> Path | None:
    rest = without_prefix(path) if kind == "ducklake" else path
    inner = without_prefix(rest) if rest.startswith(("sqlite:", "duckdb:")) else rest
    return Path(inner) if kind in ("file", "ducklake") and is_local(inner) and _is_path(inner) else None


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else literal(str(value))


def of_path(path: str, name: object, root: Path) -> Database:
    """The database of a profile's ``path``. ``name``: what the profile calls it."""
    full = _resolved(path, None, root)
    own = None if kind_of(path) == "motherduck" else name  # MotherDuck takes no alias
    return Database(full, str(own or database_name(path)))


def of_entry(item: object, root: Path) -> Database:
    """One of ``attach:``: a path, or dbt-duckdb's keys.

    Raises:
        ProfileError: it has no path, a key that nobody knows, or a name for an option that is none.
    """
    raw: Mapping[object, object] = item if isinstance(item, Mapping) else {"path": item}
    for key in raw:
        if key not in _KEYS:
            raise ProfileError(f"unknown key '{key}' under attach:", hint=did_you_mean(str(key), _KEYS))
    path = raw.get("path")
    if not isinstance(path, str) or not path:
        raise ProfileError("a database under attach: needs a path", hint="attach: [{path: crm.duckdb, alias: crm}]")
    type_ = str(raw["type"]) if raw.get("type") else "ducklake" if raw.get("is_ducklake") and ":" not in path else None
    if type_ is not None and not _OPTION.fullmatch(type_):
        raise ProfileError(f"type '{type_}' under attach: is no name of an extension")
    full = _resolved(path, type_, root)
    alias = None if kind_of(path, type_) == "motherduck" else raw.get("alias")
    return Database(
        full, str(alias or database_name(path)), type_, raw.get("read_only") in (True, "true"), _options(raw, root)
    )


def _options(raw: Mapping[object, object], root: Path) -> tuple[tuple[str, object], ...]:
    given = raw.get("options") or {}
    if not isinstance(given, Mapping):
        raise ProfileError("options: under attach: holds names and values", hint="options: {data_path: lake/}")
    found = {str(name): value for name, value in given.items()}
    if raw.get("secret"):
        found["secret"] = raw["secret"]
    for name, value in found.items():
        if not _OPTION.fullmatch(name):
            raise ProfileError(f"option '{name}' under attach: is no name of an option")
        if name.casefold() == "data_path" and is_local(str(value)):
            found[name] = f"{(root / str(value)).resolve()}/"
    return tuple(found.items())


def _resolved(path: str, type_: str | None, root: Path) -> str:
    """Relative files are relative to the project; what an extension reads otherwise stays as it is."""
    kind = kind_of(path, type_)
    if kind == "file":
        return path if path == ":memory:" else str((root / path).resolve())
    if kind != "ducklake":
        return path
    rest = without_prefix(path) if path.casefold().startswith("ducklake:") else path
    inner = without_prefix(rest) if rest.startswith(("sqlite:", "duckdb:")) else rest
    if not is_local(inner) or not _is_path(inner):
        return path
    return f"{path[: len(path) - len(inner)]}{(root / inner).resolve()}"


def _is_path(text: str) -> bool:
    """A bare word after ``ducklake:`` is the name of a secret."""
    return "/" in text or "." in text
