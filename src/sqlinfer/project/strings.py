"""Jinja inside the strings of yml files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jinja2.exceptions import TemplateError

from sqlinfer.errors import ProjectError, SqlinferError
from sqlinfer.project.basics import TemplateMessage
from sqlinfer.project.jinja import Engine
from sqlinfer.project.yamlfile import Keys, YamlFile

LATE = frozenset(f"{plus}{when}{join}hook" for plus in ("", "+") for when in ("pre", "post") for join in "_-")
"""Keys whose texts stay Jinja until the node runs."""
_SINGLE = re.compile(r"^\s*\{\{((?:(?!\}\}|\{\{).)*)\}\}\s*$", re.S)


def render_values(value: Any, keys: Keys, file: YamlFile, engine: Engine, context: Mapping[str, Any],
                  kind: type[ProjectError] = ProjectError) -> Any:  # fmt: skip
    """The value with every ``{{ … }}`` in it rendered; a string that is one expression keeps the value's type."""
    if isinstance(value, dict):
        return {
            key: inner if key in LATE else render_values(inner, (*keys, key), file, engine, context, kind)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [render_values(inner, (*keys, i), file, engine, context, kind) for i, inner in enumerate(value)]
    if not isinstance(value, str) or ("{{" not in value and "{%" not in value):
        return value
    try:
        single = _SINGLE.match(value)
        if single:
            return engine.expression(single.group(1).strip(), context)
        return engine.run(engine.compile(value), context).text
    except TemplateMessage as error:
        raise file.error(error.message, keys, value=True, hint=error.hint, kind=kind) from error
    except SqlinferError as error:
        raise file.error(error.message, keys, value=True, hint=error.hint, kind=kind) from error
    except TemplateError as error:
        raise file.error(f"Jinja: {error}", keys, value=True, kind=kind) from error
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise file.error(f"Jinja: {error}", keys, value=True, kind=kind) from error
