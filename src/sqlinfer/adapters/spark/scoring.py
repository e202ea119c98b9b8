"""The scoring half of a Spark workspace: from a plan to scored relations, on the executors."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlinfer.adapters.base import Forecast, PinOptions
from sqlinfer.adapters.spark import error_log, find, forecast, look_up, pin, score
from sqlinfer.adapters.spark.pinned import SparkPinned, SparkTodo
from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.adapters.spark.store import forget_errors
from sqlinfer.relation import Relation
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.names import NoteKind
from sqlinfer.spec.outcome import Reason
from sqlinfer.spec.plan import Call, Counts, Owner, Plan, Stage
from sqlinfer.spec.scorer import Scorer, Tally, Watch


@dataclass(slots=True)
class HeldNotes:
    """Notes that are written together with what they tell of."""

    work: SparkScoring
    held: list[tuple[NoteKind, str, Mapping[str, Any] | None]] = field(default_factory=list)

    def commit(self) -> None:
        self.work.holding = None
        for one in self.held:
            self.work.note(*one)


class SparkScoring:
    """``adapters.base.ScoringVerbs``; a workspace inherits it."""

    settings: SparkSettings
    run_id: str
    persistent: bool
    cancel: threading.Event | None

    def prepare_scoring(self) -> None:
        """What is known of this run's scoring. Called once, when the workspace is made."""
        self.error_tables: dict[str, list[Relation]] = {}
        self.scratch_parts: dict[str, list[Any]] = {}
        """In a scratch workspace: store → frames that it is made of."""
        self.stores: dict[str, Relation] = {}
        """Store → the table behind it: nobody else changes them."""
        self.cleaned: set[str] = set()
        """Stores beside which nothing of killed runs is left."""
        self.adopted: dict[str, Relation] = {}
        """``Owner.side`` → the version that scoring has written, where a publication needs nothing else."""
        self.holding: HeldNotes | None = None
        self._slots: int | None = None
        self._slices = 0

    @property
    def session(self) -> SparkSqlSession:
        raise NotImplementedError

    def note(self, kind: NoteKind, name: str, payload: Mapping[str, Any] | None) -> None:
        raise NotImplementedError

    @property
    def slots(self) -> int:
        """Tasks that run at a time."""
        if self._slots is None:
            sql = "SELECT count(DISTINCT p) FROM (SELECT spark_partition_id() AS p FROM range(0, 100000))"
            raw, is_remote = self.session.raw, self.session.is_remote
            self._slots = int(self.session.value(sql) if is_remote else raw.sparkContext.defaultParallelism)
        return max(1, self._slots)

    def next_slice(self) -> int:
        self._slices += 1
        return self._slices

    @contextmanager
    def noting(self) -> Iterator[HeldNotes]:
        """Notes that are written inside wait for ``commit``; without it they are forgotten."""
        self.holding = HeldNotes(self)
        try:
            yield self.holding
        finally:
            self.holding = None

    # verbs

    def pin(self, plan: Plan, stages: Sequence[Stage], options: PinOptions) -> Mapping[str, SparkPinned]:
        return pin.pin(self, plan, stages, options)

    def find(self, pinned: SparkPinned, calls: Sequence[Call]) -> SparkTodo:
        return find.find(self, pinned, calls)

    def score(self, todo: SparkTodo, scorer: Scorer, watch: Watch) -> tuple[Tally, ...]:
        return score.score(self, todo, scorer, watch)

    def look_up(self, pinned: SparkPinned, calls: Sequence[Call]) -> tuple[Counts, ...]:
        return look_up.look_up(self, pinned, calls)

    def unscored(self, pinned: SparkPinned, calls: Sequence[Call]) -> int:
        return find.unscored(self, pinned, calls)

    def forecast(self, pinned: SparkPinned, call: Call) -> Forecast:
        return forecast.forecast(self, pinned, call)

    def error_records(self, owner: Owner) -> Relation:
        return error_log.made(self, owner)

    def error_classes(self, owner: Owner, function: str) -> tuple[tuple[str, int], ...]:
        return error_log.classes(self, owner, function)

    def reasons(self, owner: Owner) -> tuple[Reason, ...]:
        return error_log.reasons(self, owner)

    def forget_errors(self, contract: FunctionContract, error_class: str = "") -> int:
        return forget_errors(self, contract, error_class)
