"""Copy the init template. In: a project name. Out: the new folder."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from sqlinfer.errors import UsageError

PLACEHOLDER = b"__NAME__"
RENAMED = {"gitignore": ".gitignore"}
"""Files that could not lie in the package under their own name."""


def create(name: str, parent: Path | None = None) -> Path:
    """Write the template into ``parent/name``.

    Raises:
        UsageError: the name is no identifier, or the folder is not empty.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", name):
        raise UsageError(f"'{name}' cannot name a project", hint="letters, digits and underscores, a letter first")
    folder = (parent or Path()) / name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already", hint="choose another name or remove it")
    copy(files("sqlinfer.templates") / "project", folder, name.encode())
    return folder


def copy(source: Traversable, target: Path, name: bytes) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for item in source.iterdir():
        destination = target / RENAMED.get(item.name, item.name)
        if item.is_dir():
            copy(item, destination, name)
        else:
            content = item.read_bytes()
            destination.write_bytes(content if destination.suffix == ".onnx" else content.replace(PLACEHOLDER, name))
