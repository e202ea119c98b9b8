"""What is kept in the schema of ours between scoring and publishing: a node's result, a seed's rows, what runs left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import Held
from sqlinfer.adapters.spark import side
from sqlinfer.adapters.spark.catalog import drop_any, entry, kind_of, named_like
from sqlinfer.adapters.spark.session import name, table_name
from sqlinfer.adapters.spark.spelling import spelled
from sqlinfer.adapters.spark.tables import behind, write_behind
from sqlinfer.relation import Relation
from sqlinfer.spec.names import result_name
from sqlinfer.spec.plan import Owner, Plan

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.adapters.spark.workspace import SparkWorkspace


def hold(work: SparkWorkspace, plan: Plan, sql: str, *, again: bool, tested: bool) -> Held:
    target = replace(work.namespace, name=result_name(plan.owner.side))
    adopted = work.adopted.get(plan.owner.side)
    if adopted is not None and sql == plan.result.sql:
        work.session.execute(f"CREATE OR REPLACE VIEW {table_name(target)} AS SELECT * FROM {table_name(adopted)}")
        return Held(target, lasts=again)
    if again or not work.persistent:
        write_behind(work.session, target, sql)
    else:
        lead = f"CREATE OR REPLACE VIEW {table_name(target)} AS "
        work.session.execute(f"{lead}{sql}", lead)
    return Held(target, lasts=again)


def keep(work: SparkWorkspace, held: Held) -> Held:
    """The view becomes one of a table that holds its rows."""
    if not held.lasts and not _shows_version(work, held.relation):
        write_behind(work.session, held.relation, f"SELECT * FROM {table_name(held.relation)}")
    return Held(held.relation, lasts=True)


def _shows_version(work: SparkWorkspace, relation: Relation) -> bool:
    """A version that scoring has written lasts by itself."""
    found = entry(work.session, work.settings, relation)
    shown = {f"SELECT * FROM {table_name(one)}" for one in work.adopted.values()}
    return found is not None and found.query.strip() in shown


def load(work: SparkWorkspace, named: str, table: pa.Table, types: Mapping[str, str]) -> Relation:
    """Columns with a declared type are cast by Spark: it reads what its own types read."""
    target, shown = replace(work.namespace, name=named), f"sqlinfer_read_{named}"
    drop_all(work, target)
    with work.session.asking():
        work.session.from_arrow(table).createOrReplaceTempView(shown)
    items = ", ".join(
        f"CAST({name(one)} AS {spelled(types[one])}) AS {name(one)}" if one in types else name(one)
        for one in table.column_names
    )
    try:
        write_behind(work.session, target, f"SELECT {items} FROM {name(shown)}")
    finally:
        work.session.raw.catalog.dropTempView(shown)
    return target


def clear(work: SparkWorkspace, owner: Owner) -> None:
    """Relations are found by their names: another version of the node's query may have made more of them."""
    if not work.persistent:
        return
    lead, records = f"{owner.side}__".casefold(), side.relation(work.settings, f"errors__{owner.side}").name
    names = named_like(work.session, work.settings.side_schema, f"{lead}*|{records}")
    found = [replace(work.namespace, name=one) for one in names]
    kinds = {one: kind_of(work.session, work.settings, one) for one in found}
    for one in sorted(found, key=lambda one: kinds[one] != "view"):  # views come before the tables that they read
        drop_any(work.session, work.settings, one)
    work.adopted.pop(owner.side, None)
    work.error_tables.pop(owner.side, None)


def drop_all(work: SparkWorkspace, relation: Relation) -> None:
    """A relation of ours, with the tables that it has stood before."""
    for one in (relation, *behind(work.session, relation)):
        drop_any(work.session, work.settings, one)
