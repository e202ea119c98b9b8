"""``sqlinfer dbt init``: the package's lines in packages.yml, a copy of the package, a starter that runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from sqlinfer import __version__
from sqlinfer.dbt.home import PROJECT_FILE
from sqlinfer.dbt.starter import Subject, write_starter
from sqlinfer.errors import Location, ProjectError, SqlinferError, UsageError
from sqlinfer.project.yamlfile import read_yaml

VENDORED = Path("packages") / "sqlinfer"
"""Where the package is copied to. dbt scans none of its folders there; commit it with the project."""
AGAIN = "once `dbt build` has run, `sqlinfer dbt init --model NAME` writes one"
_LEFT_OUT = ("integration_tests", "target", "dbt_packages", "logs")


def add_to_project(
    root: Path,
    *,
    find: Callable[[], Subject],
    required: bool = False,
    git: str | None = None,
    revision: str | None = None,
) -> list[str]:
    """Change the project; what was done, in words. Doing it twice changes nothing.

    Args:
        find: the model that the starter is for; asked where ``ml/`` is empty, and before anything is written.
        required: a project where none is found is an error, rather than one without a starter.

    Raises:
        UsageError: there is no dbt project here. ProjectError: packages.yml is not what it should be.
    """
    if not (root / PROJECT_FILE).is_file():
        raise UsageError(f"no {PROJECT_FILE} in {root}", hint="run this inside a dbt project: `dbt init`")
    starter = _starter(root.absolute(), find, required)
    entry = _git_entry(git, revision) if git else f"  - local: {VENDORED.as_posix()}\n"
    done = [_add_package(root, entry)]
    if git is None:
        done.append(_copy_package(root / VENDORED))
    return [*done, *starter()]


def _starter(root: Path, find: Callable[[], Subject], required: bool) -> Callable[[], list[str]]:
    """What is left to do once the package is in: dbt is asked about models before, while it needs no new package."""
    ml = root / "ml"
    if ml.is_dir() and any(ml.iterdir()):
        return lambda: ["ml: is there already, left as it is"]
    try:
        subject = find()
    except SqlinferError as error:
        if required:
            raise
        why = error.message.splitlines()[0]
        return lambda: [f"no starter: {why}", f"  hint: {AGAIN}"]
    return lambda: write_starter(subject, root)


def _git_entry(url: str, revision: str | None) -> str:
    return f'  - git: "{url}"\n    subdirectory: macros\n    revision: {revision or "v" + __version__}\n'


def _add_package(root: Path, entry: str) -> str:
    """Append to packages.yml or dependencies.yml, whichever the project has."""
    path = next((root / name for name in ("dependencies.yml", "packages.yml") if (root / name).is_file()), None)
    if path is None:
        (root / "packages.yml").write_text(f"packages:\n{entry}", encoding="utf-8")
        return "packages.yml: written, with the sqlinfer package"
    data = read_yaml(path).data or {}
    if not isinstance(data, dict) or not isinstance(data.get("packages") or [], list):
        raise ProjectError(f"{path.name} has no list of packages", location=Location(path, 1))
    if any(_is_ours(one) for one in data.get("packages") or []):
        return f"{path.name}: has the sqlinfer package already"
    path.write_text(_with_entry(path.read_text(encoding="utf-8"), entry), encoding="utf-8")
    return f"{path.name}: sqlinfer package added"


def _is_ours(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    where = str(entry.get("local") or entry.get("git") or entry.get("package") or "")
    return "sqlinfer" in where


def _with_entry(text: str, entry: str) -> str:
    """The entry as the first of the list, so that comments and order of the others stay."""
    lines = text.splitlines(keepends=True)
    for index, line in enumerate(lines):
        if line.split("#")[0].rstrip() == "packages:":
            return "".join([*lines[: index + 1], _indented_as(lines[index + 1 :], entry), *lines[index + 1 :]])
    return text.rstrip("\n") + ("\n" if text.strip() else "") + f"packages:\n{entry}"


def _indented_as(following: list[str], entry: str) -> str:
    """YAML wants the items of one list at one indentation; lists may stand at their key's own."""
    first = next((line for line in following if line.lstrip().startswith("- ")), None)
    if first is None:
        return entry
    lead = first[: len(first) - len(first.lstrip())]
    return "".join(f"{lead}{line[2:]}" for line in entry.splitlines(keepends=True))


def package() -> Traversable:
    """The dbt package: in the wheel, or beside the sources."""
    inside = files("sqlinfer") / "_macros"
    if inside.is_dir():
        return inside
    beside = Path(__file__).parents[3] / "macros"
    if not (beside / PROJECT_FILE).is_file():
        raise UsageError("this installation has no dbt package", hint="give --git URL")
    return beside


def _copy_package(target: Path) -> str:
    with as_file(package()) as source:
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    return f"{VENDORED.as_posix()}: the dbt package, version {__version__}; commit it"
