"""``path: churn.onnx``: the artifact is an ONNX file, with its external data beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sqlinfer.errors import FunctionError
from sqlinfer.files import write_atomic
from sqlinfer.functions.cache import FileHashes, dump, hash_of, read_json
from sqlinfer.functions.check import containment
from sqlinfer.functions.limits import Limits
from sqlinfer.functions.sources.base import Artifact, Compared, Workspace
from sqlinfer.project.values import FunctionConfig


class OnnxFile:
    def fingerprint(self, config: FunctionConfig, workspace: Workspace) -> dict[str, str]:
        expected = {} if config.expected is None else {"expected": hash_of(config.expected)}
        return fingerprint(_path(config), workspace) | expected

    def artifact(
        self, config: FunctionConfig, workspace: Workspace, scratch: Path, fingerprint: Mapping[str, str]
    ) -> Artifact:
        if config.expected is None:
            return Artifact(_path(config))
        rows = FileHashes(scratch).copy(config.expected, fingerprint["expected"])
        return Artifact(_path(config), compared=Compared(rows, None, config.expected.name))


def fingerprint(path: Path, workspace: Workspace) -> dict[str, str]:
    """sha256 of the file and of the external data it names. Which files those are is remembered by content."""
    sha = hash_of(path)
    found = {"model": sha}
    for location in _external(path, sha, workspace.cache_dir):
        found[f"data:{location}"] = hash_of(containment.contained(path, location))
    return found


def _external(path: Path, sha: str, cache_dir: Path) -> list[str]:
    memory = cache_dir / "external.json"
    known = read_json(memory).get(sha)
    if isinstance(known, list):
        return [str(item) for item in known]
    limits = Limits.of_size(path.stat().st_size)
    from sqlinfer.functions import contained  # what is known of a file needs no process

    asked = contained.ask("locations", f"artifact {path}", limits, path, sha)
    found = [str(item) for item in asked]
    write_atomic(memory, dump(read_json(memory) | {sha: found}))
    return found


def _path(config: FunctionConfig) -> Path:
    if config.path is None:
        raise FunctionError(f"function '{config.name}' names no artifact", hint="add 'model: {path: <file>.onnx}'")
    return config.path


SOURCE = OnnxFile()
