"""Results of calls beside the rows of a stage, as SQL: where each result is, and the SELECT that puts them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlinfer.adapters.duckdb.keyed_call import FAILED, KeyedCall
from sqlinfer.adapters.duckdb.store import StoreTable
from sqlinfer.adapters.shared.lookups import key_of, latest
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.plan import Call, Stage


@dataclass(frozen=True, slots=True)
class LookUp:
    """Where the results of one call of a stage are. In SQL the stage is ``s``, the joined table ``alias``."""

    call: Call
    store: StoreTable
    table: Relation | None
    """Joined on the key; None where the stage holds every result."""
    keyed: KeyedCall | None = None

    @property
    def key(self) -> str:
        return key_of(self.call)

    @property
    def is_held(self) -> bool:
        """Whether the stage holds what the store knew when it was made."""
        return self.keyed is not None and self.keyed.known is not None

    def join(self, alias: str) -> str:
        return f" LEFT JOIN {self.table.sql()} AS {alias} ON {alias}.input_key = {self.key}" if self.table else ""

    def value(self, alias: str) -> str:
        if self.keyed is None or self.keyed.known is None:
            return self.store.value(alias)
        if self.table is None:
            return f"s.{self.keyed.known}"
        return f"CASE WHEN {self.keyed.is_new('s')} THEN {self.store.value(alias)} ELSE s.{self.keyed.known} END"

    @property
    def is_open(self) -> str:
        """SQL: the row's result is in the joined table, not in the stage."""
        return self.keyed.is_new("s") if self.keyed and self.is_held else f"{self.key} IS NOT NULL"

    @property
    def has_failed(self) -> str:
        """SQL: the stage knows that scoring the row failed on an earlier night."""
        return f"s.{self.keyed.state} = {FAILED}" if self.keyed and self.is_held else "FALSE"


def lookup_columns(stage: Stage, found: Sequence[LookUp], columns: Sequence[str]) -> tuple[list[str], str]:
    """SELECT items and FROM clause that put the results of calls beside ``columns`` of the stage."""
    items = [f"s.{quote(column)}" for column in columns]
    source = f"{stage.relation.sql()} AS s"
    for position, one in enumerate(found):
        items.append(f"{one.value(f'l{position}')} AS {quote(one.call.output)}")
        source += one.join(f"l{position}")
    if not any(one.is_held for one in found):
        items += latest([f"l{position}" for position in range(len(found))])
    return items, source
