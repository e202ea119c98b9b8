"""SELECTs around the failing rows of a test: what is looked at, how many fail, whether that is too many. Pure."""

from __future__ import annotations

import re
from operator import eq, ge, gt, le, lt, ne

from sqlinfer.relation import Relation

TESTED = "sqlinfer_tested"
"""Under this name tests of the project's own read the rows that they are about."""
NOTHING = "SELECT 1 AS nothing WHERE 1 = 0"
"""Of a test that is about no relation."""


def all_rows(what: Relation | str, dialect: str) -> str:
    """A query for the rows of a relation or of a query."""
    return f"SELECT * FROM {what.sql(dialect) if isinstance(what, Relation) else f'({what})'} AS t"


def some_rows(query: str, where: str | None) -> str:
    """The same in parentheses, cut down by the test's ``where``."""
    return f"({query} WHERE ({where}))" if where else f"({query})"


def one_column(column: str, source: str) -> str:
    return f"SELECT {column} AS v FROM {source} AS q"


def failing_of_own(sql: str, source: str) -> str:
    """Failing rows of a test of the project's own, which reads ``TESTED``."""
    return f"WITH {TESTED} AS {source} SELECT * FROM (\n{sql}\n) AS failing"


def at_most(sql: str, limit: object) -> str:
    """``limit``: of the test's config; None: all."""
    return f"SELECT * FROM ({sql}) AS f{f' LIMIT {int(str(limit))}' if limit else ''}"


def failures(sql: str, fail_calc: str, limit: object) -> str:
    """One value, or two rows where ``fail_calc`` is no aggregate."""
    return f"SELECT {fail_calc} FROM ({at_most(sql, limit)}) AS dbt_internal_test LIMIT 2"


_PLAIN = re.compile(r"\s*(?P<sign>!=|<>|>=|<=|==|=|>|<)\s*(?P<number>[0-9]{1,18})\s*", re.ASCII)
_SIGNS = {"!=": ne, "<>": ne, ">=": ge, "<=": le, "==": eq, "=": eq, ">": gt, "<": lt}


def holds(failures: int, condition: str) -> bool | None:
    """Whether a plain condition holds; None: only the warehouse can tell.

    >>> holds(2, "!= 0"), holds(2, "> 10"), holds(2, "between 1 and 3")
    (True, False, None)
    """
    found = _PLAIN.fullmatch(condition)
    return None if found is None else bool(_SIGNS[found["sign"]](failures, int(found["number"])))


def verdict(failures: int, error_if: str, warn_if: str) -> str:
    """Whether so many are an error, and a warning. dbt takes ``==`` too."""
    is_error, is_warning = (f"{failures} {condition.replace('==', '=')}" for condition in (error_if, warn_if))
    return f"SELECT {is_error} AS is_error, {is_warning} AS is_warning"
