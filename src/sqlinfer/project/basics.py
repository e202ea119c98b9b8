"""The part of dbt's Jinja context that needs no project: var, env_var, json and yaml, dates, messages, relations."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Mapping
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from sqlinfer import numerals
from sqlinfer.errors import SqlinferError, did_you_mean
from sqlinfer.files import parse_json
from sqlinfer.project.budget import PART, current, measured
from sqlinfer.project.sandbox import MacroReturn
from sqlinfer.project.secret import Secrets, is_secret, public
from sqlinfer.project.witness import seen
from sqlinfer.relation import Relation
from sqlinfer.shown import one_line

LONGEST = 1_000
"""Characters of a message that templates give rise to."""
MAX_YAML = 20_000
"""Characters of YAML inside a template; reading it takes about 50 µs for each."""


class TemplateMessage(Exception):
    """Raised by context functions; becomes a RenderError at the line of the call, ``needle`` underlined."""

    def __init__(self, message: str, hint: str | None = None, needle: str | None = None) -> None:
        message = message if len(message) <= LONGEST else message[:LONGEST] + "…"
        super().__init__(message)
        self.message, self.hint, self.needle = message, hint, needle if needle and len(needle) <= LONGEST else None


class RelationValue:
    """A relation as templates see it: prints as quoted SQL."""

    __slots__ = ("_sql", "relation")
    template_names = ("database", "schema", "identifier", "name", "table", "render")

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
    whole = numerals.whole(text)
    found = numerals.decimal(text) if whole is None else whole
    if found is None:
        raise TemplateMessage(f"'{one_line(text, 100)}' is not a number", needle="as_number")
    return found


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

    if measured(value) > MAX_YAML:
        raise TemplateMessage(f"toyaml() takes at most {MAX_YAML:,} characters", needle="toyaml")
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
    current().made(PART * len(text) if isinstance(text, str | bytes) else 0)
    try:
        return parse_json(text)
    except ValueError:
        return default


def _raise_compiler_error(message: Any = "", node: Any = None) -> str:
    raise TemplateMessage(str(message), needle=None)


def _return(value: Any = None) -> Any:
    raise MacroReturn(value)


class Variables:
    """``var('x')``, ``var('x', default)`` and ``var.has_var('x')``."""

    __slots__ = ("_known",)
    template_names = ("has_var",)

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = known

    def __call__(self, name: str, default: Any = ...) -> Any:
        if name in self._known:
            return self._known[name]
        if default is not ...:
            return default
        hint = did_you_mean(str(name), self._known) or "give it in vars: of sqlinfer_project.yml or with --vars"
        raise TemplateMessage(f"var '{name}' is not defined", hint, str(name))

    def has_var(self, name: str) -> bool:
        return name in self._known

    def __repr__(self) -> str:
        return "var"


class Environment:
    """``env_var('X')``, ``env_var('X', 'default')``. It holds no secret, so that no template can find one in it.

    ``secrets`` are given in profiles only; their names then stand for placeholders.
    """

    __slots__ = ("_known", "_secrets")
    template_names = ()

    def __init__(self, env: Mapping[str, str], secrets: Secrets | None = None) -> None:
        self._known = public(env)
        self._secrets = secrets

    def __call__(self, name: str, default: Any = ...) -> Any:
        found: str | None
        for witness in seen():
            witness.asked(str(name), self._known.get(name))
        if is_secret(str(name)):
            if self._secrets is None:
                raise TemplateMessage(f"secret variable '{name}' may only be used in profiles.yml",
                                      "rename the variable if it is not a secret", str(name))  # fmt: skip
            found = self._secrets.placeholder(str(name))
        else:
            found = self._known.get(name)
        if found is not None:
            return found
        if default is not ...:
            return default if default is None else str(default)
        raise TemplateMessage(f"environment variable '{name}' is not set", f"set it, or give a default: "
                              f"env_var('{name}', 'default')", str(name))  # fmt: skip

    def __repr__(self) -> str:
        return "env_var"


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
