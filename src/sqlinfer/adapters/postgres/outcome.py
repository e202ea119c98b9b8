"""What a table will hold once new rows are merged into it, as SQL: for audits, before anything is written."""

from __future__ import annotations

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.settings import PostgresSettings
from sqlinfer.adapters.postgres.tables import standing
from sqlinfer.adapters.schema_change import agree
from sqlinfer.relation import Relation, fold, quote
from sqlinfer.spec.catalog import Column


def outcome(session: PostgresSession, settings: PostgresSettings, how: Materialization, sql: str) -> str | None:
    """Rows of the target after ``sql`` went into it; None where they are the rows of ``sql`` alone.

    Raises:
        PublicationError: a change of columns that the node does not allow.
    """
    target = Relation(how.target.name, how.target.schema or settings.schema)
    there = standing(session, target) if how.adds else None
    if there is None or not there.is_table:
        return None
    given = session.describe(sql)
    found = agree(how, given, there.columns)
    types = {fold(column.name): column.data_type for column in found.written}
    if any(fold(key) not in types for key in how.unique_key):
        return None  # the publication says so
    before = {fold(column.name): column.data_type for column in (*given, *there.columns)}
    gone = {fold(column.name) for column in found.dropped}
    columns = [Column(c.name, types.get(fold(c.name), c.data_type)) for c in there.columns if fold(c.name) not in gone]
    replaces = bool(how.unique_key) and how.strategy != "append"
    spelt = {fold(column.name): column.name for column in there.columns}
    new_spelt = {fold(column.name): column.name for column in given}
    same = " AND ".join(
        f"t.{_name(spelt.get(fold(key), key))} = n.{_name(new_spelt[fold(key)])}" for key in how.unique_key
    )
    name = target.sql()
    left = f" WHERE NOT EXISTS (SELECT 1 FROM ({sql}) AS n WHERE {same})" if replaces else ""
    beside = f" LEFT JOIN {name} AS t ON {same}" if replaces and len(found.written) < len(columns) else ""
    forgotten = {fold(column.name) for column in found.forgotten}

    def side(column: Column) -> str | None:
        if fold(column.name) in types:
            return f"n.{_name(new_spelt[fold(column.name)])}"
        return f"t.{_name(column.name)}" if beside and fold(column.name) not in forgotten else None

    def value(column: Column, source: str | None) -> str:
        cast = "" if source and before.get(fold(column.name)) == column.data_type else f"::{column.data_type}"
        return f"{source or 'NULL'}{cast} AS {_name(column.name)}"

    new = [value(column, side(column)) for column in (*columns, *found.added)]
    stay = [*(value(c, f"t.{_name(c.name)}") for c in columns), *(value(c, None) for c in found.added)]
    return (
        f"SELECT {', '.join(new)} FROM ({sql}) AS n{beside} UNION ALL SELECT {', '.join(stay)} FROM {name} AS t{left}"
    )


def _name(name: str) -> str:
    return quote(name)
