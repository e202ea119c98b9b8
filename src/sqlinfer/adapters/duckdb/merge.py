"""Staged rows → a published table that stays: MERGE, or an append. Inside the caller's one transaction.

The query's columns of rows that differ are updated, other columns and rows keep their values. Keys compare with
IS NOT DISTINCT FROM, so a NULL key is a key like any other. Nothing of ours gets a name among the table's columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlinfer.adapters.base import Materialization, Written
from sqlinfer.adapters.duckdb import standing
from sqlinfer.adapters.duckdb.fits import refuse_unfit
from sqlinfer.adapters.duckdb.statements import Statements
from sqlinfer.adapters.schema_change import Agreement, agree
from sqlinfer.errors import AdapterError, PublicationError
from sqlinfer.relation import Relation, fold, quote
from sqlinfer.spec.catalog import Column

_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"})
_WIDEST, _SPARSEST = 1 << 28, 32
"""Bits that each thread may set, in all and for a row."""
_ROWS, _ONCE = "temp.main.sqlinfer_rows", "temp.main.sqlinfer_once"


def merge(work: Statements, how: Materialization, sql: str) -> Written:
    """Raises PublicationError: duplicate keys, a change of columns that is not allowed, a value that does not fit."""
    if how.stable:
        return _merge(work, how, sql)
    work.execute(f"CREATE OR REPLACE TEMP TABLE {_ROWS} AS {sql}")  # what is checked is what is written
    written = _merge(work, how, f"SELECT * FROM {_ROWS}")
    work.execute(f"DROP TABLE {_ROWS}")
    return written


def _merge(work: Statements, how: Materialization, sql: str) -> Written:
    table = how.target.sql()
    found = agree(how, work.describe(sql), work.describe(f"SELECT * FROM {table}"))
    refuse_unfit(work, how.target, found.written, sql)
    items = ", ".join(f"CAST({quote(c.name)} AS {c.data_type}) AS {quote(c.name)}" for c in found.written)
    source = f"SELECT {items} FROM ({sql}) AS q"
    if how.unique_key:
        refuse_duplicates(work, how, source)
    _reshape(work, how, found, source)
    names = [column.name for column in found.written]
    rows = int(work.rows(f"SELECT count(*) FROM ({sql}) AS q")[0][0])
    if how.strategy == "append" or not how.unique_key:
        listed = ", ".join(map(quote, names))
        work.execute(f"INSERT INTO {table} ({listed}) {source}")
        return Written(rows)
    _merge_rows(work, how, source, found, rows)
    if how.is_slice:
        return Written(rows)
    there = int(work.rows(f"SELECT count(*) FROM {table}")[0][0])
    if how.on_missing == "keep":
        return Written(rows, max(0, there - rows))
    if there != rows:
        _take_once(work, how)
    return Written(rows)


def _merge_rows(work: Statements, how: Materialization, source: str, found: Agreement, rows: int) -> None:
    aliases = _free(work, how, [column.name for column in found.written])
    left = standing.left(work, how, source, found.written, rows)
    if left is None:
        work.execute(_merge_sql(how, source, found, aliases))
        return
    if how.on_missing == "delete":
        (old, gone), table = aliases, how.target.sql()
        work.execute(f"DELETE FROM {table} AS {old} USING ({left.gone}) AS {gone} WHERE {left.is_gone(how, old, gone)}")
    work.execute(_merge_sql(replace(how, on_missing="keep"), left.source, found, aliases))
    standing.drop(work)


def refuse_duplicates(work: Statements, how: Materialization, sql: str) -> None:
    if len(how.unique_key) == 1 and _is_distinct(work, quote(how.unique_key[0]), sql):
        return
    keys = ", ".join(map(quote, how.unique_key))
    twice = f"SELECT count(*) FROM ({sql}) AS q GROUP BY {keys} HAVING count(*) > 1"
    count, rows = work.rows(f"SELECT count(*), sum(n) FROM ({twice}) AS d(n)")[0]
    if count:
        raise PublicationError(
            f"unique_key ({', '.join(how.unique_key)}) is not unique: {count} keys occur in {rows} rows",
            hint="the published table is unchanged; make the query return one row for each key",
        )


def _is_distinct(work: Statements, key: str, sql: str) -> bool:
    """Measured: counting takes 0.6 of the time of grouping, and a bit for each integer a tenth of that."""
    nulls, found = work.rows(f"SELECT count(*) - count({key}), count({key}) FROM ({sql}) AS q")[0]
    if int(nulls) > 1:
        return False
    counted = f"bit_count({bits})" if (bits := _bits(work, key, sql, int(found))) else f"count(DISTINCT {key})"
    return not found or int(work.rows(f"SELECT {counted} FROM ({sql}) AS q")[0][0]) == int(found)


def _bits(work: Statements, key: str, sql: str, rows: int) -> str | None:
    """SQL of a bit for each integer between the least and the greatest key, where those are not many more than rows."""
    kind = next(column.data_type for column in work.describe(f"SELECT {key} FROM ({sql}) AS q"))
    if kind not in _INTEGERS or not rows:
        return None
    least, most = work.rows(f"SELECT min({key}), max({key}) FROM ({sql}) AS q")[0]
    many = int(most) - int(least) + 1
    return f"bitstring_agg({key}, {least}, {most})" if many <= min(_WIDEST, _SPARSEST * rows) else None


def _merge_sql(how: Materialization, source: str, found: Agreement, aliases: tuple[str, str]) -> str:
    """Columns that would tell of an earlier run are NULL in rows that change."""
    old, new = aliases
    names = [column.name for column in found.written]
    keys = {fold(key) for key in how.unique_key}
    others = [quote(name) for name in names if fold(name) not in keys]
    compared = [column for column in found.written if fold(column.name) not in keys | {*how.uncompared}]
    listed = ", ".join(map(quote, names))
    parts = [f"MERGE INTO {how.target.sql()} AS {old} USING ({source}) AS {new} ON {_same_key(how, old, new)}"]
    if compared:
        differs = " OR ".join(
            standing.differ(f"{old}.{quote(c.name)}", f"{new}.{quote(c.name)}", c.data_type) for c in compared
        )
        values = ", ".join([*(f"{name} = {new}.{name}" for name in others),
                            *(f"{quote(column.name)} = NULL" for column in found.forgotten)])  # fmt: skip
        parts.append(f"WHEN MATCHED AND ({differs}) THEN UPDATE SET {values}")
    if not how.is_slice and how.on_missing == "delete":
        parts.append("WHEN NOT MATCHED BY SOURCE THEN DELETE")
    given = ", ".join(f"{new}.{quote(name)}" for name in names)
    parts.append(f"WHEN NOT MATCHED THEN INSERT ({listed}) VALUES ({given})")
    return " ".join(parts)


def _same_key(how: Materialization, old: str, new: str) -> str:
    return " AND ".join(f"{old}.{quote(key)} IS NOT DISTINCT FROM {new}.{quote(key)}" for key in how.unique_key)


def _free(work: Statements, how: Materialization, names: Iterable[str]) -> tuple[str, str]:
    """Aliases that no column has."""
    taken = {fold(name) for name in names}
    taken |= {fold(column.name) for column in work.describe(f"SELECT * FROM {how.target.sql()}")}
    suffix = ""
    while {f"old{suffix}", f"new{suffix}"} & taken:
        suffix += "_"
    return f"old{suffix}", f"new{suffix}"


def _reshape(work: Statements, how: Materialization, found: Agreement, source: str) -> None:
    """Altered, so that constraints, comments and the values of every other column stay."""
    if found.retyped:
        refuse_unfit(work, how.target, found.retyped, _left(work, how, source, found.written), published=True)
    indexes = _indexes(work, how.target) if found.retyped or found.dropped or found.added else ()
    for column in found.retyped:
        name, kind = quote(column.name), column.data_type
        change = f"ALTER COLUMN {name} SET DATA TYPE {kind} USING TRY_CAST({name} AS {kind})"
        _alter(work, how, change, f"give column '{column.name}' the type {kind}", indexes)
    for column in found.added:
        _alter(work, how, f"ADD COLUMN {quote(column.name)} {column.data_type}", f"add column '{column.name}'", indexes)
    for column in found.dropped:
        _alter(work, how, f"DROP COLUMN {quote(column.name)}", f"drop column '{column.name}'", indexes)


def _alter(work: Statements, how: Materialization, change: str, meant: str, indexes: Sequence[str]) -> None:
    """DuckDB alters no column of a table with an index, not even once the transaction has dropped the index."""
    try:
        work.execute(f"ALTER TABLE {how.target.sql()} {change}")
    except AdapterError as error:
        first = f"drop {' and '.join(indexes)} and create it again after the run" if indexes else "change it by hand"
        raise PublicationError(
            f"on_schema_change: {how.on_schema_change} would {meant} of {how.target}, and the warehouse refuses: "
            f"{error.message}; the published table is unchanged",
            hint=f"{first}, or run once with --full-refresh",
        ) from error


def _indexes(work: Statements, target: Relation) -> tuple[str, ...]:
    found = work.rows(
        "SELECT index_name FROM duckdb_indexes() WHERE lower(table_name) = lower(?) AND lower(schema_name) = lower(?) "
        "AND lower(database_name) = lower(coalesce(?, current_database())) ORDER BY 1",
        (target.name, target.schema or "main", target.catalog),
    )
    return tuple(f"index {name}" for (name,) in found)


def _left(work: Statements, how: Materialization, source: str, written: Sequence[Column]) -> str:
    """SQL: the published rows that the query does not replace, and that stay."""
    table = how.target.sql()
    if how.strategy == "append" or not how.unique_key:
        return f"SELECT * FROM {table}"
    if not how.is_slice and how.on_missing == "delete":
        return f"SELECT * FROM {table} LIMIT 0"
    old, new = _free(work, how, [column.name for column in written])
    return (
        f"SELECT * FROM {table} AS {old} WHERE NOT EXISTS (SELECT 1 FROM ({source}) AS {new} "
        f"WHERE {_same_key(how, old, new)})"
    )


def _take_once(work: Statements, how: Materialization) -> None:
    """The published table held a key twice, from elsewhere: the desired state has it once."""
    table, keys = how.target.sql(), ", ".join(map(quote, how.unique_key))
    work.execute(f"CREATE OR REPLACE TEMP TABLE {_ONCE} AS SELECT DISTINCT ON ({keys}) * FROM {table}")
    work.execute(f"DELETE FROM {table}")
    work.execute(f"INSERT INTO {table} SELECT * FROM {_ONCE}")
    work.execute(f"DROP TABLE {_ONCE}")
