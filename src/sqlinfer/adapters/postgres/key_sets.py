"""Keys that nodes use of a store, as tables of ours, for ``adapters.shared.compaction``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlinfer.adapters.postgres import side
from sqlinfer.adapters.postgres.pin import drop_any
from sqlinfer.relation import Relation, literal

if TYPE_CHECKING:
    from sqlinfer.adapters.postgres.workspace import PostgresWorkspace

_LARGE, _SLACK = 100_000, 1.15
"""A store of more keys than this may hold some that are no longer in use: counting them takes as long as a look-up of
the whole table, and deleted rows leave holes until a vacuum."""


@dataclass(frozen=True, slots=True)
class PostgresKeySets:
    work: PostgresWorkspace

    def leave(self, node: str, store: str, keys: str) -> None:
        own = self._table(node, store)
        with self.work.session.transaction():
            drop_any(self.work, own)
            self.work.session.execute(f"CREATE TABLE {own.sql()} AS SELECT DISTINCT input_key FROM ({keys}) AS q")

    def rename(self, old: str, new: str, store: str) -> None:
        """Nothing was ever kept under another name here."""

    def has(self, node: str, store: str) -> bool:
        return self.work.has(self._table(node, store))

    def drop(self, node: str, store: str) -> None:
        drop_any(self.work, self._table(node, store))

    def drop_store(self, store: str) -> None:
        drop_any(self.work, side.relation(self.work.settings, store))

    def trim(self, store: str, keys: str, others: tuple[str, ...]) -> None:
        table = side.table(self.work.settings, store)
        sets = [f"SELECT input_key FROM {self._table(node, store).sql()}" for node in others]
        union = " UNION ALL ".join([keys, *sets])
        kept, fresh = self.work.session.rows(
            f"SELECT count(*), count(*) FILTER (WHERE run_id = {literal(self.work.run_id)}) FROM {table}"
        )[0]
        if kept == fresh:
            return  # this run has filled it: nothing is old
        guess = self.work.estimate(f"SELECT DISTINCT input_key FROM ({union}) AS u") if kept > _LARGE else None
        if guess is not None and kept <= _SLACK * guess:
            return
        with self.work.session.transaction():
            self.work.session.prepare_heavy()
            used = int(self.work.session.value(f"SELECT count(DISTINCT input_key) FROM ({union}) AS u"))
            # Every key in use is in the store, so equal numbers mean that none is left over.
            if kept == used:
                return
            self.work.session.execute(
                f"DELETE FROM {table} AS s WHERE NOT EXISTS "
                f"(SELECT 1 FROM ({union}) AS u WHERE u.input_key = s.input_key)"
            )

    def _table(self, node: str, store: str) -> Relation:
        return side.relation(self.work.settings, f"keys__{node}__{store}")
