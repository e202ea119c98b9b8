"""Files → Project: sqlinfer_project.yml, profiles, functions, models, seeds, macros, tests; graph; selectors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlinfer.project.values import (
    ArgumentSource,
    ColumnInfo,
    DataTest,
    Freshness,
    FunctionConfig,
    ImageConfig,
    MacroFile,
    Node,
    NodeConfig,
    Profile,
    Project,
    ReturnField,
    Source,
    TokenizerConfig,
)


def load(
    project_dir: Path,
    *,
    profiles_dir: Path | None = None,
    profile: str | None = None,
    target: str | None = None,
    vars: Mapping[str, Any] | str | None = None,
    env: Mapping[str, str],
) -> Project:
    """Read and check a whole project (``loading.load``); imported on use, since what reads files is heavy."""
    from sqlinfer.project import loading

    return loading.load(project_dir, profiles_dir=profiles_dir, profile=profile, target=target, vars=vars, env=env)


def target_path(project_dir: Path, *, env: Mapping[str, str]) -> Path:
    """Where a project's artifacts are; nothing but its project file is read."""
    from sqlinfer.project import loading

    return loading.target_path(project_dir, env=env)


__all__ = [
    "ArgumentSource",
    "ColumnInfo",
    "DataTest",
    "Freshness",
    "FunctionConfig",
    "ImageConfig",
    "MacroFile",
    "Node",
    "NodeConfig",
    "Profile",
    "Project",
    "ReturnField",
    "Source",
    "TokenizerConfig",
    "load",
    "target_path",
]
