"""``sqlinfer clean``: what sqlinfer wrote goes. Nothing else does, whatever it is called and wherever it lies.

The names of our artifacts are a closed list; compiled SQL is listed in ``compiled/written.json`` as it is written.
Nothing that a profile names is removed, nor what lies beside a database and belongs to it. Links are neither followed
nor removed.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlinfer.errors import ProjectError
from sqlinfer.files import parse_json, read_plain, write_atomic
from sqlinfer.project import Project
from sqlinfer.project.locations import belongs, files_of, named_in
from sqlinfer.project.remembered import FOLDER

WRITTEN = "written.json"
FILES = re.compile(
    r"manifest\.json|run_results\.(?:json|journal)|sources\.json|report\.html|crash-.*\.txt|\.tmp-[0-9a-f]{32}"
)
_CACHE = re.compile(
    r"keys|\.tmp-.*|[0-9a-f]{16,64}(?:[-.].*)?|[a-z_]+-[0-9a-f]{8,64}.*|(?:devices|external|fetched|files)\.json"
)
_REMEMBERED = re.compile(r"(?:project|plans)-[0-9a-f]{32}\.json|\.tmp-[0-9a-f]{32}")
"""Names in the cache of functions: digests, and what is known of them."""


def clean(project: Project, *, dry_run: bool = False) -> Iterator[Path]:
    """Remove our artifacts from the clean targets. Yields what was removed.

    Raises:
        ProjectError: a clean target is the project itself, lies outside of it, or holds its sources.
    """
    broom = _Broom(tuple(_kept(project)), dry_run)
    for target in project.clean_targets:
        folder = target.resolve()
        if folder == project.root.resolve() or not folder.is_relative_to(project.root.resolve()):
            raise ProjectError(f"clean-targets: {target} does not lie inside the project")
        sources = (*project.model_paths, *project.function_paths, *project.seed_paths, *project.macro_paths,
                   *project.test_paths)  # fmt: skip
        if any(folder.is_relative_to(own.resolve()) or own.resolve().is_relative_to(folder) for own in sources):
            raise ProjectError(f"clean-targets: {target} holds files of the project itself")
        for item in sorted(folder.iterdir()) if folder.is_dir() else []:
            if item.name == "compiled":
                yield from broom.listed(item)
            elif item.name == "functions":
                yield from broom.cache(item)
            elif item.name == FOLDER:
                yield from broom.remembered(item)
            elif FILES.fullmatch(item.name):
                yield from broom.file(item)


def remember_compiled(target: Path, names: Sequence[str]) -> None:
    """Add to the list of compiled files, relative to ``compiled/``."""
    path = target / "compiled" / WRITTEN
    known = set(_listed(path))
    if not known >= set(names):
        write_atomic(path, json.dumps(sorted(known | set(names)), indent=0).encode())


def _listed(path: Path) -> list[str]:
    with suppress(OSError, ValueError):
        if not path.is_symlink():
            content = parse_json(read_plain(path))
            return [name for name in content if isinstance(name, str) and ".." not in Path(name).parts]
    return []


def _kept(project: Project) -> Iterator[Path]:
    """All that any target of profiles.yml names; one that cannot be read keeps what the chosen target names."""
    named: list[Any] = [*files_of(project)]
    if project.profile.path is not None:
        from sqlinfer.project.yamlfile import read_yaml

        with suppress(ProjectError):
            base = project.profile.path.parent
            named += [place / text for text in named_in(read_yaml(project.profile.path).data)
                      for place in (project.root, base, Path.cwd())]  # fmt: skip
    for path in named:
        with suppress(OSError, RuntimeError, ValueError):
            yield Path(path).resolve()


@dataclass(frozen=True, slots=True)
class _Broom:
    kept: tuple[Path, ...]
    dry_run: bool

    def file(self, path: Path) -> Iterator[Path]:
        info = path.lstat()
        if stat.S_ISREG(info.st_mode) and not self._is_kept(path):
            if not self.dry_run:
                path.unlink()
            yield path

    def listed(self, folder: Path) -> Iterator[Path]:
        """Compiled SQL, by its list; folders that are empty then."""
        if folder.is_symlink() or not folder.is_dir():
            return
        for name in (*_listed(folder / WRITTEN), WRITTEN):
            path = folder / name
            if not os.path.isabs(name) and path.is_file() and not _through_link(path, folder):
                yield from self.file(path)
        yield from self._empty(folder)

    def cache(self, folder: Path) -> Iterator[Path]:
        """The cache of functions: folders by digest and what is known of them."""
        if folder.is_symlink() or not folder.is_dir():
            return
        for item in sorted(folder.iterdir()):
            if _CACHE.fullmatch(item.name):
                yield from self._tree(item)
        yield from self._empty(folder)

    def remembered(self, folder: Path) -> Iterator[Path]:
        """What was read and planned before."""
        if folder.is_symlink() or not folder.is_dir():
            return
        for item in sorted(folder.iterdir()):
            if _REMEMBERED.fullmatch(item.name):
                yield from self.file(item)
        yield from self._empty(folder)

    def _tree(self, path: Path) -> Iterator[Path]:
        if path.is_symlink():
            return
        if not path.is_dir():
            yield from self.file(path)
            return
        for item in sorted(path.iterdir()):
            yield from self._tree(item)
        yield from self._empty(path)

    def _empty(self, folder: Path) -> Iterator[Path]:
        """The folder, where nothing is left in it."""
        for inner in sorted(folder.iterdir()):
            if inner.is_dir() and not inner.is_symlink():
                yield from self._empty(inner)
        if not self.dry_run and not any(folder.iterdir()) and not self._is_kept(folder):
            folder.rmdir()
            yield folder

    def _is_kept(self, path: Path) -> bool:
        real = path.resolve()
        return any(belongs(real, own) or own.is_relative_to(real) or _is_same(real, own) for own in self.kept)


def _through_link(path: Path, folder: Path) -> bool:
    return any(one.is_symlink() for one in (path, *path.parents) if one != folder and one.is_relative_to(folder))


def _is_same(path: Path, own: Path) -> bool:
    with suppress(OSError):
        return own.exists() and path.samefile(own)
    return False
