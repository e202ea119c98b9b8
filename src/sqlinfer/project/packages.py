"""packages.yml → the macros of dbt packages: of local folders, and of those that lie in dbt_packages/.

Only macros are read. Nothing is fetched here: ``sqlinfer deps`` lets dbt do that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlinfer.errors import Location, ProjectError
from sqlinfer.project import files as project_files
from sqlinfer.project.values import MacroFile
from sqlinfer.project.witness import seen
from sqlinfer.project.yamlfile import YamlFile, read_text, read_yaml

LISTS = ("packages.yml", "dependencies.yml")
INSTALLED = "dbt_packages"
CROSS_DATABASE = Path(__file__).parents[1] / "templates" / "dbt" / "cross_database.sql"
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
    return _file(CROSS_DATABASE, "dbt")


def _folders(root: Path) -> Iterator[tuple[Path, Location | None]]:
    """Local ones where they are; the others, which dbt installs, are all that dbt_packages/ holds."""
    for witness in seen():
        for name in LISTS:
            witness.probe("file", root / name)
        witness.probe("tree", root / INSTALLED)
    for name in LISTS:
        if not (root / name).is_file():
            continue
        file = read_yaml(project_files.inside(root / name, root))
        for index, entry in enumerate(entries_of(file)):
            local = local_of(entry)
            if local:
                yield root / local, file.locate(("packages", index, "local"), value=True)
    if any((root / name).is_file() for name in LISTS) and (root / INSTALLED).is_dir():
        for folder in sorted((root / INSTALLED).iterdir()):
            if (folder / "dbt_project.yml").is_file() and not folder.is_symlink():
                yield folder, None


def entries_of(file: YamlFile) -> list[Any]:
    """Raises ProjectError where 'packages' is no list."""
    entries = file.data.get("packages") if isinstance(file.data, dict) else None
    if entries is not None and not isinstance(entries, list):
        raise file.error("'packages' is a list", ("packages",))
    return list(entries or ())


def local_of(entry: Any) -> str | None:
    """The folder of a package that is not fetched."""
    local = entry.get("local") if isinstance(entry, dict) else None
    return str(local) if local else None


def _described(folder: Path, where: Location | None) -> tuple[str, list[str]]:
    """The package's name and its folders of macros."""
    path = folder / "dbt_project.yml"
    if not path.is_file():
        raise ProjectError(f"{folder} is no dbt package: it has no dbt_project.yml", location=where)
    file = read_yaml(project_files.inside(path, folder))
    data = file.data if isinstance(file.data, dict) else {}
    paths = data.get("macro-paths") or ["macros"]
    paths = paths if isinstance(paths, list) else [paths]
    for one in paths:
        if not isinstance(one, str) or "\0" in one or not (folder / one).resolve().is_relative_to(folder.resolve()):
            raise file.error("macro-paths names folders inside of the package", ("macro-paths",))
    return str(data.get("name") or folder.name), paths


def _file(path: Path, package: str) -> MacroFile:
    """Its tests are macros by another word; lines stay where they are."""
    source = _END.sub(r"\1endmacro", _TEST.sub(r"\1macro\2test_\3", read_text(path)))
    return MacroFile(path, source, tuple(_MACRO.findall(source)), package)
