"""A group of calls → what is to be scored: distinct inputs that the store lacks, or every row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlinfer.adapters.postgres.pin import drop_any
from sqlinfer.adapters.postgres.pinned import PostgresPinned, PostgresTodo, results_relation, todo_relation
from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.soundness import KeyDigest, digest_of, sound_digest
from sqlinfer.adapters.postgres.store import StoreTable, store_relation
from sqlinfer.adapters.shared.lookups import inputs_of
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.names import RESULT
from sqlinfer.spec.plan import Call, Stage

if TYPE_CHECKING:
    from sqlinfer.adapters.postgres.workspace import PostgresWorkspace


def find(work: PostgresWorkspace, pinned: PostgresPinned, calls: Sequence[Call]) -> PostgresTodo:
    stage = pinned.stage
    if calls[0].strategy == "stream":
        sink = results_relation(work.settings, stage, pinned.streams.index(tuple(calls)))
        return PostgresTodo(pinned, tuple(calls), pinned.rows, stage.relation, sink, 0, None, pinned.rows)
    store = StoreTable(work.settings, pinned.options.contracts[calls[0].function])
    work.make_store(store, stage, calls, remembered=pinned.options.remembered)
    names = [f"a{position}" for position in range(len(calls[0].arguments))]
    listed = todo_relation(work.settings, stage)
    known = sound_digest(work.session, store)
    with work.session.transaction():
        drop_any(work, listed)
        work.session.prepare_heavy()
        wanted = work.session.execute(
            f"{work.create_unlogged} {listed.sql()} AS {_inputs(stage, calls, names, store if known.rows else None)}"
        )
        new = digest_of(work.session, listed) if wanted else KeyDigest()
        if not wanted:
            drop_any(work, listed)
    pinned.expected[store.relation.name] = known.with_more(new)
    call = replace(calls[0], key="input_key", arguments=tuple(names), output=RESULT, status=None)
    inputs = pinned.rows * len(calls)
    return PostgresTodo(pinned, (call,), wanted, listed, store.relation, known.rows, store, inputs)


def _inputs(stage: Stage, calls: Sequence[Call], names: Sequence[str], store: StoreTable | None) -> str:
    """Each key that the store lacks once, with arguments.

    ``store``: None where it is empty.
    """
    lacks = (
        f" WHERE NOT EXISTS (SELECT 1 FROM {store.relation.sql()} AS s WHERE s.input_key = q.input_key)"
        if store
        else ""
    )
    return f"SELECT DISTINCT ON (q.input_key) q.* FROM ({inputs_of(stage, calls, names)}) AS q{lacks}"


def unscored(work: PostgresWorkspace, pinned: PostgresPinned, calls: Sequence[Call]) -> int:
    """Inputs that scoring would take. Nothing is made."""
    if calls[0].strategy == "stream":
        return count(work.session, pinned.stage.relation)
    stage = work.session.there(pinned.stage.relation).sql()
    contract = pinned.options.contracts[calls[0].function]
    store = work.durable_store(store_relation(work.settings, contract.name, contract.digest))
    keys = " UNION ALL ".join(
        f"SELECT {quote(call.key or '')} AS input_key FROM {stage} WHERE {quote(call.key or '')} IS NOT NULL"
        for call in calls
    )
    lacks = f" WHERE NOT EXISTS (SELECT 1 FROM {store.sql()} AS s WHERE s.input_key = q.input_key)" if store else ""
    with work.session.durable():
        return int(work.session.value(f"SELECT count(DISTINCT q.input_key) FROM ({keys}) AS q{lacks}"))


def count(session: PostgresSession, relation: Relation) -> int:
    return int(session.value(f"SELECT count(*) FROM {relation.sql()}"))
