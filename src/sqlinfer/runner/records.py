"""Tables of ours in the warehouse, made or brought up to date by the names of their columns."""

from __future__ import annotations

from collections.abc import Mapping

from sqlinfer.adapters.base import Workspace
from sqlinfer.relation import Relation, fold, quote

_REPLACED = ("UHUGEINT",)
"""Types of earlier versions that some clients cannot read."""


def ensure(work: Workspace, table: Relation, columns: Mapping[str, str]) -> None:
    """Create the table, or add what an older version did not write. What is there stays, columns of others too."""
    listed = ", ".join(f"{quote(name)} {kind}" for name, kind in columns.items())
    work.execute(f"CREATE TABLE IF NOT EXISTS {table.sql()} ({listed})")
    there = {fold(column.name): column.data_type for column in work.describe(f"SELECT * FROM {table.sql()}")}
    for name, kind in columns.items():
        column = quote(name)
        if fold(name) not in there:
            work.execute(f"ALTER TABLE {table.sql()} ADD COLUMN {column} {kind}")
        elif there[fold(name)] in _REPLACED:
            work.execute(
                f"ALTER TABLE {table.sql()} ALTER COLUMN {column} SET DATA TYPE {kind} USING CAST({column} AS {kind})"
            )
