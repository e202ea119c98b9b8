"""Every kind of data test, and the way from a yml file's arguments to its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from sqlinfer.audits.accepted_range import AcceptedRange
from sqlinfer.audits.accepted_values import AcceptedValues
from sqlinfer.audits.base import Audit
from sqlinfer.audits.base import Problem as Problem
from sqlinfer.audits.distribution_shift import DistributionShift
from sqlinfer.audits.error_rate import ErrorRate
from sqlinfer.audits.expression_is_true import ExpressionIsTrue
from sqlinfer.audits.not_null import NotNull
from sqlinfer.audits.relationships import Relationships
from sqlinfer.audits.row_count import RowCount
from sqlinfer.audits.unique import Unique
from sqlinfer.errors import did_you_mean

AUDITS: tuple[type[Audit], ...] = (
    Unique, NotNull, AcceptedValues, AcceptedRange, Relationships, RowCount, ErrorRate, DistributionShift,
    ExpressionIsTrue,
)  # fmt: skip
PACKAGES = ("dbt_utils", "sqlinfer")
_OTHER_NAMES = {"unique_combination_of_columns": "unique"}


def kinds() -> tuple[str, ...]:
    return tuple(audit.kind for audit in AUDITS)


def find(name: str) -> type[Audit] | None:
    """The kind of this name, with or without the package that dbt has it from."""
    package, _, short = name.rpartition(".")
    if package and package not in PACKAGES:
        return None
    short = _OTHER_NAMES.get(short, short)
    return next((audit for audit in AUDITS if audit.kind == short), None)


def arguments_of(kind: type[Audit]) -> tuple[str, ...]:
    return (*kind.model_fields, *kind.aliases)


def read(name: str, arguments: Mapping[str, Any], column: str | None = None) -> Audit | Problem:
    """The record of a test, or what is wrong with it. ``column``: where the test has one."""
    kind = find(name)
    if kind is None:
        return Problem(f"unknown test '{name}'", hint=did_you_mean(name.rpartition(".")[2], kinds()))
    given: dict[str, Any] = {}
    spelt: dict[str, str] = {}
    for key, value in arguments.items():
        own = kind.aliases.get(key, key)
        if own in given:
            return Problem(f"'{spelt[own]}' and '{key}' are the same: use one of them", key)
        given[own], spelt[own] = value, key
    try:
        audit = kind.model_validate(given)
    except ValidationError as error:
        return _problem(kind, error, spelt)
    return _together(audit, column, spelt) or audit


def _problem(kind: type[Audit], error: ValidationError, spelt: Mapping[str, str]) -> Problem:
    """The first thing that is wrong; what is misspelt before what is missing."""
    found = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    own = str(found["loc"][0])
    name = spelt.get(own, own)
    if found["type"] == "extra_forbidden":
        hint = did_you_mean(name, arguments_of(kind)) or _takes(kind)
        return Problem(f"unknown argument '{name}' of test '{kind.kind}'", name, hint)
    if found["type"] == "missing":
        return Problem(f"test '{kind.kind}' needs '{name}'")
    message = str(found["msg"]).removeprefix("Value error, ")
    expected = _EXPECTED.get(str(found["type"])) or message[:1].lower() + message[1:]
    return Problem(f"{name} is {expected}, found {_described(found['input'])}", name)


_EXPECTED = {
    "int_type": "a whole number", "string_type": "text", "list_type": "a list", "bool_type": "true or false",
    "bool_parsing": "true or false",
}  # fmt: skip


def _takes(kind: type[Audit]) -> str:
    names = tuple(kind.model_fields)
    return f"it takes {', '.join(names)}" if names else "it takes no argument"


def _described(value: Any) -> str:
    names = {type(None): "nothing", dict: "a mapping", list: "a list", str: "text", bool: "a boolean"}
    return names.get(type(value), f"{value}")


def _together(audit: Audit, column: str | None, spelt: Mapping[str, str]) -> Problem | None:
    wants_column = audit.column_is == "needed" or (audit.kind == "unique" and getattr(audit, "columns", None) is None)
    if column is None and wants_column:
        message = f"test '{audit.kind}' belongs to a column"
        return Problem(message, hint="put it under columns: or give column_name")
    if column is not None and audit.column_is == "refused":
        return Problem(f"test '{audit.kind}' is about the table, not a column", hint="put it beside columns:")
    if column is not None and getattr(audit, "columns", None):
        return Problem("columns: belongs to a test of the table; this one has a column", spelt["columns"])
    wrong = audit.problem()
    return None if wrong is None else replace(wrong, argument=spelt.get(wrong.argument or "", wrong.argument))
