"""What a source of functions is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sqlinfer.project.values import FunctionConfig


def ignore(_: str) -> None:
    """The default listener."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """What preparation hands to a source."""

    cache_dir: Path
    root: Path
    """The project's folder; entrypoints are importable from it."""
    tell: Callable[[str], None] = ignore
    """Told what takes time, in a sentence."""
    places: dict[Any, Any] = field(default_factory=dict)
    """Of the source mlflow: what names of a registry stand for; one for a whole run."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The library's own answers, to compare with."""

    rows: Path
    """Arrow file: a column for each argument, as declared."""
    answers: Path | None
    """Arrow file: the library's raw outputs for them (``raw``). None: ``rows`` is Parquet and holds the outputs."""
    against: str
    """For example ``scikit-learn 1.9.1``."""
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """An ONNX file that a source found or made; it is checked and copied afterwards."""

    path: Path
    tokenizer: Path | None = None
    labels: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()
    completed: FunctionConfig | None = None
    """The declaration with what it leaves out, where the model knows that."""
    compared: Compared | None = None
    made_with: Mapping[str, str] = field(default_factory=dict)


class Source(Protocol):
    """Both methods raise FunctionError or ArtifactError, without a location."""

    def fingerprint(self, config: FunctionConfig, workspace: Workspace) -> Mapping[str, str]:
        """Hashes and versions of everything the artifact is made from. Imports neither onnx nor the framework."""

    def artifact(
        self, config: FunctionConfig, workspace: Workspace, scratch: Path, fingerprint: Mapping[str, str]
    ) -> Artifact:
        """The ONNX file, made from what was fingerprinted; whatever is made goes into ``scratch``."""
