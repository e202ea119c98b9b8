"""A challenger beside its champion: the same rows, pinned before the champion is published, scored after that.

Whatever fails here is told and recorded, and the champion's night goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import perf_counter

from sqlinfer.adapters.base import Held, Materialization, Pinned
from sqlinfer.adapters.shared.contest import Beside
from sqlinfer.audits.base import Rows, Subject, is_number
from sqlinfer.audits.distribution_shift import DistributionShift
from sqlinfer.errors import Cancelled, RunError, SqlinferError, SystemRefused
from sqlinfer.relation import Relation, fold, quote
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.scoring import pin_early, score_plan, total
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.challenge import Contest
from sqlinfer.spec.events import Challenged, Emit, Event, Progress
from sqlinfer.spec.function import PreparedFunction
from sqlinfer.spec.identity import Identity
from sqlinfer.spec.names import CHALLENGER, LINEAGE
from sqlinfer.spec.plan import Counts, Plan
from sqlinfer.spec.records import CHALLENGES
from sqlinfer.spec.seconds import Seconds
from sqlinfer.types import is_float, is_integer, is_text, of_column


@dataclass(frozen=True, slots=True)
class Challenge:
    """What is scored beside a node, or why it cannot be."""

    champion: str
    challenger: str
    key: tuple[str, ...] = ()
    """What tells the rows of the node apart."""
    plan: Plan | None = None
    """The node's SQL with the challenger behind the champion's name, under an owner of its own."""
    functions: Mapping[str, PreparedFunction] = field(default_factory=dict)
    """Challengers, by the names of their champions: predictions are remembered under these, so that a promotion
    finds them."""
    decision: str | None = None
    problem: str = ""


@dataclass(slots=True)
class Challenging:
    """A challenge in one night."""

    challenge: Challenge
    env: RunEnvironment
    how: Materialization
    unique_id: str
    champion_digests: str
    pinned: Mapping[str, Pinned] | None = None
    problem: str = ""
    counts: Counts = field(default_factory=Counts)
    began: float = 0.0

    @classmethod
    def of(cls, challenge: Challenge, plan: Plan, env: RunEnvironment, how: Materialization) -> Challenging:
        names = challenge.champion.split(", ")
        digests = ", ".join(dict.fromkeys(call.digest for call in plan.calls if call.function in names))
        env = replace(env, functions={**challenge.functions, **_others(env, challenge)}, max_error_rate=None,
                      emit=_as_of(plan.owner.key, env.emit))  # fmt: skip
        return cls(challenge, env, how, plan.owner.key, digests, problem=challenge.problem)

    @property
    def table(self) -> Relation:
        return replace(self.how.target, name=f"{self.how.target.name}{CHALLENGER}")

    @property
    def ready(self) -> bool:
        """Whether the challenger has rows of the night to be scored."""
        return self.pinned is not None and not self.problem

    def pin(self) -> None:
        """Copies of the night's rows, from the state of the warehouse that the champion has read."""
        plan = self.challenge.plan
        if plan is None or self.problem:
            return
        try:
            self.env.workspace.clear(plan.owner)
            self.pinned = pin_early(self.env, plan, Seconds())
        except (SqlinferError, OSError) as error:
            self.problem = _told(error)

    def compare(self, champion: Relation, timeout: float) -> None:
        """Score, publish the comparison and its record. After the champion's publication."""
        self.began = perf_counter()
        contests: tuple[Contest, ...] = ()
        if self.ready:
            try:
                contests = self._compared(champion, timeout)
            except (SqlinferError, OSError) as error:
                self.problem = _told(error)
        if not contests:
            self.problem = self.problem or "the node's result has no column of predictions"
            with suppress(SqlinferError, OSError):  # told below all the same
                self._record((), timeout)
        one = self.challenge
        self.env.emit(
            Challenged(
                self.unique_id, one.champion, one.challenger, str(self.table), contests, self.counts, self.problem
            )
        )

    def with_stores(self, plan: Plan) -> Plan:
        """The champion's plan with the challenger's stages, for what is remembered of both."""
        theirs = self.challenge.plan.stages if self.challenge.plan is not None and self.ready else ()
        return replace(plan, stages=(*plan.stages, *theirs))

    def done(self) -> None:
        if self.challenge.plan is not None:
            with suppress(SqlinferError, OSError):
                self.env.workspace.clear(self.challenge.plan.owner)

    def _compared(self, champion: Relation, timeout: float) -> tuple[Contest, ...]:
        plan, work = self.challenge.plan, self.env.workspace
        assert plan is not None
        self.counts = total(score_plan(self.env, plan, Identity(), Seconds(), early=self.pinned))
        held = work.hold(plan, plan.result.sql, again=True, tested=False)
        beside = self._beside(champion, held, plan)
        contests = tuple(self._contest(beside, one) for one in beside.predictions)
        if contests:
            self._publish(beside, contests, timeout)
        return contests

    def _beside(self, champion: Relation, challenger: Held, plan: Plan) -> Beside:
        work = self.env.workspace
        own = [one for one in work.describe(champion.query(work.dialect)) if fold(one.name) not in LINEAGE]
        theirs = work.describe(challenger.relation.query(work.dialect))
        if len(own) != len(theirs):
            raise RunError(f"its rows have {len(theirs)} columns, those of {self.challenge.champion} {len(own)}")
        predicted = {fold(name) for name in plan.result.predictions}
        pairs = tuple((a.name, b.name) for a, b in zip(own, theirs, strict=True))
        known = {fold(a): a for a, _ in pairs}
        found = tuple(a for a, b in pairs if fold(b) in predicted and a not in self.challenge.key)
        types = _types(own, work.dialect)
        numbers = frozenset(name for name in found if is_float(types[name]) or is_integer(types[name]))
        keys = tuple(known.get(fold(key), key) for key in self.challenge.key)
        return Beside(champion, challenger.relation, pairs, keys, found, numbers, self.challenge.decision, work.dialect)

    def _contest(self, beside: Beside, prediction: str) -> Contest:
        work = self.env.workspace
        (both, rows, flips, *shifts), = work.rows(beside.counted(prediction))  # fmt: skip
        mean, absolute, largest = (None if one is None else float(one) for one in shifts)
        decided = None if beside.decision is None else int(flips)
        share = None if decided is None else decided / rows if rows else 0.0
        return Contest(prediction, both, mean, absolute, largest, decided, share, self._psi(beside, prediction))

    def _psi(self, beside: Beside, prediction: str) -> float | None:
        """Of numbers and of labels; vectors have none."""
        work = self.env.workspace
        types = {one.name: one.data_type for one in work.describe(beside.champion.query(work.dialect))}
        kind = of_column(types[prediction], work.dialect)
        if not (is_number(kind) or is_text(kind) or kind == "BOOLEAN"):
            return None
        old, new = (Rows(f"({sql})", types, work.dialect) for sql in (beside.of_champion(), beside.of_challenger()))
        audit = DistributionShift(max=-1.0)  # whatever the index is
        found = work.rows(audit.failing(Subject(new, quote(prediction, work.dialect), kind, old)))
        return float(found[0][0]) if found and found[0][0] is not None else None

    def _publish(self, beside: Beside, contests: tuple[Contest, ...], timeout: float) -> None:
        work = self.env.workspace
        kind = "incremental" if self.how.merges else "table"
        how = Materialization(
            self.table, "incremental" if kind == "incremental" else "table",
            unique_key=beside.keys if kind == "incremental" else (),
            strategy="merge" if kind == "incremental" else None, is_slice=self.how.is_slice,
            on_missing=self.how.on_missing if self.how.strategy != "append" else "keep",
            on_schema_change="sync_all_columns",
            description=f"{self.challenge.champion} and {self.challenge.challenger} on the same rows",
        )  # fmt: skip
        with work.publishing(timeout, self.table):
            if work.has(self.table):
                self._refuse_foreign(beside)
            work.materialize(how, beside.sql())
            work.record(CHALLENGES, self.table, self._records(contests))

    def _refuse_foreign(self, beside: Beside) -> None:
        work = self.env.workspace
        there = {fold(one.name) for one in work.describe(self.table.query(work.dialect))}
        if "flipped" not in there:
            raise RunError(f"{self.table} is there already and is no comparison of ours", hint="rename it, or drop it")

    def _record(self, contests: tuple[Contest, ...], timeout: float) -> None:
        work = self.env.workspace
        with work.publishing(timeout, self.table):
            work.make_place(self.table)
            work.record(CHALLENGES, self.table, self._records(contests))

    def _records(self, contests: tuple[Contest, ...]) -> tuple[dict[str, object], ...]:
        """One row for each column of predictions; one that says why where there are none."""
        plan, counts = self.challenge.plan, self.counts
        common: dict[str, object] = {
            "run_id": self.env.run_id, "node": self.unique_id, "relation": str(self.how.target),
            "compared_at": self.env.now(), "champion": self.challenge.champion, "challenger": self.challenge.challenger,
            "champion_digest": self.champion_digests,
            "challenger_digest": ", ".join(dict.fromkeys(
                call.digest for call in (plan.calls if plan else ()) if call.function in self.challenge.functions
            )),
            "status": "error" if self.problem else "success", "message": self.problem or None,
            "inputs": counts.inputs, "scored": counts.scored, "reused": counts.reused,
            "null_inputs": counts.null_inputs, "errors": counts.errors, "seconds": perf_counter() - self.began,
        }  # fmt: skip
        if not contests:
            return (common,)
        return tuple(common | {name: getattr(one, name) for name in one.__slots__} for one in contests)


def _others(env: RunEnvironment, challenge: Challenge) -> dict[str, PreparedFunction]:
    """Functions of the node that nobody challenges."""
    calls = challenge.plan.calls if challenge.plan else ()
    return {call.function: env.functions[call.function] for call in calls if call.function not in challenge.functions}


def _as_of(unique_id: str, emit: Emit) -> Emit:
    """Progress of the challenger is the node's."""

    def told(event: Event) -> None:
        emit(replace(event, unique_id=unique_id) if isinstance(event, Progress) else event)

    return told


def _told(error: SqlinferError | OSError) -> str:
    if isinstance(error, Cancelled):
        return "stopped before it was compared"
    return (error if isinstance(error, SqlinferError) else SystemRefused.of(error)).message


def _types(columns: list[Column], dialect: str) -> dict[str, str]:
    return {one.name: of_column(one.data_type, dialect) for one in columns}
