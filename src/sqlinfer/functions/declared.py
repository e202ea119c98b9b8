"""The files that a declared function is made of → their sha256, so that others can tell when one has changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sqlinfer.errors import SqlinferError
from sqlinfer.functions.cache import hash_of
from sqlinfer.functions.fetching import remembered
from sqlinfer.functions.sources import Workspace, entrypoint, modules, source_named
from sqlinfer.functions.tokenizer import tokenizer_file
from sqlinfer.project.values import FunctionConfig


def declared_files(config: FunctionConfig, cache_dir: Path, root: Path) -> dict[str, str]:
    """Path (relative to ``root`` where the file lies below it) → sha256: the yml, the artifact, what both name.

    A file that cannot be read is left out.
    """
    found: dict[str, str] = {}
    config = remembered(config, cache_dir)
    for path in dict.fromkeys(_paths(config, Workspace(cache_dir, root))):
        with suppress(SqlinferError):
            found[_shown(path, root)] = hash_of(path)
    return found


def _paths(config: FunctionConfig, workspace: Workspace) -> Iterator[Path]:
    if config.location.path is not None:
        yield config.location.path
    for path in (config.path, config.weights, *config.files):
        if path is not None and path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.is_file() and not _hidden(one, path))
        elif path is not None:
            yield path
    if config.path is not None and config.path.suffix == ".onnx":
        yield from _external(config, config.path.parent, workspace)
    if config.source == "python":
        with suppress(SqlinferError):
            module = entrypoint.split(config)[0]
            yield from modules.reach(module, entrypoint.search_path(config, workspace)).paths
    if config.tokenizer is not None:
        with suppress(SqlinferError):
            yield tokenizer_file(config.tokenizer.path)


def _external(config: FunctionConfig, folder: Path, workspace: Workspace) -> Iterator[Path]:
    with suppress(SqlinferError):
        for name in source_named(config.source, config.location).fingerprint(config, workspace):
            if name.startswith("data:"):
                yield folder / name.removeprefix("data:")


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
