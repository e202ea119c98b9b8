"""A stage by key, as values: what is read, and what is known of the calls of its rows."""

from __future__ import annotations

from dataclasses import dataclass

from sqlinfer.relation import Relation, quote
from sqlinfer.spec.names import OURS
from sqlinfer.spec.plan import Call

KNOWN, FAILED, NEW = 0, 1, 2
"""States of a row that has a key: its result is in the store, its failure is, neither is."""


def state_name(position: int) -> str:
    """Column of a stage: what is known of the call at ``position``."""
    return f"{OURS}_state_{position}"


def known_name(position: int) -> str:
    return f"{OURS}_known_{position}"


@dataclass(frozen=True, slots=True)
class ByRow:
    sql: str
    """The stage with column ROW."""
    rows: int
    """The warehouse's estimate."""
    table_rows: int
    """Upper bound: rows of the scanned table."""
    columns: int | None
    """How many are read, None where that is not known."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A column of the stage that is a list: the arguments of one type of a NEW row, NULL for other rows."""

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """A call whose results were looked up by place."""

    plain: Relation
    """The stage's rows without results."""
    found: Relation
    """State and result of every row, row by row as the stage's rows stand."""
    moved: Relation
    """``place`` in it and ``input_key`` of rows that were not known by their place."""
    others: int
    """Rows of ``moved``."""
    rows: int


@dataclass(frozen=True, slots=True)
class KeyedCall:
    call: Call
    state: str | None
    """Column of the stage: a state above, NULL where there is no key. None: the store was empty, every key is NEW."""
    known: str | None
    """Column of the stage with the result of KNOWN rows; None where it is looked up at publication."""
    carried: tuple[Carried, ...]
    """Columns of the stage with the arguments of NEW rows; empty where a second pass fetches them."""
    inputs: Relation | None
    """Key and arguments of new inputs, each once; a view where the stage has them. None: there are none."""
    wanted: int
    """Rows of ``inputs``."""
    store_rows: int
    """Rows of the store then: as long as it has no more, every one of ``inputs`` is still new."""
    placed: Placed | None = None

    def is_new(self, alias: str = "") -> str:
        """SQL over a row of the stage: its key was not in the store."""
        dot = f"{alias}." if alias else ""
        return f"{dot}{quote(self.call.key or '')} IS NOT NULL" if self.state is None else f"{dot}{self.state} = {NEW}"
