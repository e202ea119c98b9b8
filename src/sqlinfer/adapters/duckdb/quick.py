"""Whether a query is sure to be read in a moment, told from its plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from sqlinfer.adapters.duckdb.statements import Statements
from sqlinfer.errors import AdapterError

QUICK_ROWS = 100_000
"""Rows of every relation that is read, and of every step."""
_LEAVES = ("SEQ_SCAN", "DUMMY_SCAN", "EMPTY_RESULT", "COLUMN_DATA_SCAN", "CTE_SCAN")


def is_quick(work: Statements, sql: str) -> bool:
    """Files and other databases never are: what they hold is not known."""
    with suppress(AdapterError, ValueError, KeyError, IndexError, TypeError):
        return all(_is_small(work, step) for step in _steps(work.explain(sql)))
    return False


def _steps(plan: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in plan:
        yield step
        yield from _steps(step["children"])


def _is_small(work: Statements, step: dict[str, Any]) -> bool:
    about = step["extra_info"]
    if not step["children"] and step["name"].strip() not in _LEAVES:
        return False
    if "Filters" in about:  # all rows are read, and the plan tells how many are left
        (whole,) = work.explain(f"SELECT * FROM {about['Table']}")
        return not whole["extra_info"].get("Filters") and _rows(whole) <= QUICK_ROWS
    return _rows(step) <= QUICK_ROWS


def _rows(step: dict[str, Any]) -> int:
    return int(str(step["extra_info"].get("Estimated Cardinality", 0)).lstrip("~"))
