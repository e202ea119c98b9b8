"""Files of dbt's that sqlinfer does not build: each kind is named in a warning, nothing is passed over in silence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlinfer.project.values import Project
from sqlinfer.project.witness import seen

_PYTHON_MODEL = re.compile(r"^def\s+model\s*\(\s*dbt\b", re.MULTILINE)
_MOST = 3


def unbuilt(project: Project, snapshot_paths: Any) -> Iterator[str]:
    """One warning for each kind."""
    python = [path for folder in project.model_paths for path in _files(folder, (".py",)) if _is_model(path)]
    if python:
        yield (
            f"Python models are not built ({_named(python, project)}): let dbt build them and read what they publish "
            "with source()"
        )
    folders = [snapshot_paths] if isinstance(snapshot_paths, str) else snapshot_paths or ["snapshots"]
    named = [project.root / str(name) for name in folders]
    snapshots = [path for folder in named for path in _files(folder, (".sql", ".yml", ".yaml"))]
    if snapshots:
        yield (
            f"snapshots are not built ({_named(snapshots, project)}): let dbt take them and read what they publish "
            "with source()"
        )


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterable[Path]:
    for witness in seen():
        witness.probe("tree", folder)
    return sorted(path for path in folder.rglob("*") if path.suffix in suffixes and path.is_file())


def _is_model(path: Path) -> bool:
    """Whether it is one of dbt's; other modules may lie beside the models."""
    for witness in seen():
        witness.probe("file", path)
    try:
        return _PYTHON_MODEL.search(path.read_text(encoding="utf-8", errors="replace")) is not None
    except OSError:
        return False


def _named(paths: list[Path], project: Project) -> str:
    names = [path.relative_to(project.root).as_posix() for path in paths[:_MOST]]
    return ", ".join(names) + (f" and {len(paths) - _MOST} more" if len(paths) > _MOST else "")
