"""Drop store keys that no node refers to any more. Hygiene only: results never depend on it.

While one node alone uses a function, its stage at hand is the set of keys in use and nothing needs to be kept; from the
second node on each leaves its set in the side file. A slice never says which keys are in use.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlinfer.adapters.base import Workspace
from sqlinfer.adapters.duckdb.store import StoreTable, count
from sqlinfer.failpoints import fail_point
from sqlinfer.relation import Relation, quote
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.spec.names import META, SIDE, STORE
from sqlinfer.spec.plan import Plan

_LARGE, _SLACK = 1_000_000, 1.15
"""A store of more keys than this may hold some that are no longer in use: counting them exactly takes as long as a
look-up of the whole table, and an estimate of the number in use next to nothing."""


@dataclass(frozen=True, slots=True)
class _Reference:
    node: str
    """``Owner.side``."""
    store: str
    is_full: bool
    """The node has read all its rows, not only a slice."""


def _references(work: Workspace) -> tuple[_Reference, ...]:
    return tuple(
        _Reference(payload["node"], payload["store"], payload["is_full"])
        for payload in work.notes("reference").values()
    )


def _keys_table(owner: str, store: str) -> Relation:
    return Relation(f"keys__{owner}__{store}", META, SIDE)


def compact(env: RunEnvironment, plan: Plan, *, is_slice: bool) -> None:
    work = env.workspace
    used, owner = _keys_in_use(env, plan), plan.owner.side
    _adopt(work, plan.node, owner)
    if is_slice:
        for name in used:
            _refer(work, owner, name, False)
        return
    for known in _references(work):
        if known.node == owner and known.store not in used:
            _leave(work, owner, known.store)
    for name, (store, keys) in used.items():
        _refer(work, owner, name, True)
        _compact_one(env, owner, store, keys)
    fail_point("after_compaction")


def _adopt(work: Workspace, node: str, owner: str) -> None:
    """What an earlier version kept under the node's name goes on under the name that is the node's own."""
    if node == owner:
        return
    for known in _references(work):
        if known.node != node:
            continue
        old, new = _keys_table(node, known.store), _keys_table(owner, known.store)
        if work.has(old):
            work.execute(f"DROP TABLE IF EXISTS {new.sql()}")
            work.execute(f"ALTER TABLE {old.sql()} RENAME TO {quote(new.name)}")
        _refer(work, owner, known.store, known.is_full)
        _forget(work, node, known.store)


def _keys_in_use(env: RunEnvironment, plan: Plan) -> dict[str, tuple[StoreTable, str]]:
    found: dict[str, tuple[StoreTable, str]] = {}
    for stage in plan.stages:
        for call in stage.calls:
            if call.strategy != "store" or call.key is None:
                continue
            store = StoreTable(env.function(call.function, call.digest).contract)
            key = quote(call.key)
            sql = f"SELECT {key} AS input_key FROM {stage.relation.sql()} WHERE {key} IS NOT NULL"
            known = found.get(store.name)
            found[store.name] = (store, f"{known[1]} UNION ALL {sql}" if known else sql)
    return found


def _refer(work: Workspace, node: str, store: str, is_full: bool) -> None:
    work.note("reference", f"{store} {node}", asdict(_Reference(node, store, is_full)))


def _forget(work: Workspace, node: str, store: str) -> None:
    work.note("reference", f"{store} {node}", None)


def _leave(work: Workspace, node: str, store: str) -> None:
    _forget(work, node, store)
    work.execute(f"DROP TABLE IF EXISTS {_keys_table(node, store).sql()}")
    if not any(known.store == store for known in _references(work)):
        work.execute(f"DROP TABLE IF EXISTS {Relation(store, STORE, SIDE).sql()}")


def _compact_one(env: RunEnvironment, node: str, store: StoreTable, keys: str) -> None:
    work = env.workspace
    others = [known for known in _references(work) if known.store == store.name and known.node != node]
    if others:
        own = _keys_table(node, store.name)
        work.execute(f"CREATE OR REPLACE TABLE {own.sql()} AS SELECT DISTINCT input_key FROM ({keys})")
    if not all(known.is_full for known in others) or not _all_known(work, store, (known.node for known in others)):
        return
    union = " UNION ALL ".join(
        [keys, *(f"SELECT input_key FROM {_keys_table(known.node, store.name).sql()}" for known in others)]
    )
    kept = count(work, store.relation)
    now = f"SELECT count(*) FROM {store.relation.sql()} WHERE run_id = ?"
    if kept == int(work.rows(now, (env.run_id,))[0][0]):
        return  # this run has filled it: nothing is old
    estimate = f"SELECT approx_count_distinct(input_key) FROM ({union})"
    if kept > _LARGE and kept <= _SLACK * int(work.rows(estimate)[0][0]):
        return
    # Every key in use is in the store, so equal numbers mean that none is left over.
    if kept == int(work.rows(f"SELECT count(DISTINCT input_key) FROM ({union})")[0][0]):
        return
    work.execute(
        f"DELETE FROM {store.relation.sql()} AS s WHERE NOT EXISTS "
        f"(SELECT 1 FROM ({union}) AS u WHERE u.input_key = s.input_key)"
    )


def _all_known(work: Workspace, store: StoreTable, nodes: Iterable[str]) -> bool:
    return all(work.has(_keys_table(name, store.name)) for name in nodes)
