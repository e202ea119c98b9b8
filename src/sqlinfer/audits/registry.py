"""Every kind of data test, and the way from a yml file's arguments to its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from sqlinfer.audits.accepted_range import AcceptedRange
from sqlinfer.audits.accepted_values import AcceptedValues
from sqlinfer.audits.arguments import Misfit, needed, readers
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
    return (*_names(kind), *kind.aliases)


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
    unknown = next((name for name in given if name not in _names(kind)), None)
    if unknown is not None:
        name = spelt[unknown]
        hint = did_you_mean(name, arguments_of(kind)) or _takes(kind)
        return Problem(f"unknown argument '{name}' of test '{kind.kind}'", name, hint)
    read_by, required = readers(kind), needed(kind)
    for name in _names(kind):
        if name in given:
            try:
                given[name] = read_by[name](given[name])
            except Misfit as misfit:
                return Problem(f"{spelt[name]} is {misfit.expected}, found {_described(misfit.value)}", spelt[name])
        elif name in required:
            return Problem(f"test '{kind.kind}' needs '{name}'")
    audit = kind(**given)
    return _together(audit, column, spelt) or audit


def _names(kind: type[Audit]) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


def _takes(kind: type[Audit]) -> str:
    names = _names(kind)
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
