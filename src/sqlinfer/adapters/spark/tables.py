"""Tables of Parquet that are written once: made first, filled by one insert, and then stood before by a view.

A driver that is killed leaves files of its job in the table's directory, and the next insert into that directory would
commit them too. So nothing is inserted twice, names of tables are never used again, and since a table is known to the
catalog before its rows are written, dropping it takes the leftovers along.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlinfer.adapters.spark.catalog import kind_of, named_like
from sqlinfer.adapters.spark.session import SparkSqlSession, name, properties_sql, table_name, text
from sqlinfer.errors import AdapterError
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Column

_BEHIND = "__p_"
"""Between the name of a view of ours in the side schema and what tells its table apart."""


def create(
    session: SparkSqlSession, table: Relation, columns: Sequence[Column], properties: Mapping[str, str] | None = None,
    said: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """An empty table. ``said``: comments of columns."""
    listed = ", ".join(f"{name(c.name)} {storable(c.data_type)}{_comment(said, c.name)}" for c in columns)
    more = f" TBLPROPERTIES ({properties_sql(properties)})" if properties else ""
    session.execute(f"CREATE TABLE {table_name(table)} ({listed}) USING parquet{more}")


def fill(session: SparkSqlSession, table: Relation, sql: str) -> int:
    """The one insert. Returns the number of rows, as the files tell it."""
    insert(session, table, sql)
    return count(session, table)


def insert(session: SparkSqlSession, table: Relation, sql: str) -> None:
    lead = f"INSERT INTO {table_name(table)} "
    session.execute(f"{lead}{sql}", lead)


def count(session: SparkSqlSession, table: Relation) -> int:
    return int(session.value(f"SELECT count(*) FROM {table_name(table)}"))


def write_behind(session: SparkSqlSession, relation: Relation, sql: str) -> None:
    """The rows of a query under a name of ours: a new table, and a view in the place of what had the name.

    In a scratch session Spark keeps them, and forgets them with the session.
    """
    if session.is_scratch:
        _keep(session, relation, sql)
        return
    table = replace(relation, name=f"{relation.name}{_BEHIND}{uuid.uuid4().hex[:12]}")
    create(session, table, session.describe(sql))
    insert(session, table, sql)
    older = behind(session, relation)
    stand_before(session, relation, table)
    for one in older:
        if one != table:
            session.execute(f"DROP TABLE IF EXISTS {table_name(one)}")


def _keep(session: SparkSqlSession, relation: Relation, sql: str) -> None:
    frame = session.frame(sql)
    with session.asking(sql):
        kept = frame.persist()
        session.kept.append(kept)
        kept.count()
        kept.createOrReplaceTempView(relation.name)


def behind(session: SparkSqlSession, relation: Relation) -> list[Relation]:
    """Tables that a view of ours has stood before."""
    if session.is_scratch:
        return []
    named = relation.name.casefold() + _BEHIND
    return [replace(relation, name=one) for one in named_like(session, relation.schema or "", f"{named}*")]


def location(session: SparkSqlSession, table: Relation) -> str:
    """Of its folder."""
    for row in session.rows(f"DESCRIBE TABLE EXTENDED {table_name(table)}"):
        if row[0] == "Location":
            return str(row[1])
    raise AdapterError(f"{table} has no location", hint="tables of ours are Parquet in the session catalog")


def stand_before(session: SparkSqlSession, relation: Relation, table: Relation) -> None:
    """``CREATE OR REPLACE`` would drop the view first; ALTER is one change of the catalog."""
    query, view = f"SELECT * FROM {table_name(table)}", table_name(relation)
    if kind_of(session, session.settings, relation) == "view":
        session.execute(f"ALTER VIEW {view} AS {query}")
    else:
        session.execute(f"CREATE VIEW {view} AS {query}")


def storable(data_type: str) -> str:
    """A type that Parquet has: of NULL alone Spark makes ``void``.

    >>> storable("void"), storable("array<void>"), storable("int")
    ('string', 'array<string>', 'int')
    """
    return data_type.replace("void", "string") if "void" in data_type else data_type


def _comment(said: Mapping[str, str] | None, column: str) -> str:
    found = (said or {}).get(column.casefold())
    return f" COMMENT {text(found)}" if found else ""
