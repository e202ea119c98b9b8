"""A function without a graph: a declaration and its model → a record, in a folder of its own. Imports no onnx.

``runtime: native`` on a library's model, and ``source: python``.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from sqlinfer.errors import FunctionError
from sqlinfer.functions.cache import CONTRACT, dump, publish_folder, sha256_of
from sqlinfer.functions.record import Record
from sqlinfer.functions.sources.base import Source, Workspace
from sqlinfer.project.values import FunctionConfig
from sqlinfer.spec.function import NativeModel, Output, OutputBinding, Reuse, Strategy

CONTENT: Final = "native.json"
"""What the digest counts of the model, for people who compare two folders."""
FAMILY: Final = "cpu"


@dataclass(frozen=True, slots=True)
class NativeArtifact:
    """What a source knows of a model that its library, or the project's code, predicts with."""

    config: FunctionConfig
    """Complete: with arguments and results."""
    content: Mapping[str, str]
    """Hashes and versions: all that can change a prediction."""
    outputs: tuple[Output, ...]
    bindings: tuple[OutputBinding, ...]
    files: Mapping[str, Path] = field(default_factory=dict)
    """Name → a file that is kept in the prepared folder."""
    warnings: tuple[str, ...] = ()
    made_with: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a worker loads, and the file that stands for it."""

    model: NativeModel
    path: Path


@runtime_checkable
class NativeSource(Protocol):
    """A source whose models can predict without a graph. All raise FunctionError or ArtifactError."""

    def fingerprint(self, config: FunctionConfig, workspace: Workspace) -> Mapping[str, str]: ...

    def native(
        self, config: FunctionConfig, workspace: Workspace, scratch: Path, fingerprint: Mapping[str, str]
    ) -> NativeArtifact: ...

    def loaded(
        self, config: FunctionConfig, workspace: Workspace, folder: Path, fingerprint: Mapping[str, str]
    ) -> Loaded:
        """``config`` is complete; ``folder`` is the prepared one. Cheap: asked on every run."""
        ...


def is_native(config: FunctionConfig) -> bool:
    return config.runtime == "native"


def native_source(config: FunctionConfig, source: Source) -> NativeSource:
    """Raises FunctionError where a source has no library that could predict."""
    if not isinstance(source, NativeSource):
        raise FunctionError(
            f"function '{config.name}': source '{config.source}' has no library of its own that could predict",
            hint="leave 'runtime' out",
        )
    return source


def build(config: FunctionConfig, made: NativeArtifact, cache_dir: Path) -> Record:
    """Name the folder by the digest, and fill it."""
    strategy, reason = _strategy(config.reuse)
    record = Record(
        digest="", inputs=(), outputs=made.outputs, bindings=made.bindings, strategy=strategy, strategy_reason=reason,
        cost_per_row=config.cost or 0.0, row_wise=config.row_wise != "force", warnings=made.warnings,
        is_struct=made.config.is_struct, origins=tuple(one.name for one in made.bindings),
        content={"native": sha256_of(made.content)}, arguments=made.config.arguments, returns=made.config.returns,
        made_with=made.made_with,
    )  # fmt: skip
    record = replace(record, digest=record.digest_for(config, FAMILY))

    def fill(folder: Path) -> None:
        (folder / CONTENT).write_bytes(dump(dict(made.content)))
        for name, path in made.files.items():
            shutil.copyfile(path, folder / name)
        (folder / CONTRACT).write_bytes(dump(record.to_json()))

    return replace(record, files=publish_folder(cache_dir, record.digest, fill))


def _strategy(reuse: Reuse) -> tuple[Strategy, str]:
    """No graph, no estimate: a library's call is dearer than a look-up, unless somebody knows better."""
    match reuse:
        case "true":
            return "store", "reuse: true"
        case "false":
            return "stream", "reuse: false"
        case "auto":
            return "store", "a library or code predicts"


def check(config: FunctionConfig) -> None:
    """Refuse what only a graph can do.

    Raises:
        FunctionError: the declaration asks for it.
    """
    if config.precision != "fp32":
        raise FunctionError(
            f"function '{config.name}': 'precision: {config.precision}' is for graphs; with 'runtime: native' the "
            "library computes as it does",
            hint="leave 'precision' out, or 'runtime'",
        )
