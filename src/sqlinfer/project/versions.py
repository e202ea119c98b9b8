"""``require-sqlinfer-version``: bounds as dbt writes them (``[">=0.1.0", "<1.0.0"]``) against our own version."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

from sqlinfer.errors import ProjectError
from sqlinfer.project.yamlfile import YamlFile

KEY = "require-sqlinfer-version"
_BOUND = re.compile(r"\s*(>=|<=|==|!=|=|>|<|)\s*v?(\d{1,9}(?:\.\d{1,9})*)(?:[-.]?(?:a|b|rc|dev|post)\d*)?\s*", re.A)
_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge, "<=": operator.le, "==": operator.eq, "=": operator.eq, "": operator.eq, "!=": operator.ne,
    ">": operator.gt, "<": operator.lt,
}  # fmt: skip


def require(wanted: Any, version: str, file: YamlFile) -> None:
    """Raises ProjectError where ``version`` is outside the bounds, or a bound cannot be read."""
    bounds = [] if wanted is None else wanted if isinstance(wanted, list) else str(wanted).split(",")
    for bound in bounds:
        match = _BOUND.fullmatch(str(bound))
        if match is None:
            raise _error(file, f"{KEY}: '{bound}' is not a bound of a version", "for example '>=0.1.0'")
        if not _HOLDS[match[1]](_parts(version), _parts(match[2])):
            raise _error(file, f"this project needs sqlinfer {bound}, this is {version}",
                         "upgrade sqlinfer, or change the bound")  # fmt: skip


def _error(file: YamlFile, message: str, hint: str) -> ProjectError:
    return file.error(message, (KEY,), value=True, hint=hint)


def _parts(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version, re.A)
    numbers = [int(part) for part in found[0].split(".")] if found else [0]
    return (*numbers, 0, 0, 0)[: max(3, len(numbers))]
