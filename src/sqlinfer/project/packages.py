"""packages.yml → the macros of dbt packages: of local folders, and of those that lie in dbt_packages/.

Only macros are read. Nothing is fetched here: ``sqlinfer deps`` lets dbt do that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from sqlinfer.errors import Location, ProjectError
from sqlinfer.project import files as project_files
from sqlinfer.project.values import MacroFile
from sqlinfer.project.yamlfile import YamlFile, read_text, read_yaml

LISTS = ("packages.yml", "dependencies.yml")
INSTALLED = "dbt_packages"
_MACRO = re.compile(r"\{%-?\s*macro\s+(\w+)\s*\(")
_TEST = re.compile(r"(\{%-?\s*)test(\s+)(\w+\s*\()")
_END = re.compile(r"(\{%-?\s*)endtest\b")


def read_packages(root: Path) -> tuple[MacroFile, ...]:
    """dbt's own cross-database macros, and those of the packages that are named and there.

    Raises:
        ProjectError: a local package is no folder with a dbt_project.yml, or two have one name.
    """
    found = [cross_database()]
    names: dict[str, Path] = {}
    for folder, where in _folders(root):
        name, paths = _described(folder, where)
        if name in names:
            raise ProjectError(f"two packages are named '{name}'", hint=f"also in {names[name]}", location=where)
        names[name] = folder
        inside = project_files.found([folder / one for one in paths], folder, (".sql",))
        found += [_file(path, name) for path in inside]
    return tuple(found)


def cross_database() -> MacroFile:
    """dbt's own macros that write SQL and need no warehouse."""
    with as_file(files("sqlinfer.templates") / "dbt" / "cross_database.sql") as path:
        return _file(path, "dbt")


def _folders(root: Path) -> Iterator[tuple[Path, Location | None]]:
    """Local ones where they are; the others, which dbt installs, are all that dbt_packages/ holds."""
    for name in LISTS:
        if not (root / name).is_file():
            continue
        file = read_yaml(root / name)
        for index, entry in enumerate(_entries(file)):
            local = entry.get("local") if isinstance(entry, dict) else None
            if local:
                yield root / str(local), file.locate(("packages", index, "local"), value=True)
    if any((root / name).is_file() for name in LISTS) and (root / INSTALLED).is_dir():
        for folder in sorted((root / INSTALLED).iterdir()):
            if (folder / "dbt_project.yml").is_file() and not folder.is_symlink():
                yield folder, None


def _entries(file: YamlFile) -> list[Any]:
    entries = file.data.get("packages") if isinstance(file.data, dict) else None
    if entries is not None and not isinstance(entries, list):
        raise file.error("'packages' is a list", ("packages",))
    return list(entries or ())


def _described(folder: Path, where: Location | None) -> tuple[str, list[str]]:
    """The package's name and its folders of macros."""
    path = folder / "dbt_project.yml"
    if not path.is_file():
        raise ProjectError(f"{folder} is no dbt package: it has no dbt_project.yml", location=where)
    data = read_yaml(path).data
    name = str(data.get("name") or folder.name) if isinstance(data, dict) else folder.name
    paths = data.get("macro-paths") if isinstance(data, dict) else None
    return name, [paths] if isinstance(paths, str) else [str(one) for one in paths or ["macros"]]


def _file(path: Path, package: str) -> MacroFile:
    """Its tests are macros by another word; lines stay where they are."""
    source = _END.sub(r"\1endmacro", _TEST.sub(r"\1macro\2test_\3", read_text(path)))
    return MacroFile(path, source, tuple(_MACRO.findall(source)), package)
