"""Where a target's state lies: the side file, its lock, what is spilled. Beside the database, or under ``state:``."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlinfer.adapters.duckdb.databases import Database
from sqlinfer.errors import ProfileError
from sqlinfer.storage import Access, at, is_url
from sqlinfer.storage import Place as Folder

_FILES = (".duckdb", ".db")
"""How the name of a side file of the user's choice ends; anything else is a folder."""


@dataclass(frozen=True, slots=True)
class Place:
    side: Path
    lock: Path
    spill: Path
    chosen: bool = False
    """The profile says where; else it lies beside the database, and moves with it."""
    folder: Folder | None = None
    """Of a bucket, where these are copies of what lies there."""


def beside(path: Path) -> Place:
    return Place(
        path.with_suffix(".sqlinfer.duckdb"), path.with_suffix(".sqlinfer.lock"), path.with_suffix(".sqlinfer.tmp")
    )


def chosen(state: Path, name: str) -> Place:
    """``state``: a folder, which targets of several databases may share, or a file for one of them alone."""
    if state.suffix.casefold() in _FILES and not state.is_dir():
        return Place(state, state.with_suffix(".lock"), state.with_suffix(".tmp"), chosen=True)
    side, lock, spill = (state / f"{name}.sqlinfer{end}" for end in (".duckdb", ".lock", ".tmp"))
    return Place(side, lock, spill, chosen=True)


def of_bucket(url: str, name: str, access: Access) -> Place:
    """Copies of what lies in a bucket, in a folder for temporary files that this user has for this state."""
    folder = at(url.rstrip("/"), access).below(name)
    told = hashlib.sha256(f"{access} {folder.url}".encode()).hexdigest()[:16]
    kept = Path(tempfile.gettempdir()) / f"sqlinfer-state-{os.getuid()}" / told
    return replace(chosen(kept, name), folder=folder)


def of_profile(state: object, root: Path, databases: Sequence[Database], access: Access) -> Place:
    """``databases``: the profile's own first.

    Raises:
        ProfileError: the store has no place, or one that is taken.
    """
    own = databases[0]
    if state is None:
        if own.file is None:
            raise ProfileError(
                f"{own.name} is no file of this machine, so that the store has no place beside it",
                hint="state: a folder for it, as in `state: /var/lib/sqlinfer/shop`",
            )
        place = beside(own.file)
    elif not isinstance(state, str) or not state.strip():
        raise ProfileError("state: is the path of a folder or file", hint="state: /var/lib/sqlinfer/shop")
    elif is_url(state):
        place = of_bucket(state, own.name, access)
    else:
        place = chosen(Path(os.path.abspath(root / Path(state).expanduser())), own.name)
    for database in databases:
        if database.local is not None and _is_same(database.local, place.side):
            what = "the database of the profile's path" if database is own else f"database {database.name} of attach:"
            raise ProfileError(
                f"{place.side} is to be the store of this target and is {what} at once",
                hint="choose another state:, or leave the database out",
            )
    return place


def _is_same(one: Path, other: Path) -> bool:
    if one.resolve() == other.resolve():
        return True
    try:
        return one.samefile(other)
    except OSError:
        return False
