"""Constraints of a contract as CREATE TABLE declares them, in the spelling that warehouses share."""

from __future__ import annotations

from collections.abc import Sequence

from sqlinfer.relation import fold, quote
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.constraint import Constraint


def definition(columns: Sequence[Column], constraints: Sequence[Constraint]) -> str:
    """What stands between the parentheses of CREATE TABLE.

    >>> kept = [Constraint("not_null", ("id",)), Constraint("check", expression="id > 0")]
    >>> definition([Column("id", "INTEGER")], kept)
    '"id" INTEGER NOT NULL, CHECK (id > 0)'
    """
    spelt = {fold(column.name): column.name for column in columns}
    filled = {fold(name) for one in constraints if one.kind == "not_null" for name in one.columns}
    parts = [f"{quote(c.name)} {c.data_type}{' NOT NULL' if fold(c.name) in filled else ''}" for c in columns]
    parts += [_part(one, spelt) for one in constraints if one.kind != "not_null"]
    return ", ".join(parts)


def _part(one: Constraint, spelt: dict[str, str]) -> str:
    name = f"CONSTRAINT {quote(one.name)} " if one.name else ""
    listed = ", ".join(quote(spelt.get(fold(column), column)) for column in one.columns)
    match one.kind:
        case "check":
            return f"{name}CHECK ({one.expression})"
        case "custom":
            return f"{name}{one.expression}"
        case "foreign_key":
            there = f" ({', '.join(map(quote, one.to_columns))})" if one.to_columns else ""
            return f"{name}FOREIGN KEY ({listed}) REFERENCES {one.to + there if one.to else one.expression}"
        case kind:
            return f"{name}{kind.replace('_', ' ').upper()} ({listed})"
