"""The files of a project, in a stable order. A link that leads out of it is refused: what it names is not ours."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from sqlinfer.errors import Location, ProjectError
from sqlinfer.project.witness import seen


def found(folders: Iterable[Path], root: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files below the folders whose names end in one of ``suffixes``.

    Raises:
        ProjectError: one of them is a link that leaves ``root``, or leads nowhere.
    """
    folders = tuple(folders)
    for witness in seen():
        for folder in folders:
            witness.probe("tree", folder)
    listed = {
        path
        for folder in folders
        if folder.is_dir()
        for path in folder.rglob("*")
        if path.suffix in suffixes and (path.is_symlink() or not path.is_dir())
    }
    return [inside(path, root) for path in sorted(listed)]


def inside(path: Path, root: Path) -> Path:
    """``path`` itself, where following its links stays below ``root``."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise ProjectError(f"{path.name} is a link that leads nowhere", location=Location(path)) from error
    if root.resolve() not in real.parents:
        raise ProjectError(
            f"{path.name} is a link that leaves the project", hint="copy the file into it", location=Location(path)
        )
    if not real.is_file():
        raise ProjectError(f"{path.name} is not a regular file", location=Location(path))
    return path


def refuse_links_out(path: Path, root: Path, where: Location) -> None:
    """An artifact that lies in the project stays in it: neither the file nor what its folder holds links out.

    One that is named outside of it (an absolute path, ``..``) is the team's own wish.

    Raises:
        ProjectError: a link leaves ``root``.
    """
    if not Path(os.path.normpath(path)).is_relative_to(root.absolute()):
        return
    for witness in seen():
        witness.probe("link", path)
    inner = list(path.iterdir()) if path.is_dir() else []
    for one in (path, *(item for item in inner if item.is_symlink())):
        try:
            real = one.resolve()
        except (OSError, RuntimeError) as error:
            raise ProjectError(f"{one.name} is a link that leads nowhere", location=where) from error
        if not real.is_relative_to(root.resolve()):
            raise ProjectError(f"{one.name} is a link that leaves the project", hint="copy the file into it",
                               location=where)  # fmt: skip
