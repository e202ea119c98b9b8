"""Keys that nodes use of a store, as tables of the side file, for ``adapters.shared.compaction``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb import row_order
from sqlinfer.adapters.duckdb.names import META, SIDE, STORE
from sqlinfer.relation import Relation, quote

if TYPE_CHECKING:
    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace

_LARGE, _SLACK = 1_000_000, 1.15
"""A store of more keys than this may hold some that are no longer in use: counting them exactly takes as long as a
look-up of the whole table, and an estimate of the number in use next to nothing."""


@dataclass(frozen=True, slots=True)
class DuckDBKeySets:
    work: DuckDBWorkspace
    run_id: str

    def leave(self, node: str, store: str, keys: str) -> None:
        own = _table(node, store).sql()
        self.work.execute(f"CREATE OR REPLACE TABLE {own} AS SELECT DISTINCT input_key FROM ({keys})")

    def rename(self, old: str, new: str, store: str) -> None:
        if self.has(old, store):
            self.drop(new, store)
            self.work.execute(f"ALTER TABLE {_table(old, store).sql()} RENAME TO {quote(_table(new, store).name)}")

    def has(self, node: str, store: str) -> bool:
        return self.work.has(_table(node, store))

    def drop(self, node: str, store: str) -> None:
        self.work.execute(f"DROP TABLE IF EXISTS {_table(node, store).sql()}")
        row_order.drop(self.work, node, store)

    def drop_store(self, store: str) -> None:
        self.work.execute(f"DROP TABLE IF EXISTS {_store(store)}")

    def trim(self, store: str, keys: str, others: tuple[str, ...]) -> None:
        union = " UNION ALL ".join([keys, *(f"SELECT input_key FROM {_table(node, store).sql()}" for node in others)])
        if self._may_be_trimmed(_store(store), union):
            self.work.execute(
                f"DELETE FROM {_store(store)} AS s WHERE NOT EXISTS "
                f"(SELECT 1 FROM ({union}) AS u WHERE u.input_key = s.input_key)"
            )

    def _may_be_trimmed(self, store: str, union: str) -> bool:
        kept = self._number(f"SELECT count(*) FROM {store}")
        if kept == self._number(f"SELECT count(*) FROM {store} WHERE run_id = ?", self.run_id):
            return False  # this run has filled it: nothing is old
        estimate = f"SELECT approx_count_distinct(input_key) FROM ({union})"
        if kept > _LARGE and kept <= _SLACK * self._number(estimate):
            return False
        # Every key in use is in the store, so equal numbers mean that none is left over.
        return kept != self._number(f"SELECT count(DISTINCT input_key) FROM ({union})")

    def _number(self, sql: str, *parameters: object) -> int:
        return int(self.work.rows(sql, parameters)[0][0])


def _table(node: str, store: str) -> Relation:
    return Relation(f"keys__{node}__{store}", META, SIDE)


def _store(name: str) -> str:
    return Relation(name, STORE, SIDE).sql()
