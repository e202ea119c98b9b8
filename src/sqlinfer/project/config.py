"""The configuration of a node: project yml tree < properties yml < ``config()`` in the file. Tags and meta add up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from sqlinfer.errors import Location, ProjectError, did_you_mean
from sqlinfer.project.hooks import read_hooks
from sqlinfer.project.schema import EXTRA_KEYS, HOOKS, OF_POSTGRES, REFUSED, ConfigKeys
from sqlinfer.project.validation import describe, known_keys
from sqlinfer.project.values import NodeConfig
from sqlinfer.project.yamlfile import Keys, YamlFile
from sqlinfer.spec.constraint import Index

KNOWN = tuple(known_keys(ConfigKeys))
_MAPPINGS = ("meta", "column_types", "contract", "persist_docs", "docs", "grants", "quoting", "options")


@dataclass(frozen=True, slots=True)
class Setting:
    value: Any
    location: Location | None


Layer = Mapping[str, Setting]


def known_key(key: str, location: Location | None) -> None:
    """Raises ProjectError where ``key`` is no configuration of a node."""
    if key in REFUSED:
        raise ProjectError(f"'{key}' is not supported", hint=REFUSED[key], location=location)
    if key not in KNOWN and key not in HOOKS:
        raise ProjectError(f"unknown config '{key}'", hint=did_you_mean(key, KNOWN) or "own keys go under 'meta'",
                           location=location)  # fmt: skip


class Tree:
    """``models:`` (or ``seeds:``) of the project file: folders down to ``+keys``."""

    def __init__(self, file: YamlFile, section: str, data: Any) -> None:
        self.file, self.section = file, section
        self.layers: dict[tuple[str, ...], dict[str, Setting]] = {}
        self.used: set[tuple[str, ...]] = set()
        if data:
            self._walk(data, (), (section,))

    def _walk(self, data: Mapping[Any, Any], path: tuple[str, ...], keys: Keys) -> None:
        layer = self.layers.setdefault(path, {})
        for key, value in data.items():
            name, here = str(key), (*keys, key)
            is_config = name.startswith("+") or name in _MAPPINGS or not isinstance(value, dict)
            if is_config:
                where = self.file.locate(here)
                known_key(name.removeprefix("+"), where)
                layer[name.removeprefix("+")] = Setting(value, where)
            else:
                self._walk(value, (*path, name), here)

    def layers_of(self, fqn: Sequence[str]) -> Iterator[Layer]:
        """From the least to the most specific."""
        for depth in range(len(fqn) + 1):
            layer = self.layers.get(tuple(fqn[:depth]))
            if layer is not None:
                self.used.add(tuple(fqn[:depth]))
                yield layer

    def unused(self) -> tuple[str, ...]:
        """Paths that configure nothing, for dbt's warning."""
        return tuple(".".join((self.section, *path)) for path, layer in self.layers.items()
                     if layer and path not in self.used)  # fmt: skip


def in_yaml(file: YamlFile, data: Mapping[str, Any] | None, keys: Keys) -> Layer:
    """The ``config:`` of a properties yml."""
    result = {}
    for key, value in (data or {}).items():
        where = file.locate((*keys, key))
        known_key(str(key), where)
        result[str(key)] = Setting(value, where)
    return result


def merge(layers: Sequence[Layer]) -> dict[str, Setting]:
    """Later layers win; tags, meta and hooks of all are kept."""
    merged: dict[str, Setting] = {}
    for layer in layers:
        for given, setting in layer.items():
            key = HOOKS.get(given, given)
            old = merged.get(key)
            value = setting.value
            if key in HOOKS:
                value = [*(old.value if old else ()), *read_hooks(value, given, setting.location)]
            if old is not None and key == "tags":
                value = [*_listed(old.value), *(tag for tag in _listed(value) if tag not in _listed(old.value))]
            elif old is not None and key in ("meta", "column_types") and isinstance(value, dict):
                value = {**old.value, **value} if isinstance(old.value, dict) else value
            merged[key] = Setting(value, setting.location)
    return merged


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def build(settings: Mapping[str, Setting], *, seed: bool = False, warehouse: str = "") -> NodeConfig:
    """Validate merged settings. Raises ProjectError at the place that gave the offending value."""
    for key, way in OF_POSTGRES.items():
        if warehouse != "postgres" and key in settings:
            raise ProjectError(f"'{key}' is not supported", hint=way, location=settings[key].location)
    values = {key: _plain(setting.value) for key, setting in settings.items() if setting.value is not None}
    try:
        keys = ConfigKeys.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0])
        raise _invalid(key, first, settings[key].location) from error
    config = _assemble(keys, values, seed)
    _consistent(config, settings, seed)
    return config


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | set) else value


def _invalid(key: str, error: Any, location: Location | None) -> ProjectError:
    if error["type"] == "literal_error":
        expected = [part.strip(" '") for part in error["ctx"]["expected"].replace(" or ", ", ").split(",")]
        hint = did_you_mean(str(error["input"]), expected) or "known: " + ", ".join(expected)
        return ProjectError(f"{key}: '{error['input']}' is not allowed", hint=hint, location=location)
    message = error["msg"][:1].lower() + error["msg"][1:]
    return ProjectError(f"{key}: {message}, found {describe(error['input'])}", location=location)


def _assemble(keys: ConfigKeys, values: Mapping[str, Any], seed: bool) -> NodeConfig:
    given = {
        name: getattr(keys, name)
        for name in ("incremental_strategy", "on_schema_change", "on_missing", "lineage", "enabled", "alias",
                     "database", "location", "format", "meta", "publish_timeout", "max_error_rate", "decision",
                     "keep_inputs", "keep", "full_refresh", "column_types",
                     "delimiter", "quote_columns")
        if getattr(keys, name) is not None
    }  # fmt: skip
    return NodeConfig(
        materialized="seed" if seed else keys.materialized or "table",
        unique_key=tuple(keys.unique_key or ()),
        partition_by=tuple(dict.fromkeys(keys.partition_by or ())),
        tags=tuple(dict.fromkeys(keys.tags or ())),
        schema=keys.schema_,
        contract=bool(keys.contract and keys.contract.enforced),
        pre_hook=tuple(keys.pre_hook or ()),
        post_hook=tuple(keys.post_hook or ()),
        indexes=tuple(Index(tuple(one.columns), one.unique, one.type) for one in keys.indexes or ()),
        unlogged=bool(keys.unlogged),
        grants=tuple((right, tuple(roles)) for right, roles in (keys.grants or {}).items()),
        extra={key: values[key] for key in EXTRA_KEYS if key in values},
        **given,
    )


def _is_type(text: str) -> bool:
    """Names, numbers, brackets and quoted labels: it stands in a CAST as it is."""
    depth = 0
    for char in re.sub(r"'[^']*'|\"[^\"]*\"", "", text):
        depth += (char in "([") - (char in ")]")
        if depth < 0 or not (char.isalnum() or char in "_ ,.()[]"):
            return False
    return depth == 0 and bool(text.strip())


def _consistent(config: NodeConfig, settings: Mapping[str, Setting], seed: bool) -> None:
    def fail(message: str, key: str, hint: str | None = None) -> ProjectError:
        setting = settings.get(key)
        return ProjectError(message, hint=hint, location=setting.location if setting else None)

    for column, data_type in config.column_types.items():
        if not _is_type(data_type):
            raise fail(f"column_types: '{data_type}' of '{column}' is not a type", "column_types")
    if config.materialized == "seed" and not seed:
        raise fail("materialized: 'seed' is for files in seeds/ only", "materialized")
    if config.incremental_strategy in ("delete+insert", "merge") and not config.unique_key:
        raise fail(f"incremental_strategy '{config.incremental_strategy}' needs a unique_key", "incremental_strategy",
                   "add unique_key='…'")  # fmt: skip
    if config.materialized == "external" and not config.location:
        raise fail("materialized 'external' needs a location", "materialized", "add location='exports/scores.parquet'")
    if config.materialized == "external" and config.incremental_strategy not in (None, "insert_overwrite"):
        raise fail(f"incremental_strategy '{config.incremental_strategy}' is not for external models",
                   "incremental_strategy",
                   "files are replaced: leave it out, or insert_overwrite with partition_by")  # fmt: skip
    if config.materialized != "external":
        for key in ("partition_by", "keep"):
            if key in settings and not seed:
                raise fail(f"'{key}' is for external models", key, "materialized='external', location='s3://…'")
    if config.incremental_strategy == "insert_overwrite" and not (
        config.materialized == "external" and config.partition_by
    ):
        raise fail("incremental_strategy 'insert_overwrite' is for external models with partition_by",
                   "incremental_strategy", "materialized='external', location='s3://…', partition_by=…")  # fmt: skip
