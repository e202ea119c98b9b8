"""Which row failed: the columns of a stage that an error record shows. In: a plan, the node's key. Out: JSON as SQL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlinfer.adapters.duckdb.key_columns import json_of
from sqlinfer.relation import fold, quote
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.plan import Call, Plan, Stage

_KEY_LIKE = re.compile(r"^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|INT|TEXT|VARCHAR|UUID|DATE|TIMESTAMP)", re.I)
_MOST = 5
"""Columns that a record without a ``unique_key`` shows."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Columns that tell the rows of a result apart.

    A ``unique_key`` is shown as it is. Else columns of the result are that look like a key; values of arguments never.
    """

    columns: tuple[tuple[str, str], ...] = ()
    """Name in the result, and in the stage."""
    is_key: bool = False

    @classmethod
    def of(cls, plan: Plan, unique_key: Sequence[str] = (), tested: Sequence[str] = ()) -> Identity:
        """``tested``: columns that a data test holds to be unique."""
        names = unique_key or (*tested, *plan.result.columns)
        origins = {fold(name): of for name, of in plan.result.origins}
        return cls(tuple((name, origins.get(fold(name), name)) for name in dict.fromkeys(names)), bool(unique_key))

    def carried(self, stage: Stage) -> tuple[str, ...]:
        """Columns of the stage that a record may show, for who has to hand them on."""
        passed = {fold(name): name for name in stage.columns}
        here = list(dict.fromkeys(passed[fold(of)] for _, of in self.columns if fold(of) in passed))
        return tuple(here if self.is_key else here[: 4 * _MOST])

    def json(self, stage: Stage, call: Call, columns: Iterable[Column], alias: str) -> str:
        """SQL for what a record of ``call`` shows of a row; ``columns`` has the types of the stage's columns."""
        types = {fold(column.name): column for column in columns}
        passed = {fold(name) for name in stage.columns}
        here = {fold(of): (name, types[fold(of)]) for name, of in self.columns if fold(of) in passed & set(types)}
        shown = list(here.values())
        if not self.is_key:
            shown = [one for one in shown if _is_shown(one[1], call)][:_MOST]
        return json_of((name, f"{alias}.{quote(column.name)}") for name, column in shown)


def _is_shown(column: Column, call: Call) -> bool:
    """Whether the column looks like a key and the call does not mention it."""
    mentioned = _words(call.sql)
    return "*" not in call.sql and bool(_KEY_LIKE.match(column.data_type)) and not _words(column.name) & mentioned


def _words(text: str) -> set[str]:
    return {fold(word) for word in re.findall(r"\w+", text)}
