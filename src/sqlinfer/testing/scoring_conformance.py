"""What every workspace must do between a plan and a scored relation, in SQL that any warehouse takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp

import pytest

from sqlinfer.adapters.base import Adapter, PinOptions, Workspace
from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.compile import compile_query
from sqlinfer.errors import Cancelled, RunError
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Catalog, Column, Table
from sqlinfer.spec.function import Argument, FunctionContract, Output, PreparedFunction, Strategy
from sqlinfer.spec.identity import Identity
from sqlinfer.spec.outcome import Reason
from sqlinfer.spec.plan import Counts, Plan
from sqlinfer.spec.scorer import ChunkLimits, Watch
from sqlinfer.spec.seconds import Seconds
from sqlinfer.testing.fake_scorer import Doubling, Heard

Load = Callable[[str], None]
SQL = "select id, predict('twice', x) as y from t"
ROWS = "(1, 1.5), (2, 2), (3, 2), (4, null), (5, -3), (6, -3), (7, 7)"
"""Four different inputs, two of them twice; one of those fails."""
EXPECTED = [(1, 3.0), (2, 4.0), (3, 4.0), (4, None), (5, None), (6, None), (7, 14.0)]
CONTRACT = FunctionContract("twice", "d" * 64, (Argument("x", "DOUBLE"),), (Output("value", "DOUBLE"),))


@dataclass
class Seen:
    """What went through the scorer, and what the workspace told."""

    heard: Heard = field(default_factory=lambda: Heard(Path(mkdtemp(prefix="sqlinfer-seen-")) / "inputs"))
    progress: list[tuple[int, int | None]] = field(default_factory=list)
    committing: list[int] = field(default_factory=list)

    @property
    def inputs(self) -> list[float]:
        return self.heard.numbers


class ScoringConformance:
    """Fixtures to provide: ``adapter`` (an Adapter on an empty warehouse) and ``load`` (runs one statement in it)."""

    @pytest.fixture(autouse=True)
    def table(self, load: Load) -> None:
        load("create table t (id integer, x double precision)")
        load(f"insert into t values {ROWS}")

    def plan(self, adapter: Adapter, sql: str = SQL, strategy: Strategy = "store") -> Plan:
        relation = Relation("t", adapter.default.schema, adapter.default.catalog)
        tables = {relation.folded(): Table(relation, adapter.columns((relation,))[relation])}
        functions = {"twice": replace(CONTRACT, strategy=strategy)}
        catalog = Catalog(adapter.dialect, adapter.default, tables, functions, namespace=adapter.namespace)
        output = tuple(Column(name, "DOUBLE") for name in ("id", "y"))
        return compile_query(Source(sql), catalog, node="n", output=output)

    def options(self, plan: Plan, *, remembered: bool = False) -> PinOptions:
        contracts = {"twice": replace(CONTRACT, strategy=plan.calls[0].strategy)}
        return PinOptions(contracts, Identity((("id", "id"),), True), remembered=remembered)

    def run(
        self,
        work: Workspace,
        plan: Plan,
        seen: Seen,
        *,
        stop_at: int | None = None,
        fail_at: int | None = None,
        remembered: bool = False,
    ) -> Counts:
        """``stop_at``, ``fail_at``: cancel after, fail before the commit of that chunk."""
        cancel, counts = threading.Event(), Counts()

        def told(done: int, wanted: int | None, _: object) -> None:
            seen.progress.append((done, wanted))
            if len(seen.progress) == stop_at:
                cancel.set()

        def committing(progress: int) -> None:
            seen.committing.append(progress)
            work.note("scoring", "chunk", {"progress": progress})
            if len(seen.committing) == fail_at:
                raise ZeroDivisionError

        watch = Watch(ChunkLimits(2, read_bytes=1), cancel, Seconds(), committing, told)
        function = PreparedFunction(CONTRACT, Path(), Path(), (), ())
        for one in work.pin(plan, plan.stages, self.options(plan, remembered=remembered)).values():
            for calls in one.groups:
                todo = work.find(one, calls)
                if todo.wanted or calls[0].strategy == "stream":
                    scorer = Doubling(todo.calls, (function,) * len(todo.calls), seen.heard)
                    tallies = work.score(todo, scorer, watch)
                    if calls[0].strategy == "stream":
                        counts = sum((tally.counts for tally in tallies), counts)
                counts = sum(work.look_up(one, calls), counts)
        return counts

    def results(self, work: Workspace, plan: Plan) -> list[tuple[object, ...]]:
        return sorted(work.rows(plan.result.sql))

    def test_every_different_input_is_scored_once_and_every_row_has_its_result(self, adapter: Adapter) -> None:
        seen, plan = Seen(), self.plan(adapter)
        with adapter.workspace("one") as work:
            counts = self.run(work, plan, seen)
            assert self.results(work, plan) == EXPECTED
            assert work.reasons(plan.owner) == (Reason("twice", "runtime", "runtime: negative", 2),)
            assert work.error_classes(plan.owner, "twice") == (("runtime", 2),)
            shown = work.rows(f"select key_columns from {work.error_records(plan.owner).sql(work.dialect)} order by 1")
            assert [str(one[0]).replace(" ", "") for one in shown] == ['{"id":5}', '{"id":6}']
        assert sorted(seen.inputs) == [-3.0, 1.5, 2.0, 7.0]
        assert counts == Counts(inputs=7, scored=0, reused=4, null_inputs=1, errors=2)
        assert seen.progress[-1] == (4, 4)

    def test_the_next_night_scores_what_is_new(self, adapter: Adapter, load: Load) -> None:
        with adapter.workspace("one") as work:
            self.run(work, self.plan(adapter), Seen())
        load("insert into t values (8, 8), (9, 7)")
        seen, plan = Seen(), self.plan(adapter)
        with adapter.workspace("two") as work:
            assert self.run(work, plan, seen).reused == 6
            assert self.results(work, plan)[-2:] == [(8, 16.0), (9, 14.0)]
        assert seen.inputs == [8.0]

    def test_failures_are_remembered_until_they_are_forgotten(self, adapter: Adapter) -> None:
        plan, again, tried = self.plan(adapter), Seen(), Seen()
        with adapter.workspace("one") as work:
            self.run(work, plan, Seen())
            assert self.run(work, plan, again).errors == 2
            assert work.forget_errors(CONTRACT, "image") == 0
            assert work.forget_errors(CONTRACT) == 1
            self.run(work, plan, tried)
        assert (again.inputs, tried.inputs) == ([], [-3.0])

    def test_what_was_committed_is_not_scored_again(self, adapter: Adapter, load: Load) -> None:
        load("insert into t values (11, 11), (12, 12), (13, 13), (14, 14)")
        first, second, plan = Seen(), Seen(), self.plan(adapter)
        with adapter.workspace("one") as work, pytest.raises(Cancelled):
            self.run(work, plan, first, stop_at=1)
        done = first.progress[0][0]
        with adapter.workspace("two") as work:
            self.run(work, plan, second)
            assert self.results(work, plan)[: len(EXPECTED)] == EXPECTED
        assert len(second.inputs) == 8 - done
        assert second.committing[-1] == 8, "progress goes on where the last run ended"

    def test_a_chunk_and_what_is_noted_with_it_are_committed_together_or_not_at_all(self, adapter: Adapter) -> None:
        plan = self.plan(adapter)
        with adapter.workspace("one") as work:
            with pytest.raises(ZeroDivisionError):
                self.run(work, plan, Seen(), fail_at=1)
            assert work.notes("scoring") == {}
        seen = Seen()
        with adapter.workspace("two") as work:
            self.run(work, plan, seen)
            assert work.notes("scoring") == {"chunk": {"progress": 4}}
        assert len(seen.inputs) == 4

    def test_an_input_without_a_result_is_never_a_null(self, adapter: Adapter) -> None:
        plan = self.plan(adapter)
        with adapter.workspace("one") as work:
            (pinned,) = work.pin(plan, plan.stages, self.options(plan)).values()
            (calls,) = pinned.groups
            assert work.find(pinned, calls).wanted == work.unscored(pinned, calls) == 4
            with pytest.raises(RunError, match="no result in the store"):
                work.look_up(pinned, calls)

    def test_a_stream_scores_every_row(self, adapter: Adapter) -> None:
        seen, plan = Seen(), self.plan(adapter, strategy="stream")
        with adapter.workspace("one") as work:
            counts = self.run(work, plan, seen)
            assert self.results(work, plan) == EXPECTED
            assert work.error_classes(plan.owner, "twice") == (("runtime", 2),)
        assert sorted(seen.inputs) == [-3.0, -3.0, 1.5, 2.0, 2.0, 7.0]
        assert counts == Counts(inputs=7, scored=4, reused=0, null_inputs=1, errors=2)

    @pytest.mark.parametrize("strategy", ["store", "stream"])
    def test_two_calls_stand_in_their_rows(self, adapter: Adapter, strategy: Strategy) -> None:
        sql = "select id, predict('twice', x) + predict('twice', x + 1) as y from t where id in (1, 7)"
        seen, plan = Seen(), self.plan(adapter, sql, strategy)
        with adapter.workspace("one") as work:
            self.run(work, plan, seen)
            assert self.results(work, plan) == [(1, 8.0), (7, 30.0)]
        assert sorted(seen.inputs) == [1.5, 2.5, 7.0, 8.0]

    def test_rows_stand_still_when_they_are_pinned(self, adapter: Adapter, load: Load) -> None:
        plan = self.plan(adapter)
        with adapter.workspace("one") as work:
            (pinned,) = work.pin(plan, plan.stages, self.options(plan)).values()
            load("delete from t")
            assert work.find(pinned, pinned.groups[0]).wanted == 4

    def test_a_scratch_workspace_reads_what_is_remembered_and_leaves_nothing(self, adapter: Adapter) -> None:
        plan, seen, again = self.plan(adapter), Seen(), Seen()
        with adapter.workspace("one") as work:
            self.run(work, plan, Seen())
        with adapter.scratch() as work, work.warehouse():
            self.run(work, plan, seen, remembered=True)
            assert self.results(work, plan) == EXPECTED
        assert seen.inputs == []
        with adapter.scratch() as work, work.warehouse():
            self.run(work, plan, again)
        assert sorted(again.inputs) == [-3.0, 1.5, 2.0, 7.0], again.inputs

    def test_a_forecast_counts_and_scores_nothing(self, adapter: Adapter) -> None:
        plan = self.plan(adapter)
        with adapter.workspace("one") as work:
            self.run(work, self.plan(adapter, f"{SQL} where x < 5"), Seen())
        with adapter.scratch() as work, work.warehouse():
            (pinned,) = work.pin(plan, plan.stages, PinOptions()).values()
            found = work.forecast(pinned, plan.calls[0])
        assert (found.inputs, found.distinct, found.known, found.null_inputs, found.errors) == (7, 4, 3, 1, 0)
