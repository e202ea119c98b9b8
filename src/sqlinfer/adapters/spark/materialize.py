"""Staged rows → the next version of a published table, or a view, shown at the end of ``publishing()``."""

from __future__ import annotations

from dataclasses import replace

from sqlinfer.adapters.base import Materialization, Written
from sqlinfer.adapters.schema_change import agree
from sqlinfer.adapters.spark.adoption import adopted
from sqlinfer.adapters.spark.catalog import placed
from sqlinfer.adapters.spark.constraints import refuse_broken
from sqlinfer.adapters.spark.merge import Merge, refuse_duplicates, refuse_unfit
from sqlinfer.adapters.spark.publication import Pending
from sqlinfer.adapters.spark.published import RUN, Standing
from sqlinfer.adapters.spark.session import SparkSqlSession, table_name
from sqlinfer.adapters.spark.tables import count, create, fill, storable
from sqlinfer.failpoints import fail_point
from sqlinfer.relation import Relation, fold
from sqlinfer.spec.catalog import Column


def materialize(pending: Pending, how: Materialization, sql: str) -> Written:
    session, target = pending.session, placed(pending.settings, how.target)
    there, written = pending.standing(target), adopted(session, pending.settings, target, sql)
    if written is not None:
        pending.adopted.add(written)
    pending.vacuum(target, there)
    if how.kind == "view":
        _view(pending, how, target, there, sql)
        return Written(0)
    if there is not None and there.is_table and how.merges:
        return _merged(pending, how, target, there, sql)
    if written is not None:
        version, rows = written, count(session, written)
    else:
        version = _version(pending, how, target, session.describe(sql))
        rows = fill(session, version, sql)
    _check(session, how, version)
    pending.show_table(how, target, there, version)
    return Written(rows)


def _version(pending: Pending, how: Materialization, target: Relation, columns: tuple[Column, ...]) -> Relation:
    version = pending.new_name(target)
    said = {fold(column): text for column, text in how.column_descriptions if text}
    create(pending.session, version, columns, {RUN: pending.run_id}, {key.casefold(): one for key, one in said.items()})
    pending.made.append(("TABLE", version))
    return version


def _check(session: SparkSqlSession, how: Materialization, version: Relation) -> None:
    rows = f"SELECT * FROM {table_name(version)}"
    if how.unique_key:
        refuse_duplicates(session, how, rows)
    refuse_broken(session, how, rows)
    fail_point("before_swap")


def _merged(pending: Pending, how: Materialization, target: Relation, there: Standing, sql: str) -> Written:
    """The rows of the query are written down first: they are read several times."""
    session = pending.session
    pending.vacuum_gathered(target)
    given = replace(pending.new_name(target), schema=pending.settings.side_schema)
    columns = tuple(Column(c.name, storable(c.data_type)) for c in session.describe(sql))
    found = agree(how, columns, there.columns)
    create(session, given, columns)
    pending.made.append(("TABLE", given))
    rows = fill(session, given, sql)
    new = f"SELECT * FROM {table_name(given)}"
    if how.unique_key:
        refuse_duplicates(session, how, new)
    by_name = {fold(column.name): column for column in columns}
    refuse_unfit(session, how, found.written, new, by_name)
    merge = Merge(how, found, there.columns, columns, table_name(there.relation), table_name(given))
    if found.retyped:
        old = {fold(column.name): column for column in there.columns}
        refuse_unfit(session, how, found.retyped, merge.left_sql(), old, published=True)
    version = _version(pending, how, target, merge.columns)
    whole = fill(session, version, merge.sql())
    refuse_broken(session, how, f"SELECT * FROM {table_name(version)}")
    fail_point("before_swap")
    session.execute(f"DROP TABLE IF EXISTS {table_name(given)}")
    pending.show_table(how, target, there, version)
    if how.is_slice or not merge.replaces or merge.removes:
        return Written(rows)
    return Written(rows, max(0, whole - rows))


def _view(pending: Pending, how: Materialization, target: Relation, there: Standing | None, sql: str) -> None:
    """Made under another name first: what is wrong with it is known before anything changes."""
    trial = pending.new_name(target)
    lead = f"CREATE VIEW {table_name(trial)} AS "
    pending.session.execute(f"{lead}{sql}", lead)
    pending.made.append(("VIEW", trial))
    pending.session.renamed[table_name(target)] = table_name(trial)
    pending.show_view(how, target, there, sql)
    pending.late.append(lambda: pending.vacuum(target, None))
