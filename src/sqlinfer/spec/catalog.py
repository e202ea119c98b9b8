"""What compiling knows of the world: relations, their columns, and the functions. One frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sqlinfer.relation import Relation
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.names import NAMESPACE

TableKind = Literal["table", "view", "foreign"]
"""``table``: native, reads the same rows twice; ``view``: anything behind it; ``foreign``: a table that others may
change meanwhile (of another database), or a file."""


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
class Macro:
    """A macro of the warehouse; ``relation`` holds its name."""

    relation: Relation
    parameters: tuple[str, ...]
    definition: str
    is_table: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """SQL that stays as the user wrote it: an expression with holes (``\\0``), or a relation in parentheses."""

    text: str
    aggregate: bool = False
    volatile: bool = False


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
    macros: tuple[Macro, ...] = ()
    pieces: Mapping[str, Piece] = field(default_factory=dict)
    """The name that a piece has in the text that is compiled → the user's own text."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """``Stage.untyped`` name → the warehouse's type, once it was asked."""
    version: tuple[int, ...] = ()
    """Of the server, where the SQL depends on it: (15, 4)."""
    namespace: Relation = NAMESPACE
    """Where stages live (``name`` is empty)."""

    def find(self, relation: Relation) -> Table | None:
        """The table of that name, case-insensitively, missing parts filled from ``default``."""
        return self.tables.get(self.full(relation).folded())

    def full(self, relation: Relation) -> Relation:
        """With all three parts. ``a.t`` is table t of schema a, or of database a where no schema is called so."""
        schema, catalog = relation.schema, relation.catalog or self.default.catalog
        full = Relation(relation.name, schema or self.default.schema, catalog)
        if schema and not relation.catalog and full.folded() not in self.tables:
            names = {(t.catalog or "").casefold(): t.catalog for t in (*self.tables, self.default)}
            schemas = {(t.catalog, t.schema) for t in self.tables}
            if schema.casefold() in names and (self.default.folded().catalog, schema.casefold()) not in schemas:
                return Relation(relation.name, "main", schema)
        return full
