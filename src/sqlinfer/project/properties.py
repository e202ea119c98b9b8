"""Properties yml (models, seeds, sources) → entries with their places, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlinfer.errors import ProjectError
from sqlinfer.project import files
from sqlinfer.project.datatests import is_reference
from sqlinfer.project.functions import YAML
from sqlinfer.project.jinja import Engine
from sqlinfer.project.schema import (
    IGNORED_PROPERTIES,
    ExposureProps,
    ModelProps,
    PropertiesFile,
    SourceConfigProps,
    SourceProps,
    TableProps,
)
from sqlinfer.project.strings import LATE, render_values
from sqlinfer.project.validation import validate
from sqlinfer.project.yamlfile import Keys, YamlFile, read_yaml

_UNRENDERED = ("description",)
_TESTS = ("data_tests", "tests")


@dataclass(frozen=True, slots=True)
class Described:
    """One entry of ``models:`` or ``seeds:``."""

    props: ModelProps
    file: YamlFile
    keys: Keys


@dataclass(frozen=True, slots=True)
class DescribedTable:
    source: SourceProps
    table: TableProps
    file: YamlFile
    keys: Keys


@dataclass(frozen=True, slots=True)
class DescribedExposure:
    props: ExposureProps
    file: YamlFile
    keys: Keys


@dataclass(slots=True)
class Properties:
    models: dict[str, Described] = field(default_factory=dict)
    seeds: dict[str, Described] = field(default_factory=dict)
    tables: dict[tuple[str, str], DescribedTable] = field(default_factory=dict)
    exposures: dict[str, DescribedExposure] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read(folders: Sequence[Path], function_folders: Sequence[Path], root: Path, engine: Engine,
         context: Mapping[str, Any]) -> Properties:  # fmt: skip
    """All properties files below the folders; the yml files of functions are read elsewhere."""
    found = Properties()
    skipped = set(files.found(function_folders, root, YAML))
    for path in files.found(folders, root, YAML):
        if path not in skipped:
            _read_file(read_yaml(path), found, engine, context)
    return found


def _read_file(file: YamlFile, found: Properties, engine: Engine, context: Mapping[str, Any]) -> None:
    if file.data is None:
        return
    if isinstance(file.data, dict) and "functions" in file.data:
        raise file.error("'functions' belongs into a yml file of function-paths", ("functions",),
                         hint="move it to functions/")  # fmt: skip
    props = validate(PropertiesFile, file, _rendered(file.data, (), file, engine, context))
    found.warnings += [f"'{key}' in {file.path} is ignored" for key in IGNORED_PROPERTIES if key in file.data]
    for section, into in (("models", found.models), ("seeds", found.seeds)):
        for index, entry in enumerate(getattr(props, section) or ()):
            _add(entry, file, (section, index), into, section)
    for index, exposure in enumerate(props.exposures or ()):
        if exposure.enabled and (exposure.config is None or exposure.config.enabled):
            _add_exposure(DescribedExposure(exposure, file, ("exposures", index)), found)
    for index, source in enumerate(props.sources or ()):
        for number, table in enumerate(source.tables):
            if not _enabled(source, table):
                continue
            _add_table(source, table, file, ("sources", index, "tables", number), found)


def _rendered(value: Any, keys: Keys, file: YamlFile, engine: Engine, context: Mapping[str, Any]) -> Any:
    """Descriptions stay as they are (``doc()``), and in tests ``ref()`` and ``source()``."""
    if isinstance(value, dict):
        late = LATE.union(_UNRENDERED)
        return {key: inner if key in late else _rendered(inner, (*keys, key), file, engine, context)
                for key, inner in value.items()}  # fmt: skip
    if isinstance(value, str) and is_reference(value) and any(key in _TESTS for key in keys):
        return value
    if isinstance(value, list):
        return [_rendered(inner, (*keys, i), file, engine, context) for i, inner in enumerate(value)]
    return render_values(value, keys, file, engine, context)


def _add(entry: ModelProps, file: YamlFile, keys: Keys, into: dict[str, Described], section: str) -> None:
    twin = into.get(entry.name)
    if twin is not None:
        first = twin.file.locate((*twin.keys, "name"), value=True)
        raise ProjectError(f"{section[:-1]} '{entry.name}' is described twice", hint=f"also at {first}",
                           location=file.locate((*keys, "name"), value=True))  # fmt: skip
    if entry.tests is not None and entry.data_tests is not None:
        raise file.error("'tests' and 'data_tests' are the same: use one of them", (*keys, "tests"))
    into[entry.name] = Described(entry, file, keys)


def _enabled(outer: SourceProps, table: TableProps) -> bool:
    levels: tuple[SourceConfigProps | None, ...] = (table.config, outer.config)
    said = next((one for one in levels if one is not None and "enabled" in one.model_fields_set), None)
    return said is None or said.enabled


def _add_table(source: SourceProps, table: TableProps, file: YamlFile, keys: Keys, found: Properties) -> None:
    name = (source.name, table.name)
    twin = found.tables.get(name)
    if twin is not None:
        first = twin.file.locate((*twin.keys, "name"), value=True)
        raise ProjectError(f"duplicate source '{source.name}.{table.name}'", hint=f"also at {first}",
                           location=file.locate((*keys, "name"), value=True))  # fmt: skip
    found.tables[name] = DescribedTable(source, table, file, keys)


def _add_exposure(one: DescribedExposure, found: Properties) -> None:
    twin = found.exposures.get(one.props.name)
    if twin is not None:
        raise one.file.error(f"duplicate exposure '{one.props.name}'", (*one.keys, "name"), value=True,
                             hint=f"also at {twin.file.locate((*twin.keys, 'name'), value=True)}")  # fmt: skip
    found.exposures[one.props.name] = one
