"""The configuration that every data test may have, as dbt has it: checked, with dbt's defaults."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sqlinfer.errors import ProjectError, did_you_mean
from sqlinfer.relation import Relation

KEYS = ("severity", "where", "error_if", "warn_if", "fail_calc", "limit", "store_failures", "store_failures_as",
        "tags", "enabled", "meta", "schema", "database", "alias", "group")  # fmt: skip
_CONDITION = re.compile(
    r"^\s*(=|==|!=|<>|<|<=|>|>=)\s*-?\d{1,18}(\.\d{1,18})?\s*$|^\s*between\s+-?\d{1,18}\s+and\s+-?\d{1,18}\s*$",
    re.I | re.A,
)
AUDIT_SCHEMA = "dbt_test__audit"
_STORED_AS = ("table", "view", "ephemeral")

Fail = Callable[[str, str, str | None], ProjectError]
"""(key, message, hint) → the error at the key's place."""


def checked(given: Mapping[str, Any], fail: Fail) -> dict[str, Any]:
    """The configuration, severity in lower case.

    Raises:
        ProjectError: made by ``fail``, for the first key or value that does not fit.
    """
    config = {key: value for key, value in given.items() if value is not None}
    for key, value in config.items():
        if key not in KEYS:
            raise fail(key, f"unknown config '{key}' of a test", did_you_mean(str(key), KEYS))
        expected = _wrong(key, value)
        if expected:
            raise fail(key, f"{key}: '{value}' is not {expected}", None)
    config["severity"] = str(config.get("severity", "error")).lower()
    return config


def _wrong(key: str, value: Any) -> str | None:
    """What the value should be, where it is not."""
    match key:
        case "severity":
            return None if str(value).lower() in ("warn", "error") else "one of warn, error"
        case "error_if" | "warn_if":
            return None if _CONDITION.fullmatch(str(value)) else "a comparison, for example '> 10'"
        case "limit":
            whole = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63
            return None if whole else "a number of rows above 0"
        case "store_failures" | "enabled":
            return None if isinstance(value, bool) else "true or false"
        case "store_failures_as":
            return None if value in _STORED_AS else f"one of {', '.join(_STORED_AS)}"
        case "where" | "fail_calc" | "schema" | "database" | "alias" | "group":
            return None if isinstance(value, str) and value.strip() else "text"
        case "tags":
            texts = [value] if isinstance(value, str) else value
            return None if isinstance(texts, list) and all(isinstance(one, str) for one in texts) else "a list of texts"
        case "meta":
            return None if isinstance(value, dict) else "a mapping"
        case _:
            return None


def stored_at(config: Mapping[str, Any], name: str, schema: str, database: str | None) -> Relation | None:
    """Where the failing rows are kept, by dbt's rule; ``schema`` and ``database`` are the target's."""
    if not stores_failures(config):
        return None
    custom = str(config.get("schema") or AUDIT_SCHEMA)
    return Relation(str(config.get("alias") or name), f"{schema}_{custom}", config.get("database") or database)


def stores_failures(config: Mapping[str, Any]) -> bool:
    """Whether the failing rows are kept as a relation; as in dbt ``store_failures_as`` goes first."""
    kept_as = config.get("store_failures_as")
    return kept_as != "ephemeral" if kept_as is not None else bool(config.get("store_failures"))
