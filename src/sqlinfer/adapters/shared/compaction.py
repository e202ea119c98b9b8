"""Which keys of a store nobody needs any more. Hygiene only: results never depend on it.

While one node alone uses a function, its stage at hand is the set of keys in use and nothing needs to be kept; from the
second node on each leaves its set with the stores. A slice never says which keys are in use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from sqlinfer.failpoints import fail_point
from sqlinfer.relation import quote
from sqlinfer.spec.names import NoteKind, store_name
from sqlinfer.spec.plan import Plan


class KeySets(Protocol):
    """Sets of keys that nodes left with a warehouse's stores. ``node``: ``Owner.side``; ``store``: ``store_name``."""

    def leave(self, node: str, store: str, keys: str) -> None:
        """``keys``: SQL with a column ``input_key``."""

    def rename(self, old: str, new: str, store: str) -> None:
        """A set that an earlier version kept under another name of the node, where there is one."""

    def has(self, node: str, store: str) -> bool: ...

    def drop(self, node: str, store: str) -> None: ...

    def drop_store(self, store: str) -> None: ...

    def trim(self, store: str, keys: str, others: tuple[str, ...]) -> None:
        """Drop what is in the store, and neither in ``keys`` (SQL) nor in the sets of other nodes."""


class Notes(Protocol):
    def note(self, kind: NoteKind, name: str, payload: Mapping[str, Any] | None) -> None: ...

    def notes(self, kind: NoteKind) -> dict[str, dict[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class _Reference:
    node: str
    store: str
    is_full: bool
    """The node has read all its rows, not only a slice."""


def compact(notes: Notes, sets: KeySets, plan: Plan, *, is_slice: bool) -> None:
    """``is_slice``: the plan has read only some of its rows."""
    used, owner = _keys_in_use(plan), plan.owner.side
    _adopt(notes, sets, plan.node, owner)
    if is_slice:
        for name in used:
            _refer(notes, _Reference(owner, name, is_full=False))
        return
    for known in _references(notes):
        if known.node == owner and known.store not in used:
            _leave(notes, sets, known)
    for name, keys in used.items():
        _refer(notes, _Reference(owner, name, is_full=True))
        _compact_one(notes, sets, owner, name, keys)
    fail_point("after_compaction")


def _keys_in_use(plan: Plan) -> dict[str, str]:
    """Store → SQL for the keys that the plan's stages have."""
    found: dict[str, str] = {}
    for stage in plan.stages:
        for call in stage.calls:
            if call.strategy != "store" or call.key is None:
                continue
            key, store = quote(call.key, plan.dialect), store_name(call.function, call.digest)
            rows = stage.relation.sql(plan.dialect)
            sql = f"SELECT {key} AS input_key FROM {rows} WHERE {key} IS NOT NULL"
            found[store] = f"{found[store]} UNION ALL {sql}" if store in found else sql
    return found


def _adopt(notes: Notes, sets: KeySets, node: str, owner: str) -> None:
    """What an earlier version kept under the node's name goes on under the name that is the node's own."""
    if node == owner:
        return
    for known in _references(notes):
        if known.node == node:
            sets.rename(node, owner, known.store)
            _refer(notes, _Reference(owner, known.store, known.is_full))
            _forget(notes, known)


def _leave(notes: Notes, sets: KeySets, gone: _Reference) -> None:
    """The node uses the store no more; a store that nobody uses goes."""
    _forget(notes, gone)
    sets.drop(gone.node, gone.store)
    if not any(known.store == gone.store for known in _references(notes)):
        sets.drop_store(gone.store)


def _compact_one(notes: Notes, sets: KeySets, node: str, store: str, keys: str) -> None:
    others = [known for known in _references(notes) if known.store == store and known.node != node]
    if others:
        sets.leave(node, store, keys)
    if all(known.is_full for known in others) and all(sets.has(known.node, store) for known in others):
        sets.trim(store, keys, tuple(known.node for known in others))


def _references(notes: Notes) -> tuple[_Reference, ...]:
    return tuple(
        _Reference(payload["node"], payload["store"], payload["is_full"])
        for payload in notes.notes("reference").values()
    )


def _refer(notes: Notes, reference: _Reference) -> None:
    if reference not in _references(notes):
        notes.note("reference", f"{reference.store} {reference.node}", asdict(reference))


def _forget(notes: Notes, reference: _Reference) -> None:
    notes.note("reference", f"{reference.store} {reference.node}", None)
