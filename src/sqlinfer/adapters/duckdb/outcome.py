"""What a table will hold once new rows are merged into it, as SQL: for audits, before anything is written."""

from __future__ import annotations

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.duckdb.statements import Statements
from sqlinfer.adapters.schema_change import agree
from sqlinfer.relation import fold, quote
from sqlinfer.spec.catalog import Column


def outcome(work: Statements, how: Materialization, sql: str) -> str | None:
    """Rows of the target after ``sql`` went into it; None where they are the rows of ``sql`` alone.

    A value that does not fit its column is NULL here: the publication refuses it.

    Raises:
        PublicationError: a change of columns that the node does not allow.
    """
    if not how.adds or work.kind(how.target) != "table":
        return None
    old = work.describe(f"SELECT * FROM {how.target.sql()}")
    found = agree(how, work.describe(sql), old)
    types = {fold(column.name): column.data_type for column in found.written}
    if any(fold(key) not in types for key in how.unique_key):
        return None  # the publication says so
    gone = {fold(column.name) for column in found.dropped}
    columns = [Column(c.name, types.get(fold(c.name), c.data_type)) for c in old if fold(c.name) not in gone]
    replaces = bool(how.unique_key) and how.strategy != "append"
    same = " AND ".join(
        f"t.{quote(key)} IS NOT DISTINCT FROM TRY_CAST(n.{quote(key)} AS {types[fold(key)]})" for key in how.unique_key
    )
    target, left = how.target.sql(), ""
    beside = f" LEFT JOIN {target} AS t ON {same}" if replaces and len(found.written) < len(columns) else ""
    if replaces:
        left = f" WHERE NOT EXISTS (SELECT 1 FROM ({sql}) AS n WHERE {same})"
    forgotten = {fold(column.name) for column in found.forgotten}

    def side(column: Column) -> str | None:
        if fold(column.name) in types:
            return "n"
        return "t" if beside and fold(column.name) not in forgotten else None

    new = [_value(column, side(column)) for column in (*columns, *found.added)]
    stay = [*(_value(c, "t") for c in columns), *(_value(c, None) for c in found.added)]
    return (
        f"SELECT {', '.join(new)} FROM ({sql}) AS n{beside} UNION ALL SELECT {', '.join(stay)} FROM {target} AS t{left}"
    )


def _value(column: Column, source: str | None) -> str:
    """A column out of one of the two sides; None: NULL."""
    name = quote(column.name)
    return f"TRY_CAST({f'{source}.{name}' if source else 'NULL'} AS {column.data_type}) AS {name}"
