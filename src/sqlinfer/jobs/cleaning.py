"""``sqlinfer clean``: artifacts go, databases stay, and nothing outside the project is touched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from sqlinfer.errors import ProjectError
from sqlinfer.project import Project

DATABASES = (".duckdb", ".db", ".wal", ".lock")


def clean(project: Project, *, dry_run: bool = False) -> Iterator[Path]:
    """Remove what lies in the clean targets, databases and their companions excepted. Yields what was removed.

    Raises:
        ProjectError: a clean target is the project itself, lies outside of it, or holds its sources.
    """
    for target in project.clean_targets:
        folder = target.resolve()
        if folder == project.root.resolve() or not folder.is_relative_to(project.root.resolve()):
            raise ProjectError(f"clean-targets: {target} does not lie inside the project")
        sources = (*project.model_paths, *project.function_paths, *project.seed_paths, *project.macro_paths,
                   *project.test_paths)  # fmt: skip
        if any(folder.is_relative_to(own.resolve()) or own.resolve().is_relative_to(folder) for own in sources):
            raise ProjectError(f"clean-targets: {target} holds files of the project itself")
        for item in sorted(folder.iterdir()) if folder.is_dir() else []:
            if item.suffix in DATABASES or any(suffix in DATABASES for suffix in item.suffixes):
                continue
            if not dry_run:
                remove(item)
            yield item


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
