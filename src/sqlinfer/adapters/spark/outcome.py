"""What a table will hold once new rows are merged into it, as SQL: for audits, before anything is written."""

from __future__ import annotations

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.schema_change import agree
from sqlinfer.adapters.spark.merge import Merge
from sqlinfer.adapters.spark.published import standing
from sqlinfer.adapters.spark.session import SparkSqlSession, table_name
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.relation import fold


def outcome(session: SparkSqlSession, settings: SparkSettings, how: Materialization, sql: str) -> str | None:
    """Rows of the target after ``sql`` went into it; None where they are the rows of ``sql`` alone.

    Raises:
        PublicationError: a change of columns that the node does not allow.
    """
    there = standing(session, settings, how.target) if how.adds else None
    if there is None or not there.is_table:
        return None
    given = session.describe(sql)
    found = agree(how, given, there.columns)
    if any(fold(key) not in {fold(column.name) for column in found.written} for key in how.unique_key):
        return None  # the publication says so
    return Merge(how, found, there.columns, given, table_name(there.relation), f"({sql})").sql()
