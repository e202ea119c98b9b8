"""Where an external model may write: in the project or below ``external_root`` of the profile, over nothing else.

``refuse`` looks at the path alone, ``refuse_foreign`` also at the file that lies there: it must be one of ours, which
its Parquet footer says. Names are compared without case, because file systems may.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlinfer.errors import Location, ProjectError, RunError, SqlinferError
from sqlinfer.project.values import Project
from sqlinfer.shown import one_line
from sqlinfer.storage import Access, is_url

MARK = b"sqlinfer"
"""The key in the footer of every Parquet file that an external model wrote."""
ARTIFACTS = (
    "compiled", "functions", "cache", "manifest.json", "run_results.json", "run_results.journal", "sources.json",
    "report.html",
)  # fmt: skip
"""What lies in the target folder and is ours."""
_SUFFIXES = (
    ".sql", ".yml", ".yaml", ".py", ".onnx", ".json", ".duckdb", ".db", ".wal", ".lock", ".toml", ".cfg", ".sh", ".so",
)  # fmt: skip
_GLOB = re.compile(r"[*?\[\]{}\x00-\x1f]")
_LOCAL = (".git", ".ssh", ".dbt")


def refuse(project: Project, location: str, at: Location | None = None, *, folder: bool = False) -> None:
    """Raises ProjectError where an external model may not write to ``location``, a file or a folder of versions."""
    reason = _no_bucket(project, location) if is_url(location) else _reason(project, location, folder)
    if reason is not None:
        refused = ProjectError(
            f"location '{one_line(location, 200)}' {reason}",
            hint="a file inside the project, or below external_root: of the profile",
            location=at,
        )
        refused.exit_code = 1
        raise refused


def refuse_foreign(project: Project, location: str, *, folder: bool = False) -> None:
    """Again at the last moment, with what lies there now. What a folder holds, its manifest says (``storage``).

    Raises:
        ProjectError, RunError: the place is not allowed, or holds a file that no external model wrote.
    """
    refuse(project, location, folder=folder)
    if folder:
        return
    target = Path(location)
    shown = one_line(target, 200)
    try:
        info = target.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(info.st_mode):
        raise RunError(f"{shown} is a folder or no regular file; nothing was written")
    if not _is_ours(target):
        raise RunError(
            f"{shown} exists and was not written by sqlinfer; nothing was written",
            hint="move it away, or choose another location",
        )


def _is_ours(path: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return MARK in (pq.read_metadata(path).metadata or {})
    except (pa.ArrowException, OSError):
        return False


def _no_bucket(project: Project, location: str) -> str | None:
    if _GLOB.search(location):
        return "holds a character that stands for many names"
    try:
        _, path = Access.checked(location)
    except SqlinferError as error:
        return f"cannot be written: {error.message}"
    if "/" not in path:
        return "is a whole bucket: name a folder in it"
    roots = [text.rstrip("/") for text in _roots(project) if is_url(text)]
    if roots and not any(location.startswith(f"{root}/") for root in roots):
        return "is not below external_root: of the profile"
    return None


def _reason(project: Project, location: str, folder: bool) -> str | None:
    if _GLOB.search(location):
        return "holds a character that stands for many names"
    try:
        path = project.root / Path(location).expanduser()
        if path.is_symlink():
            return "is a link"
        real = path.resolve()
        real.exists()
        roots = [root.resolve() for root in (project.root, *external_roots(project))]
    except (OSError, RuntimeError, ValueError) as error:
        return f"cannot be a file: {getattr(error, 'strerror', None) or error}"
    if not any(root in real.parents for root in roots):
        return "leaves the project"
    if real.suffix.casefold() in _SUFFIXES or any(part.casefold() in _LOCAL for part in real.parts):
        return "is no place for a Parquet file"
    if real.is_dir() and not folder:
        return "is a directory"
    if folder and real.exists() and not real.is_dir():
        return "is a file, and a folder of versions is to be written"
    if any(_same(real, own) for own in files_of(project)):
        return "is a file that the project or its profile names"
    if any(_inside(real, folder) for folder in _folders(project)):
        return "lies in a folder of the project's own files"
    return None


def external_roots(project: Project) -> tuple[Path, ...]:
    """``external_root:`` of the profile, one folder or several; relative to the project."""
    return tuple(project.root / Path(text).expanduser() for text in _roots(project) if not is_url(text))


def _roots(project: Project) -> list[str]:
    given = project.profile.config.get("external_root") or ()
    return [given] if isinstance(given, str) else [str(one) for one in given] if isinstance(given, list | tuple) else []


def files_of(project: Project) -> Iterator[Path]:
    """Everything that the profile names, and the files beside a database that belong to it."""
    yield project.root / "sqlinfer_project.yml"
    yield project.root / "profiles.yml"
    if project.profile.path is not None:
        yield project.profile.path
    for text in _paths(project.profile.config):
        if 0 < len(text) < 4_096 and "://" not in text and "\x00" not in text:
            yield project.root / Path(text).expanduser()


def named_in(profiles: Any) -> tuple[str, ...]:
    """Files that any target of a profiles.yml names, as far as they are spelled out."""
    return tuple(text for text in _paths(profiles) if "{" not in text and "://" not in text and len(text) < 4_096)


def _paths(value: Any, key: str = "") -> Iterator[str]:
    """Texts that name files: those under ``path`` and ``attach``, and all with a slash in them."""
    if isinstance(value, str):
        if key in ("path", "attach", "state", "keyfile") or "/" in value:
            yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if name != "external_root":
                yield from _paths(inner, name if isinstance(name, str) else "")
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _paths(inner, key)


def belongs(path: Path, own: Path) -> bool:
    """Whether ``path`` is ``own`` or lies beside it as its log, lock or side file does."""
    if path.parent != own.parent and str(path.parent).casefold() != str(own.parent).casefold():
        return False
    name, base = path.name.casefold(), own.name.casefold()
    stem = base.rpartition(".")[0] or base
    return name == base or name.startswith((f"{base}.", f"{stem}.sqlinfer."))


def _same(real: Path, own: Path) -> bool:
    try:
        found = own.resolve()
        if belongs(real, found) or str(real).casefold() == str(found).casefold():
            return True
        return real.exists() and found.exists() and real.samefile(found)
    except (OSError, RuntimeError, ValueError):
        return False


def _folders(project: Project) -> Iterator[Path]:
    yield from project.model_paths
    yield from project.function_paths
    yield from project.seed_paths
    yield from project.macro_paths
    yield from project.test_paths
    yield from (project.target_path / name for name in ARTIFACTS)


def _inside(real: Path, folder: Path) -> bool:
    try:
        parts, own = [part.casefold() for part in real.parts], [part.casefold() for part in folder.resolve().parts]
    except (OSError, RuntimeError):
        return False
    return parts[: len(own)] == own
