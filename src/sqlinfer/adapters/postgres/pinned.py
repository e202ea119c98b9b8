"""What ``pin`` and ``find`` hand out: a stage and what is known of its calls, and what is to be scored of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlinfer.adapters.base import PinOptions
from sqlinfer.adapters.postgres import side
from sqlinfer.adapters.postgres.settings import PostgresSettings
from sqlinfer.adapters.postgres.soundness import KeyDigest
from sqlinfer.adapters.postgres.store import StoreTable
from sqlinfer.adapters.shared.groups import groups_of
from sqlinfer.relation import Relation
from sqlinfer.spec.plan import Call, Owner, Stage


@dataclass(slots=True)
class PostgresPinned:
    """A stage, and which of its calls have their results beside its rows."""

    stage: Stage
    owner: Owner
    options: PinOptions
    rows: int = 0
    """When it was made. An unlogged table is empty after a crash of the server."""
    done: set[str] = field(default_factory=set)
    """Output columns of the calls that were looked up."""
    expected: dict[str, KeyDigest] = field(default_factory=dict)
    """Of the keys of a store once its to-do is scored, by the store's name: all keys of the stage are among them."""

    @property
    def groups(self) -> tuple[tuple[Call, ...], ...]:
        return groups_of(self.stage)

    @property
    def streams(self) -> tuple[tuple[Call, ...], ...]:
        return tuple(group for group in self.groups if group[0].strategy == "stream")


@dataclass(frozen=True, slots=True)
class PostgresTodo:
    pinned: PostgresPinned
    calls: tuple[Call, ...]
    wanted: int
    source: Relation
    """A table with the arguments; all of its rows are scored."""
    sink: Relation
    progress: int = 0
    store: StoreTable | None = None
    """None: a stream, whose rows are told by their number in the stage."""
    inputs: int = 0
    """Rows that could be scored at most."""


def results_relation(settings: PostgresSettings, stage: Stage, number: int) -> Relation:
    """Results of a group of streams, a row for each row of the stage."""
    return side.relation(settings, f"{stage.relation.name}__r{number}")


def todo_relation(settings: PostgresSettings, stage: Stage) -> Relation:
    return side.relation(settings, f"{stage.relation.name}__todo")
