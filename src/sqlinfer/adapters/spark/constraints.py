"""Constraints of a contract: Parquet enforces none, so each is counted on the new rows before they are shown."""

from __future__ import annotations

from collections.abc import Sequence

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.spark.session import SparkSqlSession, name
from sqlinfer.errors import AdapterError, PublicationError
from sqlinfer.relation import fold
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.constraint import Constraint


def check_constraints(session: SparkSqlSession, how: Materialization, columns: Sequence[Column]) -> None:
    """Before scoring. Raises PublicationError: one cannot be checked here, or names what the query does not have."""
    known = {fold(column.name) for column in columns}
    for one in how.constraints:
        missing = [column for column in one.columns if fold(column) not in known]
        if missing:
            raise _refused(how, one, f"the query has no column '{missing[0]}'")
        if one.kind == "custom" or (one.kind == "foreign_key" and not one.to):
            raise _refused(how, one, "Spark enforces none, and sqlinfer cannot count what breaks it")
        if one.kind == "check":
            nulls = ", ".join(f"CAST(NULL AS {c.data_type}) AS {name(c.name)}" for c in columns)
            try:
                session.describe(f"SELECT ({one.expression}) AS holds FROM (SELECT {nulls}) AS q")
            except AdapterError as error:
                raise _refused(how, one, error.message) from error


def refuse_broken(session: SparkSqlSession, how: Materialization, rows: str) -> None:
    """``rows``: SQL of what the table will hold. Raises PublicationError."""
    for one in how.constraints:
        count = int(session.value(_broken(one, rows)) or 0)
        if count:
            raise PublicationError(
                f"rows of {how.target} break a constraint: {count} of {one}; the published table is unchanged",
                hint="a data test of the column shows which rows",
                location=one.location,
            )


def _broken(one: Constraint, rows: str) -> str:
    """SQL that counts the rows that break it."""
    source, listed = f"FROM ({rows}) AS q", ", ".join(map(name, one.columns))
    nulls = " OR ".join(f"{name(column)} IS NULL" for column in one.columns)
    match one.kind:
        case "not_null":
            return f"SELECT count(*) {source} WHERE {nulls}"
        case "check":
            return f"SELECT count(*) {source} WHERE NOT ({one.expression})"
        case "foreign_key":
            theirs = one.to_columns or one.columns
            same = " AND ".join(f"q.{name(a)} = r.{name(b)}" for a, b in zip(one.columns, theirs, strict=True))
            return f"SELECT count(*) {source} LEFT ANTI JOIN {one.to} AS r ON {same} WHERE NOT ({nulls})"
        case _:
            twice = f"SELECT count(*) AS n {source} WHERE NOT ({nulls}) GROUP BY {listed} HAVING count(*) > 1"
            doubled = f"(SELECT coalesce(sum(n), 0) FROM ({twice}) AS d)"
            empty = f" + (SELECT count(*) {source} WHERE {nulls})" if one.kind == "primary_key" else ""
            return f"SELECT {doubled}{empty}"


def _refused(how: Materialization, one: Constraint, said: str) -> PublicationError:
    return PublicationError(f"constraint {one} of {how.target} cannot be checked: {said}",
                            hint="a data test does the same", location=one.location)  # fmt: skip
