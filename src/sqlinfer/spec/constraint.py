"""What the published table holds beside its rows: constraints of a contract, indexes, rights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sqlinfer.errors import Location

Kind = Literal["not_null", "unique", "primary_key", "foreign_key", "check", "custom"]


@dataclass(frozen=True, slots=True)
class Index:
    columns: tuple[str, ...]
    unique: bool = False
    method: str = "btree"


Grants = tuple[tuple[str, tuple[str, ...]], ...]
"""Right → the roles that have it."""


@dataclass(frozen=True, slots=True)
class Constraint:
    kind: Kind
    columns: tuple[str, ...] = ()
    expression: str = ""
    """Of a check: what holds for every row. Of a foreign key without ``to``: ``table (column)``."""
    name: str = ""
    to: str = ""
    """SQL of the relation that a foreign key refers to."""
    to_columns: tuple[str, ...] = ()
    location: Location | None = field(default=None, compare=False)

    def __str__(self) -> str:
        listed = f" ({', '.join(self.columns)})" if self.columns else ""
        return f"{self.kind}{listed}"
