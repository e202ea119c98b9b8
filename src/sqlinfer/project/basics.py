"""The part of dbt's Jinja context that needs no project: var, env_var, json and yaml, dates, messages, relations."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from sqlinfer.errors import SqlinferError, did_you_mean
from sqlinfer.project.sandbox import MacroReturn, measured
from sqlinfer.relation import Relation

SECRET = "DBT_ENV_SECRET"
MAX_YAML = 20_000
"""Characters of YAML inside a template; reading it takes about 50 µs for each."""


class TemplateMessage(Exception):
    """Raised by context functions; becomes a RenderError at the line of the call, ``needle`` underlined."""

    def __init__(self, message: str, hint: str | None = None, needle: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint, self.needle = message, hint, needle


class RelationValue:
    """A relation as templates see it: prints as quoted SQL."""

    __slots__ = ("_sql", "relation")

    def __init__(self, relation: Relation, dialect: str, sql: str | None = None) -> None:
        self.relation = relation
        self._sql = sql if sql is not None else _quoted(relation, dialect)

    @property
    def database(self) -> str | None:
        return self.relation.catalog

    @property
    def schema(self) -> str | None:
        return self.relation.schema

    @property
    def identifier(self) -> str:
        return self.relation.name

    @property
    def name(self) -> str:
        return self.relation.name

    table = name

    def render(self) -> str:
        return self._sql

    def __str__(self) -> str:
        return self._sql

    def __repr__(self) -> str:
        return self._sql


@lru_cache(maxsize=8192)
def _quoted(relation: Relation, dialect: str) -> str:
    return relation.sql(dialect)


def _as_number(value: Any) -> Any:
    text = str(value).strip()
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            raise TemplateMessage(f"'{text}' is not a number", needle="as_number") from None


def _as_bool(value: Any) -> bool:
    text = str(value).strip().lower()
    if text in ("true", "yes", "on", "1"):
        return True
    if text in ("false", "no", "off", "0"):
        return False
    raise TemplateMessage(f"'{value}' is not a boolean", needle="as_bool")


def _as_native(value: Any) -> Any:
    return from_yaml(value) if isinstance(value, str) else value


def _as_text(value: Any) -> str:
    return str(value)


def from_yaml(text: str, default: Any = None) -> Any:
    from sqlinfer.project.yamlfile import parse_yaml

    if len(str(text)) > MAX_YAML:
        raise TemplateMessage(f"fromyaml() takes at most {MAX_YAML:,} characters", needle="fromyaml")
    try:
        return parse_yaml(str(text)).data
    except SqlinferError:
        return default


def to_yaml(value: Any, default: Any = None) -> str:
    from ruamel.yaml import YAML

    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(value, stream)
    return stream.getvalue()


def to_json(value: Any, default: Any = None, sort_keys: bool = False) -> Any:
    measured(value)
    try:
        return json.dumps(value, sort_keys=sort_keys)
    except (TypeError, ValueError):
        return default


def from_json(text: str, default: Any = None) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return default


def _raise_compiler_error(message: Any = "", node: Any = None) -> str:
    raise TemplateMessage(str(message), needle=None)


def _return(value: Any = None) -> Any:
    raise MacroReturn(value)


@dataclass(slots=True)
class Variables:
    """``var('x')``, ``var('x', default)`` and ``var.has_var('x')``."""

    known: Mapping[str, Any]

    def __call__(self, name: str, default: Any = ...) -> Any:
        if name in self.known:
            return self.known[name]
        if default is not ...:
            return default
        hint = did_you_mean(str(name), self.known) or "give it in vars: of sqlinfer_project.yml or with --vars"
        raise TemplateMessage(f"var '{name}' is not defined", hint, str(name))

    def has_var(self, name: str) -> bool:
        return name in self.known


@dataclass(slots=True)
class Environment:
    """``env_var('X')``, ``env_var('X', 'default')``; secrets only where ``placeholders`` are allowed (profiles)."""

    known: Mapping[str, str]
    allow_secrets: bool = False
    used: set[str] = field(default_factory=set)

    def __call__(self, name: str, default: Any = ...) -> Any:
        secret = str(name).startswith(SECRET)
        if secret and not self.allow_secrets:
            raise TemplateMessage(f"secret variable '{name}' may only be used in profiles.yml",
                                  "rename the variable if it is not a secret", str(name))  # fmt: skip
        if name in self.known:
            self.used.add(name)
            return f"$$$SECRET:{name}$$$" if secret else self.known[name]
        if default is not ...:
            return default if default is None else str(default)
        raise TemplateMessage(f"environment variable '{name}' is not set", f"set it, or give a default: "
                              f"env_var('{name}', 'default')", str(name))  # fmt: skip


def plain_context(variables: Mapping[str, Any], environment: Environment, target: Any = None) -> dict[str, Any]:
    """What templates have everywhere, yml files included."""
    context: dict[str, Any] = {
        "var": Variables(variables),
        "env_var": environment,
        "return": _return,
        "tojson": to_json,
        "fromjson": from_json,
        "toyaml": to_yaml,
        "fromyaml": from_yaml,
        "set": lambda values, default=None: set(values),
        "zip": lambda *lists: list(zip(*lists, strict=False)),
        "log": lambda *args, **kwargs: "",
        "print": lambda *args, **kwargs: "",
        "exceptions": SimpleNamespace(raise_compiler_error=_raise_compiler_error, warn=lambda *args: ""),
        "modules": SimpleNamespace(
            datetime=SimpleNamespace(
                datetime=datetime.datetime,
                date=datetime.date,
                time=datetime.time,
                timedelta=datetime.timedelta,
                timezone=datetime.timezone,
            )
        ),
    }
    if target is not None:
        context["target"] = target
    return context


FILTERS = {"as_number": _as_number, "as_bool": _as_bool, "as_native": _as_native, "as_text": _as_text}
"""dbt's filters for values of yml files."""
