"""What the ``path`` of a DuckDB profile stands for, by its text alone: a file, a DuckLake, MotherDuck, or another."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

PathKind = Literal["file", "ducklake", "motherduck", "other"]
"""``other``: what an extension reads, or a URL."""

_PREFIX = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_+.-]+):(?P<rest>.*)", re.DOTALL)
"""Two letters at least: one is a drive."""
_OWN = ("memory", "temp", "system")
"""Names that DuckDB keeps for itself."""


def kind_of(path: str, type_: str | None = None) -> PathKind:
    """``type_``: what the profile says beside the path.

    >>> kind_of("shop.duckdb"), kind_of("md:shop"), kind_of("ducklake:meta.db"), kind_of("s3://b/x.duckdb")
    ('file', 'motherduck', 'ducklake', 'other')
    """
    found = _PREFIX.fullmatch(path)
    prefix = found["name"].casefold() if found else ""
    if prefix in ("md", "motherduck") or type_ == "motherduck":
        return "motherduck"
    if prefix == "ducklake" or type_ == "ducklake":
        return "ducklake"
    return "file" if not prefix and type_ in (None, "duckdb") else "other"


def without_prefix(path: str) -> str:
    """
    >>> without_prefix("ducklake:meta.db"), without_prefix("md:shop?user=1"), without_prefix("shop.duckdb")
    ('meta.db', 'shop?user=1', 'shop.duckdb')
    """
    found = _PREFIX.fullmatch(path)
    return found["rest"] if found else path


def is_local(path: str) -> bool:
    """Whether it is the path of a file, with no prefix of an extension and no parameters of a connection."""
    return bool(path) and _PREFIX.fullmatch(path) is None and "=" not in path and path != ":memory:"


def database_name(path: str) -> str:
    """The name that DuckDB gives to a database that is attached without one: of a file, all before the first dot.

    >>> database_name("data/shop.v2.duckdb"), database_name("md:shop?user=1"), database_name("md:")
    ('shop', 'shop', 'my_db')
    >>> database_name("ducklake:sqlite:data/meta.db"), database_name("ducklake:postgres:dbname=meta host=db")
    ('meta', 'ducklake')
    """
    rest, kind = without_prefix(path), kind_of(path)
    if kind == "motherduck":
        return rest.partition("?")[0] or "my_db"
    if kind == "ducklake":
        inner = without_prefix(rest)
        rest = inner if is_local(inner) else "ducklake"
    name = Path(rest).name.split(".")[0]
    return f"{name}_db" if name in _OWN else name
