"""What compiling knows of the world: relations, their columns, and the functions. One frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sqlinfer.relation import Relation
from sqlinfer.spec.function import FunctionContract

TableKind = Literal["table", "view", "foreign"]
"""``table``: native, reads the same rows twice; ``view``: anything behind it; ``foreign``: attached or a file."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    data_type: str


@dataclass(frozen=True, slots=True)
class Table:
    relation: Relation
    columns: tuple[Column, ...]
    kind: TableKind = "table"


@dataclass(frozen=True, slots=True)
class Catalog:
    """``tables`` is keyed by ``Relation.folded()`` with all parts that the warehouse knows.

    ``table_functions`` maps the SQL text of a table function call (``read_parquet('x')``, or a replacement scan's
    quoted file name) to its columns.
    """

    dialect: str
    default: Relation
    """Database and schema for unqualified names (``name`` is empty)."""
    tables: Mapping[Relation, Table] = field(default_factory=dict)
    functions: Mapping[str, FunctionContract] = field(default_factory=dict)
    table_functions: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)

    def find(self, relation: Relation) -> Table | None:
        """The table of that name, case-insensitively, missing parts filled from ``default``."""
        full = Relation(
            relation.name,
            relation.schema or self.default.schema,
            relation.catalog or self.default.catalog,
        )
        return self.tables.get(full.folded())
