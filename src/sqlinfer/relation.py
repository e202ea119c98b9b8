"""Names of warehouse relations and their quoting."""

from __future__ import annotations

from dataclasses import dataclass

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
        return exp.table_(self.name, db=self.schema, catalog=self.catalog, quoted=True)

    def sql(self, dialect: str = "duckdb") -> str:
        return self.expression().sql(dialect=dialect)

    def folded(self) -> Relation:
        """The form used for case-insensitive look-ups."""
        return Relation(
            self.name.casefold(),
            self.schema.casefold() if self.schema else None,
            self.catalog.casefold() if self.catalog else None,
        )

    def __str__(self) -> str:
        return ".".join(part for part in (self.catalog, self.schema, self.name) if part)


def literal(text: str) -> str:
    """A SQL string with this text, in the spelling that every dialect reads.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def quote(identifier: str, dialect: str = "duckdb") -> str:
    """One identifier, always quoted."""
    return exp.to_identifier(identifier, quoted=True).sql(dialect=dialect)
