"""What publishing needs of a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Column


class Statements(Protocol):
    def execute(self, sql: str, parameters: Sequence[object] = ()) -> None: ...

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]: ...

    def kind(self, relation: Relation) -> str | None:
        """``table``, ``view`` or None."""

    def has_references(self) -> bool:
        """Whether a table of what is attached has a foreign key."""

    def stands_still(self, relation: Relation) -> bool:
        """Whether nobody else changes it as long as it is attached."""

    def explain(self, sql: str) -> list[dict[str, Any]]: ...

    def describe(self, sql: str) -> tuple[Column, ...]: ...


def filled(work: Statements, relation: Relation, statement: str) -> int:
    """Rows of a table that the statement fills: DuckDB tells how many, except where it makes several statements of one
    (PIVOT)."""
    told = work.rows(statement)
    return int((told or work.rows(f"SELECT count(*) FROM {relation.sql()}"))[0][0])
