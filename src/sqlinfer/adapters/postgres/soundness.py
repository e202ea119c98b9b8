"""Whether a store holds each of its keys once, told by a digest of the keys: a scan instead of a join with the stage.

Keys are hashed twice and the hashes XORed. A table of as many rows as a set of keys, whose XOR is that of the set, has
each key of the set once. The digest of a store that was looked at is a comment on its table; a store that was changed
by others, or by a run that did not come to its end, has another one, and its keys are looked at again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.store import StoreTable, holds_twice
from sqlinfer.errors import AdapterError
from sqlinfer.relation import Relation, literal

_SEEDS = (7, 8)
_MARK = "sqlinfer keys"


@dataclass(frozen=True, slots=True)
class KeyDigest:
    """Of a set of keys."""

    rows: int = 0
    hashes: tuple[int, ...] = (0,) * len(_SEEDS)

    def with_more(self, other: KeyDigest) -> KeyDigest:
        """The digest of both sets, which have no key in common.

        >>> KeyDigest(1, (5, 3)).with_more(KeyDigest(2, (1, 1)))
        KeyDigest(rows=3, hashes=(4, 2))
        """
        hashes = tuple(one ^ two for one, two in zip(self.hashes, other.hashes, strict=True))
        return KeyDigest(self.rows + other.rows, hashes)

    @property
    def text(self) -> str:
        return " ".join((_MARK, *map(str, (self.rows, *self.hashes))))


def digest_of(session: PostgresSession, relation: Relation) -> KeyDigest:
    """Of a table with a column ``input_key``."""
    return _asked(session, relation, "0")[0]


def digest_and_errors(session: PostgresSession, store: StoreTable) -> tuple[KeyDigest, int]:
    """Of all keys of the store, and how many of them have an error for a result."""
    return _asked(session, store.relation, "count(error)")


def _asked(session: PostgresSession, relation: Relation, more: str) -> tuple[KeyDigest, int]:
    hashes = ", ".join(f"coalesce(bit_xor(uuid_hash_extended(input_key, {seed})), 0)" for seed in _SEEDS)
    rows, counted, *found = session.rows(f"SELECT count(*), {more}, {hashes} FROM {relation.sql()}")[0]
    return KeyDigest(int(rows), tuple(map(int, found))), int(counted)


def sound_digest(session: PostgresSession, store: StoreTable) -> KeyDigest:
    """Raises StoreError: the store holds a key twice."""
    found = digest_of(session, store.relation)
    if found.rows and _noted(session, store) != found.text:
        table = store.relation.sql()
        keys = session.value(f"SELECT count(*) FROM (SELECT FROM {table} GROUP BY input_key) AS k")
        if keys != found.rows:
            raise holds_twice(store.contract.name, int(keys), found.rows)
    return found


def note_sound(session: PostgresSession, store: StoreTable, found: KeyDigest) -> None:
    """The next run need not look. A role that does not own the table may not comment on it: then it looks."""
    if _noted(session, store) != found.text:
        with suppress(AdapterError), session.attempt():
            session.execute(f"COMMENT ON TABLE {store.relation.sql()} IS {literal(found.text)}")


def _noted(session: PostgresSession, store: StoreTable) -> str | None:
    place = literal(session.there(store.relation).sql())
    (noted,) = session.rows(f"SELECT obj_description(to_regclass({place}), 'pg_class')")[0]
    return noted if isinstance(noted, str) else None
