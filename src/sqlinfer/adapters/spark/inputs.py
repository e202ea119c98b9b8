"""Tables of kept inputs in the schema of ours; a scratch workspace reads the durable ones where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlinfer.adapters.spark import side
from sqlinfer.adapters.spark.catalog import kind_of
from sqlinfer.adapters.spark.keeping import drop_all
from sqlinfer.adapters.spark.session import table_name
from sqlinfer.adapters.spark.tables import write_behind
from sqlinfer.relation import Relation
from sqlinfer.spec.names import store_name

if TYPE_CHECKING:
    from sqlinfer.adapters.spark.workspace import SparkWorkspace
    from sqlinfer.spec.plan import Call


def keep(work: SparkWorkspace, named: str, sql: str) -> None:
    write_behind(work.session, side.relation(work.settings, named), sql)


def drop(work: SparkWorkspace, named: str) -> None:
    drop_all(work, side.relation(work.settings, named))


def kept(work: SparkWorkspace, named: str) -> Relation | None:
    """In a scratch workspace a copy, so that other statements find it by the same name."""
    target = side.relation(work.settings, named)
    if work.has(target):
        return target
    return copied(work, target, "*", target)


def times(work: SparkWorkspace, call: Call) -> Relation | None:
    store = _store(work, call)
    copy = side.relation(work.settings, f"times__{store.name}")
    return copy if work.has(copy) else copied(work, store, "input_key AS input, scored_at", copy)


def span(work: SparkWorkspace, call: Call) -> tuple[float, float] | None:
    store = _store(work, call)
    with work.session.durable():
        if kind_of(work.session, work.settings, store) is None:
            return None
        asked = "CAST(min(scored_at) AS DOUBLE), CAST(max(scored_at) AS DOUBLE)"
        oldest, newest = work.session.rows(f"SELECT {asked} FROM {table_name(store)}")[0]
    return None if oldest is None else (float(oldest), float(newest))


def copied(work: SparkWorkspace, source: Relation, columns: str, copy: Relation) -> Relation | None:
    """Rows of a durable relation of ours in a scratch workspace: a temporary view of them."""
    if work.persistent:
        return None
    with work.session.durable():
        if kind_of(work.session, work.settings, source) is None:
            return None
        frame = work.session.frame(f"SELECT {columns} FROM {table_name(source)}")
    with work.session.asking():
        frame.createOrReplaceTempView(copy.name)
    return copy


def _store(work: SparkWorkspace, call: Call) -> Relation:
    return side.relation(work.settings, store_name(call.function, call.digest))
