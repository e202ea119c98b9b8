"""``data_tests:`` of yml files and tests/*.sql → DataTest."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlinfer.errors import did_you_mean
from sqlinfer.project.schema import describe
from sqlinfer.project.values import DataTest, Severity
from sqlinfer.project.yamlfile import Keys, YamlFile
from sqlinfer.relation import Relation

KINDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "unique": ((), ("columns", "column_name")),
    "not_null": ((), ("column_name",)),
    "accepted_values": (("values",), ("quote", "column_name")),
    "accepted_range": ((), ("min_value", "max_value", "inclusive", "column_name")),
    "relationships": (("to", "field"), ("column_name",)),
    "row_count": ((), ("min_value", "max_value", "min", "max", "equals")),
    "error_rate": ((), ("max", "max_value")),
    "distribution_shift": ((), ("max_psi", "max", "bins", "buckets", "column_name")),
}
"""Kind → required and optional arguments."""

_COLUMN_KINDS = ("not_null", "accepted_values", "accepted_range", "relationships", "distribution_shift")
_CONFIG = ("severity", "where", "error_if", "warn_if", "tags", "enabled", "limit", "store_failures", "meta",
           "store_failures_as", "fail_calc")  # fmt: skip
_OUTER = ("name", "description", "config", "arguments", "test_name")
_CONDITION = re.compile(r"^\s*(=|==|!=|<>|<|<=|>|>=)\s*\d+(\.\d+)?\s*$")
_REF = re.compile(
    r"""^\s*(?:\{\{)?\s*(ref|source)\(\s*(['"])([^'"]+)\2\s*(?:,\s*(['"])([^'"]+)\4\s*)?\)\s*(?:\}\})?\s*$"""
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a test is declared on. ``relation_of`` resolves ``ref('x')``: (unique_id, relation), or raises."""

    project: str
    name: str
    unique_id: str
    file: YamlFile
    relation_of: Callable[[str, str, str | None], tuple[str, Relation] | None]
    known: tuple[str, ...] = ()


def read_tests(entries: Sequence[Any] | None, keys: Keys, column: str | None, subject: Subject) -> tuple[DataTest, ...]:
    """The enabled tests of one list."""
    tests = (_test(entry, (*keys, index), column, subject) for index, entry in enumerate(entries or ()))
    return tuple(test for test in tests if test is not None)


def _test(entry: Any, keys: Keys, column: str | None, subject: Subject) -> DataTest | None:
    file = subject.file
    if isinstance(entry, str):
        kind, body, here = entry, {}, keys
    elif isinstance(entry, dict) and "test_name" in entry:
        kind, body, here = str(entry["test_name"]), {k: v for k, v in entry.items() if k != "test_name"}, keys
    elif isinstance(entry, dict) and len(entry) == 1:
        kind = str(next(iter(entry)))
        body, here = entry[kind] or {}, (*keys, kind)
    elif isinstance(entry, dict) and entry:
        extra = [str(key) for key in entry][1]
        raise file.error(f"a test has one name, found '{extra}' beside it", (*keys, extra),
                         hint="indent its arguments deeper")  # fmt: skip
    else:
        raise file.error(f"a test is a name or a mapping, found {describe(entry)}", keys, value=True)
    if not isinstance(body, dict):
        raise file.error(f"the arguments of '{kind}' are a mapping, found {describe(body)}", here, value=True)
    short = kind.removeprefix("dbt_utils.").removeprefix("sqlinfer.")
    if short not in KINDS:
        raise file.error(f"unknown test '{kind}'", here, hint=did_you_mean(short, KINDS))
    return _built(short, body, here, column, subject)


def _built(kind: str, body: Mapping[str, Any], keys: Keys, column: str | None, subject: Subject) -> DataTest | None:
    file = subject.file
    arguments, config = _sorted(kind, body, keys, file)
    column = arguments.pop("column_name", None) or column
    if column is None and (kind in _COLUMN_KINDS or (kind == "unique" and "columns" not in arguments)):
        raise file.error(f"test '{kind}' belongs to a column", keys, hint="put it under columns: or give column_name")
    _check_arguments(kind, arguments, keys, file)
    depends = [subject.unique_id] if subject.unique_id.startswith(("model.", "seed.")) else []
    if kind == "relationships":
        target = _target(arguments["to"], keys, subject)
        arguments["to"] = target[1]
        depends.append(target[0])
    if config.get("enabled") is False:
        return None
    name = str(body.get("name") or "_".join(part for part in (kind, subject.name, column) if part))
    return DataTest(
        unique_id=f"test.{subject.project}.{name}", name=name, kind=kind, node=subject.unique_id, column=column,
        arguments=arguments, severity=config["severity"], where=config.get("where"),
        error_if=config.get("error_if", "!= 0"), warn_if=config.get("warn_if", "!= 0"), config=config,
        tags=tuple(_strings(config.get("tags"))), depends_on=tuple(dict.fromkeys(depends)),
        location=file.locate(keys),
    )  # fmt: skip


def _strings(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value or ()]


def _sorted(kind: str, body: Mapping[str, Any], keys: Keys, file: YamlFile) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments and configuration, wherever dbt lets them stand."""
    required, optional = KINDS[kind]
    arguments: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for key, value in body.items():
        if key in ("config", "arguments"):
            if not isinstance(value, dict):
                raise file.error(f"'{key}' is a mapping, found {describe(value)}", (*keys, key), value=True)
            for inner, content in value.items():
                allowed = _CONFIG if key == "config" else (*required, *optional)
                if inner not in allowed:
                    raise file.error(f"unknown key '{inner}' in {key} of test '{kind}'", (*keys, key, inner),
                                     hint=did_you_mean(str(inner), allowed))  # fmt: skip
                (config if key == "config" else arguments)[inner] = content
        elif key in _CONFIG:
            config[key] = value
        elif key in required or key in optional:
            arguments[key] = value
        elif key not in _OUTER:
            hint = did_you_mean(str(key), (*required, *optional, *_CONFIG, *_OUTER))
            raise file.error(f"unknown argument '{key}' of test '{kind}'", (*keys, key), hint=hint)
    for key in required:
        if key not in arguments:
            raise file.error(f"test '{kind}' needs '{key}'", keys)
    config["severity"] = _severity(config.get("severity", "error"), keys, file)
    for key in ("error_if", "warn_if"):
        if key in config and not _CONDITION.match(str(config[key])):
            raise file.error(
                f"{key}: '{config[key]}' is not a comparison", (*keys, key), value=True, hint="for example '> 10'"
            )
    return arguments, config


def _severity(value: Any, keys: Keys, file: YamlFile) -> Severity:
    if str(value).lower() not in ("warn", "error"):
        where = (*keys, "severity") if (*keys, "severity") in file.keys else (*keys, "config", "severity")
        raise file.error(f"severity: '{value}' is not one of warn, error", where, value=True)
    return "warn" if str(value).lower() == "warn" else "error"


def _check_arguments(kind: str, arguments: Mapping[str, Any], keys: Keys, file: YamlFile) -> None:
    if kind == "accepted_values" and not isinstance(arguments["values"], list):
        raise file.error(f"values is a list, found {describe(arguments['values'])}", (*keys, "values"), value=True)
    if kind in ("accepted_range", "row_count") and not {"min_value", "max_value", "min", "max", "equals"} & set(
        arguments
    ):
        raise file.error(f"test '{kind}' needs 'min_value' or 'max_value'", keys)
    for key in ("max_psi", "max", "min", "bins", "buckets", "equals") + (
        ("max_value", "min_value") if kind != "accepted_range" else ()
    ):
        value = arguments.get(key, 0)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise file.error(f"{key} is a number, found {describe(value)}", (*keys, key), value=True)


def _target(text: Any, keys: Keys, subject: Subject) -> tuple[str, Relation]:
    match = _REF.match(str(text))
    if match is None:
        raise subject.file.error(f"to: '{text}' is not ref('…') or source('…', '…')", (*keys, "to"), value=True)
    function, first, second = match.group(1), match.group(3), match.group(5)
    found = subject.relation_of(function, first, second)
    if found is None:
        name = f"{first}.{second}" if function == "source" else second or first
        raise subject.file.error(f"to: unknown {'source' if function == 'source' else 'model or seed'} '{name}'",
                                 (*keys, "to"), value=True, hint=did_you_mean(name, subject.known))  # fmt: skip
    return found
