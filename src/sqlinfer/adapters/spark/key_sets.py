"""Keys that nodes use of a store, as tables of ours, for ``adapters.shared.compaction``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlinfer.adapters.spark import side
from sqlinfer.adapters.spark.catalog import kind_of
from sqlinfer.adapters.spark.keeping import drop_all
from sqlinfer.adapters.spark.session import table_name, text
from sqlinfer.adapters.spark.store import SparkStore, drop_store, slices
from sqlinfer.adapters.spark.tables import write_behind
from sqlinfer.relation import Relation

if TYPE_CHECKING:
    from sqlinfer.adapters.spark.workspace import SparkWorkspace

_LARGE, _SLACK = 100_000, 1.15
"""A store of more keys than this may hold some that are no longer in use: what stays is written anew."""
_DEVIATION = 0.02
"""Of an estimate of how many keys are in use: an exact count shuffles all of them."""
_MANY_SLICES = 200
"""A store of more slices is written anew: each is a folder with files of its own."""


@dataclass(frozen=True, slots=True)
class SparkKeySets:
    work: SparkWorkspace

    def leave(self, node: str, store: str, keys: str) -> None:
        write_behind(self.work.session, self._table(node, store), f"SELECT DISTINCT input_key FROM ({keys}) AS q")

    def rename(self, old: str, new: str, store: str) -> None:
        """Nothing was ever kept under another name here."""

    def has(self, node: str, store: str) -> bool:
        return kind_of(self.work.session, self.work.settings, self._table(node, store)) is not None

    def drop(self, node: str, store: str) -> None:
        drop_all(self.work, self._table(node, store))

    def drop_store(self, store: str) -> None:
        drop_store(self.work, store)

    def trim(self, store: str, keys: str, others: tuple[str, ...]) -> None:
        sets = [f"SELECT input_key FROM {table_name(self._table(node, store))}" for node in others]
        union = " UNION ALL ".join([keys, *sets])
        rows = table_name(side.relation(self.work.settings, store))
        kept, fresh = self.work.session.rows(
            f"SELECT count(*), count_if(run_id = {text(self.work.run_id)}) FROM {rows}"
        )[0]
        if kept == fresh:
            return  # this run has filled it: nothing is old
        if self._is_loose(kept, union) or slices(self.work, store) > _MANY_SLICES:
            SparkStore.named(self.work, store).keep_those(union)

    def _is_loose(self, kept: int, union: str) -> bool:
        """Whether enough of the ``kept`` keys are no longer in use. Every key in use is in the store."""
        if kept <= _LARGE:
            return kept > int(self.work.session.value(f"SELECT count(DISTINCT input_key) FROM ({union}) AS u"))
        guess = f"SELECT approx_count_distinct(input_key, {_DEVIATION}) FROM ({union}) AS u"
        return kept > _SLACK * int(self.work.session.value(guess))

    def _table(self, node: str, store: str) -> Relation:
        return side.relation(self.work.settings, f"keys__{node}__{store}")
