"""Constraints of a contract on a DuckDB table: declared when the table is made, found again when it is merged into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.duckdb.names import SCRATCH
from sqlinfer.adapters.duckdb.statements import Statements, filled
from sqlinfer.adapters.shared.constraints import definition
from sqlinfer.errors import AdapterError, PublicationError
from sqlinfer.relation import Relation, fold
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.constraint import Constraint

_TRIAL = f"{SCRATCH}.main.sqlinfer_trial"
_SAME = "lower(schema_name) = lower(?) AND lower(database_name) = lower(coalesce(?, current_database()))"


def create(work: Statements, how: Materialization, sql: str) -> int:
    """The table with its constraints, and the rows of ``sql``; how many they are.

    Raises:
        PublicationError: a row breaks one of them.
    """
    target = how.target.sql()
    try:
        work.execute(f"CREATE OR REPLACE TABLE {target} ({definition(work.describe(sql), how.constraints)})")
        return filled(work, how.target, f"INSERT INTO {target} {sql}")
    except AdapterError as error:
        raise broken(how, error) from error.__cause__


def broken(how: Materialization, error: AdapterError) -> AdapterError | PublicationError:
    """Of a statement that wrote rows: the constraint that they break, else the error itself."""
    if "Constraint Error" not in error.message:
        return error
    return PublicationError(
        f"rows of {how.target} break a constraint: {error.message}; the published table is unchanged",
        hint="a data test of the column shows which rows",
    )


def check_constraints(work: Statements, how: Materialization, columns: Sequence[Column]) -> None:
    """Before scoring. Raises PublicationError: they cannot be declared, or the table that stays lacks one."""
    if not how.constraints:
        return
    own = tuple(one for one in how.constraints if one.kind != "foreign_key")
    try:
        work.execute(f"CREATE OR REPLACE TABLE {_TRIAL} ({definition(columns, own)})")
    except AdapterError as error:
        named = ", ".join(map(str, how.constraints))
        raise PublicationError(f"constraints of {how.target} ({named}) cannot be declared: {error.message}",
                               hint=error.hint, location=how.constraints[0].location) from error  # fmt: skip
    for one in how.constraints:
        if one.kind == "foreign_key" and one.to:
            _check_parent(work, how, one)
    wanted = _held(work, Relation("sqlinfer_trial", "main", SCRATCH))
    work.execute(f"DROP TABLE {_TRIAL}")
    if not how.merges or not _exists(work, how.target):
        return
    held = _held(work, how.target)
    missing = [text for _, text in sorted(wanted - held)]
    referring = {text.partition(" REFERENCES")[0] for kind, text in held if kind == "FOREIGN KEY"}
    keys = [one for one in how.constraints if one.kind == "foreign_key"]
    missing += [str(one) for one in keys if f"FOREIGN KEY ({', '.join(one.columns)})" not in referring]
    if missing:
        raise PublicationError(
            f"{how.target} was published without {', '.join(missing)}; a table that stays gets no new constraint",
            hint="run once with --full-refresh", location=how.constraints[0].location,
        )  # fmt: skip


def _check_parent(work: Statements, how: Materialization, one: Constraint) -> None:
    """DuckDB wants a key on the columns that are referred to, and both tables in one schema."""
    from sqlglot import exp  # on use: few tables have foreign keys

    parent = exp.to_table(one.to, dialect="duckdb")
    schema, there = how.target.schema or "main", parent.db or "main"
    needed = {fold(name) for name in one.to_columns or one.columns}
    found = work.rows(
        "SELECT constraint_column_names FROM duckdb_constraints() WHERE constraint_type IN ('PRIMARY KEY', 'UNIQUE') "
        f"AND lower(table_name) = lower(?) AND {_SAME}",
        (parent.name, there, parent.catalog or None),
    )
    said = None
    if fold(schema) != fold(there):
        said = f"{one.to} is in another schema"
    elif not any({fold(name) for name in names} == needed for (names,) in found):
        said = f"{one.to} has no primary key or unique constraint on ({', '.join(sorted(needed))})"
    if said:
        raise PublicationError(f"constraint {one} of {how.target} cannot be declared: {said}", location=one.location,
                               hint="write a relationships test instead, or give that table the key")  # fmt: skip


def _held(work: Statements, table: Relation) -> set[tuple[str, str]]:
    """Kind and text of each, as DuckDB spells it."""
    found = work.rows(
        "SELECT constraint_type, constraint_text, constraint_column_names FROM duckdb_constraints() "
        f"WHERE lower(table_name) = lower(?) AND {_SAME}",
        (table.name, table.schema or "main", table.catalog),
    )
    return {(kind, f"{text} ({', '.join(names)})" if kind == "NOT NULL" else text) for kind, text, names in found}


def _exists(work: Statements, table: Relation) -> bool:
    found = work.rows(
        f"SELECT count(*) FROM duckdb_tables() WHERE lower(table_name) = lower(?) AND {_SAME}",
        (table.name, table.schema or "main", table.catalog),
    )
    return bool(found[0][0])


@contextmanager
def dependents_aside(work: Statements, target: Relation) -> Iterator[None]:
    """A table that others refer to cannot be replaced: they are taken aside, and made again as they were.

    Raises:
        PublicationError: their rows do not fit the new table.
    """
    if not work.has_references():
        yield
        return
    found = work.rows(
        "SELECT DISTINCT c.database_name, c.schema_name, c.table_name, t.sql FROM duckdb_constraints() AS c "
        "JOIN duckdb_tables() AS t USING (database_name, schema_name, table_name) "
        "WHERE c.constraint_type = 'FOREIGN KEY' AND lower(c.referenced_table) = lower(?) "
        "AND lower(c.table_name) <> lower(?) AND lower(c.schema_name) = lower(?) "
        "AND lower(c.database_name) = lower(coalesce(?, current_database()))",
        (target.name, target.name, target.schema or "main", target.catalog),
    )
    aside = [(Relation(name, schema, catalog), sql) for catalog, schema, name, sql in found]
    for number, (table, _) in enumerate(aside):
        work.execute(f"CREATE OR REPLACE TEMP TABLE sqlinfer_aside_{number} AS FROM {table.sql()}")
        work.execute(f"DROP TABLE {table.sql()}")
    yield
    for number, (table, sql) in enumerate(aside):
        try:
            work.execute(f"CREATE TABLE {table.sql()}{sql[sql.index('(') :]}")
            work.execute(f"INSERT INTO {table.sql()} FROM temp.main.sqlinfer_aside_{number}")
        except AdapterError as error:
            raise PublicationError(
                f"{table} has a foreign key to {target}, and its rows do not fit the new table; nothing was changed",
                hint=f"build {table.name} without them first, or drop the constraint",
            ) from error.__cause__
        work.execute(f"DROP TABLE temp.main.sqlinfer_aside_{number}")
