"""Which row failed: the columns of a stage that an error record shows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sqlinfer.relation import fold
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.plan import Call, Stage

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

    def carried(self, stage: Stage) -> tuple[str, ...]:
        """Columns of the stage that a record may show, for who has to hand them on."""
        passed = {fold(name): name for name in stage.columns}
        here = list(dict.fromkeys(passed[fold(of)] for _, of in self.columns if fold(of) in passed))
        return tuple(here if self.is_key else here[: 4 * _MOST])

    def shown(self, stage: Stage, call: Call, columns: Iterable[Column]) -> tuple[tuple[str, Column], ...]:
        """What a record of ``call`` shows of a row: name in the record, column of the stage.

        ``columns``: those of the stage, with their types in the spelling of ``types``.
        """
        types = {fold(column.name): column for column in columns}
        passed = {fold(name) for name in stage.columns}
        here = {fold(of): (name, types[fold(of)]) for name, of in self.columns if fold(of) in passed & set(types)}
        found = tuple(here.values())
        return found if self.is_key else tuple(one for one in found if _is_shown(one[1], call))[:_MOST]


def _is_shown(column: Column, call: Call) -> bool:
    """Whether the column looks like a key and the call does not mention it."""
    mentioned = _words(call.sql)
    return "*" not in call.sql and bool(_KEY_LIKE.match(column.data_type)) and not _words(column.name) & mentioned


def _words(text: str) -> set[str]:
    return {fold(word) for word in re.findall(r"\w+", text)}
