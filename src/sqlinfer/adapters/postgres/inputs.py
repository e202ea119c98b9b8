"""Tables of kept inputs in the schema of ours; a scratch workspace reads temporary copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlinfer.adapters.postgres import side
from sqlinfer.adapters.postgres.pin import drop_any
from sqlinfer.adapters.postgres.store import store_relation
from sqlinfer.relation import Relation

if TYPE_CHECKING:
    from sqlinfer.adapters.postgres.workspace import PostgresWorkspace
    from sqlinfer.spec.plan import Call


def keep(work: PostgresWorkspace, name: str, sql: str) -> None:
    target = side.relation(work.settings, name)
    drop_any(work, target)
    work.session.execute(f"CREATE TABLE {target.sql()} AS {sql}")


def drop(work: PostgresWorkspace, name: str) -> None:
    drop_any(work, side.relation(work.settings, name))


def kept(work: PostgresWorkspace, name: str) -> Relation | None:
    target = side.relation(work.settings, name)
    return _copied(work, target, "*", target)


def times(work: PostgresWorkspace, call: Call) -> Relation | None:
    store = store_relation(work.settings, call.function, call.digest)
    copy = side.relation(work.settings, f"times__{store.name}")
    return _copied(work, store, "input_key AS input, scored_at", copy)


def span(work: PostgresWorkspace, call: Call) -> tuple[float, float] | None:
    store = work.durable_store(store_relation(work.settings, call.function, call.digest))
    if store is None:
        return None
    with work.session.durable():
        asked = "extract(epoch FROM min(scored_at)), extract(epoch FROM max(scored_at))"
        oldest, newest = work.rows(f"SELECT {asked} FROM {store.sql()}")[0]
    return None if oldest is None else (float(oldest), float(newest))


def _copied(work: PostgresWorkspace, source: Relation, columns: str, copy: Relation) -> Relation | None:
    if work.kind(copy) is not None:
        return copy
    durable = None if work.persistent else work.durable_store(source)
    if durable is None:
        return None
    place = work.session.there(copy).sql()
    with work.session.durable():
        work.session.execute(f"CREATE TABLE {place} AS SELECT {columns} FROM {durable.sql()}")
    return copy
