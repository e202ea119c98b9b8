"""What is sure to make a publication fail, before anything is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.schema_change import agree
from sqlinfer.adapters.spark.catalog import placed
from sqlinfer.adapters.spark.constraints import check_constraints
from sqlinfer.adapters.spark.published import standings
from sqlinfer.adapters.spark.session import SparkSqlSession, table_name
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.adapters.spark.spelling import spelled
from sqlinfer.errors import PublicationError
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Column

_SYSTEM = ("information_schema", "global_temp", "sys")


def check_place(settings: SparkSettings, how: Materialization) -> None:
    """Raises PublicationError where the target cannot be written."""
    target = placed(settings, how.target)
    if target.catalog and target.catalog != "spark_catalog":
        raise PublicationError(
            f"{target} cannot be written: tables are published in Spark's session catalog, not in {target.catalog}",
            hint="remove 'database' from the node's config",
        )
    schema = (target.schema or "").casefold()
    if schema in _SYSTEM or schema == settings.side_schema.casefold():
        whose = "sqlinfer's own" if schema == settings.side_schema.casefold() else "Spark's own"
        raise PublicationError(f"{target} cannot be written: schema {schema} is {whose}", hint="name another schema")
    if how.grants:
        raise PublicationError(f"{target}: 'grants' cannot be set, Spark's session catalog has no rights",
                               hint="remove grants from the node's config")  # fmt: skip


def check_target(
    session: SparkSqlSession,
    settings: SparkSettings,
    how: Materialization,
    columns: Sequence[Column],
    names: Sequence[str],
) -> None:
    """Inside ``warehouse()``. Raises PublicationError.

    Args:
        columns: of the query, lineage included.
        names: our own tables beside the target.
    """
    target = placed(settings, how.target)
    columns = tuple(Column(column.name, spelled(column.data_type)) for column in columns)
    places = [replace(target, name=one) for one in names]
    standing = standings(session, settings, (target, *places))
    for place in places:
        found = standing.get(place)
        if found is not None and not found.is_table:
            said = f"{place} is a view, and the run is recorded there"
            raise PublicationError(said, hint="give the view another name")
    check_constraints(session, how, columns)
    there = standing.get(target)
    if there is None:
        return
    if not there.is_view:
        _refuse_other_format(session, how, there.relation)
    if how.merges and there.is_table:
        agree(how, columns, there.columns)


def _refuse_other_format(session: SparkSqlSession, how: Materialization, target: Relation) -> None:
    """A Delta or Iceberg table is more than its files: history and readers of its own would be lost."""
    rows = session.rows(f"DESCRIBE TABLE EXTENDED {table_name(target)}")
    told = {row[0]: row[1] for row in rows}
    provider = str(told.get("Provider", "")).lower()
    if provider in ("delta", "iceberg", "hudi"):
        raise PublicationError(
            f"{how.target} is a table of format {provider}; sqlinfer publishes tables of Parquet behind a view",
            hint="drop or rename the table, or give the node another name",
        )
