"""Names of warehouse relations and their quoting."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view. Parts are raw names, never quoted text.

    >>> Relation("churn scores", "main").sql("duckdb")
    '"main"."churn scores"'
    """

    name: str
    schema: str | None = None
    catalog: str | None = None

    def expression(self) -> exp.Table:
        """The relation as a sqlglot table, every part quoted."""
        from sqlglot import exp  # on use: the process that prepares functions needs no SQL

        return exp.table_(self.name, db=self.schema, catalog=self.catalog, quoted=True)

    def sql(self, dialect: str = "duckdb") -> str:
        if dialect in _DOUBLED and self.name and (self.schema or not self.catalog):
            return ".".join(quote(part, dialect) for part in (self.catalog, self.schema, self.name) if part)
        return self.expression().sql(dialect=dialect)

    def query(self, dialect: str = "duckdb") -> str:
        """All of its rows, as SQL."""
        return f"SELECT * FROM {self.sql(dialect)}"

    def folded(self) -> Relation:
        """The form used for case-insensitive look-ups."""
        return Relation(
            self.name.casefold(),
            self.schema.casefold() if self.schema else None,
            self.catalog.casefold() if self.catalog else None,
        )

    def __str__(self) -> str:
        return ".".join(part for part in (self.catalog, self.schema, self.name) if part)


_DOUBLED = ("duckdb", "postgres")
"""Dialects in which a quote is doubled inside a string, and nothing else has a meaning."""
_SMALL = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def fold(name: str) -> str:
    """A name as DuckDB compares names: the case of ASCII letters alone does not count.

    >>> fold("Ärger_ID")
    'Ärger_id'
    """
    return name.translate(_SMALL)


def side_name(unique_id: str) -> str:
    """A name for what belongs to one node: readable, its own whatever other nodes are called, at most 41 bytes.

    >>> side_name("model.shop.churn_scores")
    'churn_scores_9fee6cb54d2966c5'
    """
    readable = re.sub(r"[^0-9A-Za-z_]", "_", unique_id.rpartition(".")[2])[:24]
    return f"{readable}_{hashlib.blake2b(unique_id.encode(), digest_size=8).hexdigest()}"


def literal(text: str, dialect: str = "duckdb") -> str:
    """A SQL string with this text.

    >>> literal("it's")
    "'it''s'"
    """
    if dialect in _DOUBLED:
        return "'" + text.replace("'", "''") + "'"
    from sqlglot import exp

    return exp.Literal.string(text).sql(dialect=dialect)


def quote(identifier: str, dialect: str = "duckdb") -> str:
    """One identifier, always quoted."""
    if dialect in _DOUBLED and identifier:  # done for every statement, and sqlglot takes a fifth of a second to import
        return '"' + identifier.replace('"', '""') + '"'
    from sqlglot import exp

    return exp.to_identifier(identifier, quoted=True).sql(dialect=dialect)
