"""What ``pin`` and ``find`` hand out: a stage and what is known of its calls, and what is to be scored of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sqlinfer.adapters.base import PinOptions
from sqlinfer.adapters.duckdb.keyed_call import KeyedCall
from sqlinfer.adapters.duckdb.lookups import LookUp
from sqlinfer.adapters.duckdb.store import StoreTable
from sqlinfer.adapters.shared.groups import groups_of, parts_of
from sqlinfer.relation import Relation
from sqlinfer.spec.plan import Call, Owner, Stage


@dataclass(slots=True)
class DuckDBPinned:
    """A stage, and what the verbs have found out about it so far."""

    stage: Stage
    owner: Owner
    options: PinOptions
    keyed: tuple[KeyedCall, ...] = ()
    """Its calls, where it was made by key."""
    rows: int | None = None
    """Of the stage, where the copy was counted as it was made."""
    unread: bool = False
    """Whether the warehouse is read while it is scored, instead of a copy."""
    looked_up: dict[str, LookUp] = field(default_factory=dict)
    """By output column of the call."""
    streamed: set[str] = field(default_factory=set)
    """Output columns."""

    @property
    def groups(self) -> tuple[tuple[Call, ...], ...]:
        return groups_of(self.stage)

    def keyed_call(self, call: Call) -> KeyedCall | None:
        return next((one for one in self.keyed if one.call.output == call.output), None)

    def is_done(self, calls: tuple[Call, ...]) -> bool:
        return all(call.output in self.looked_up or call.output in self.streamed for call in calls)

    def part_of(self, call: Call) -> tuple[int, Stage]:
        """The part of a stage of many calls: its columns are those that error records name a row by."""
        found = parts_of(self.stage.calls)
        number = next(place for place, calls in enumerate(found) if call in calls)
        return number, self._part(number, found[number])

    def _part(self, number: int, calls: tuple[Call, ...]) -> Stage:
        columns = self.options.shown.carried(self.stage)
        return replace(self.stage, calls=calls, columns=columns, scored=part_relation(self.stage, number))


@dataclass(frozen=True, slots=True)
class DuckDBTodo:
    pinned: DuckDBPinned
    calls: tuple[Call, ...]
    wanted: int | None
    progress: int = 0
    store: StoreTable | None = None
    """None: every row of the stage is scored."""
    source: str = ""
    """FROM clause of the inputs that the store lacks."""
    listed: Relation | None = None
    """A table of the side file that ``source`` reads and that goes when it is done."""
    inputs: int = 0
    """Rows that could be scored at most."""


def part_relation(stage: Stage, number: int) -> Relation:
    return Relation(f"{stage.relation.name}__part{number}", stage.relation.schema, stage.relation.catalog)
