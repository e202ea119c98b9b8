"""``path: churn.onnx``: the artifact is an ONNX file, with its external data beside it."""

from __future__ import annotations

from pathlib import Path

from sqlinfer.errors import FunctionError
from sqlinfer.files import write_atomic
from sqlinfer.functions.cache import dump, read_json
from sqlinfer.functions.containment import contained
from sqlinfer.functions.sources.base import Artifact, Workspace
from sqlinfer.project.values import FunctionConfig


class OnnxFile:
    def fingerprint(self, config: FunctionConfig, workspace: Workspace) -> dict[str, str]:
        return fingerprint(_path(config), workspace)

    def artifact(self, config: FunctionConfig, workspace: Workspace, scratch: Path) -> Artifact:
        return Artifact(_path(config))


def fingerprint(path: Path, workspace: Workspace) -> dict[str, str]:
    """sha256 of the file and of the external data it names. Which files those are is remembered by content."""
    sha = workspace.hashes.of(path)
    found = {"model": sha}
    for location in _external(path, sha, workspace.cache_dir):
        found[f"data:{location}"] = workspace.hashes.of(contained(path, location))
    return found


def _external(path: Path, sha: str, cache_dir: Path) -> list[str]:
    memory = cache_dir / "external.json"
    known = read_json(memory).get(sha)
    if isinstance(known, list):
        return [str(item) for item in known]
    from sqlinfer.functions.artifact import external_files

    found = list(external_files(path))
    write_atomic(memory, dump(read_json(memory) | {sha: found}))
    return found


def _path(config: FunctionConfig) -> Path:
    if config.path is None:
        raise FunctionError(f"function '{config.name}' names no artifact", hint="add 'model: {path: <file>.onnx}'")
    return config.path


SOURCE = OnnxFile()
