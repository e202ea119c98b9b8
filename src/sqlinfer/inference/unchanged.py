"""Prepared files are loaded as they were written: what is read is hashed, and what is hashed is used."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Final

from sqlinfer.errors import ArtifactError
from sqlinfer.spec.function import PreparedFunction

CONTRACT: Final = "contract.json"


def graph_source(prepared: PreparedFunction) -> Path | bytes:
    """The graph to make a session of: its bytes, or its path where the weights lie in a file beside it.

    Raises:
        ArtifactError: a file is not the one that was prepared. The next preparation makes the folder anew.
    """
    files = dict(prepared.files)
    expected = files.pop(prepared.graph.name, None)
    if expected is None:  # not from the cache
        return prepared.graph
    beside = {name: sha for name, sha in files.items() if name.startswith(prepared.graph.name)}
    for name, sha in beside.items():
        with _opened(prepared.folder / name) as file:
            _check(prepared.folder / name, hashlib.file_digest(file, "sha256").hexdigest(), sha)
    data = unchanged(prepared.graph, expected)
    return prepared.graph if beside else data


def unchanged(path: Path, sha256: str) -> bytes:
    """The content of a prepared file, which has that hash.

    Raises:
        ArtifactError: it has another one.
    """
    with _opened(path) as file:
        data = file.read()
    _check(path, hashlib.sha256(data).hexdigest(), sha256)
    return data


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise ArtifactError(f"the prepared file {path} cannot be read: {error.strerror}", hint="run again") from error


def _check(path: Path, found: str, expected: str) -> None:
    if found == expected:
        return
    with suppress(OSError):
        (path.parent / CONTRACT).unlink()  # a folder without it is not complete
    raise ArtifactError(
        f"{path} is not the file that was prepared: somebody changed it, or the disk is damaged",
        hint="it was not used; the next run prepares the function anew",
    )
