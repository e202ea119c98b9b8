"""What is kept between scoring and publishing, and whole nights: a part of ``AdapterConformance``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from sqlinfer.adapters.base import Adapter, Pinned, PinOptions, Todo, Workspace
from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.compile import compile_query, without_predictions
from sqlinfer.project import Node, NodeConfig
from sqlinfer.relation import Relation, side_name
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.node import run_node
from sqlinfer.runner.scorer import FunctionScorer
from sqlinfer.spec.catalog import Catalog, Table
from sqlinfer.spec.error_policy import ErrorPolicy
from sqlinfer.spec.function import PreparedFunction, Strategy
from sqlinfer.spec.plan import Call, Counts, Plan
from sqlinfer.spec.results import NodeResult
from sqlinfer.spec.scorer import ChunkLimits, Tally, Watch
from sqlinfer.spec.seconds import Seconds
from sqlinfer.testing.fake_session import FAILED, DoublingSession, twice

Load = Callable[[str], None]
"""Runs one statement in the warehouse by other means than the adapter."""
ID = "model.shop.scores"
INPUTS = (
    "create table inputs as select k, cast(x as double precision) as x "
    "from (values (1, 1.5), (2, 2.5), (3, 1.5), (4, null), (5, -1.0)) as v(k, x)"
)
QUERY = "select k, predict('twice', x) as y from inputs"
SCORED = [(1, 3.0), (2, 5.0), (3, 3.0), (4, None), (5, None)]


@dataclass(slots=True)
class Scoring:
    """One run over a compiled query, verb by verb."""

    work: Workspace
    plan: Plan
    function: PreparedFunction
    session: DoublingSession = field(default_factory=DoublingSession)

    @property
    def options(self) -> PinOptions:
        return PinOptions({"twice": self.function.contract})

    @property
    def calls(self) -> tuple[Call, ...]:
        return self.plan.calls

    def pinned(self) -> Pinned:
        return self.work.pin(self.plan, self.plan.early, self.options)[self.plan.stages[0].name]

    def score(self, todo: Todo, watch: Watch | None = None) -> tuple[Tally, ...]:
        many = len(todo.calls)
        scorer = FunctionScorer(todo.calls, (self.function,) * many, (ErrorPolicy(1.0),) * many, self.session.opened)
        return self.work.score(todo, scorer, watch or watching())

    def score_all(self) -> tuple[Counts, ...]:
        """What looking up counts after everything was scored."""
        pinned = self.pinned()
        todo = self.work.find(pinned, self.calls)
        if todo.wanted != 0:
            self.score(todo)
        return self.work.look_up(pinned, self.calls)

    def result(self) -> list[tuple[Any, ...]]:
        return sorted(self.work.rows(self.plan.result.sql))


def watching(rows: int = 1000, **more: Any) -> Watch:
    return Watch(ChunkLimits(rows), more.pop("cancel", threading.Event()), Seconds(), **more)


class KeepingConformance:
    def compiled(self, adapter: Adapter, sql: str, function: PreparedFunction) -> Plan:
        """As a run compiles it."""
        tables: Mapping[Relation, Table] = {
            table.relation.folded(): replace(table, columns=adapter.columns((table.relation,))[table.relation])
            for table in adapter.list_relations()
        }
        functions = {"twice": function.contract}
        catalog = Catalog(adapter.dialect, adapter.default, tables, functions, namespace=adapter.namespace)
        output = adapter.describe(without_predictions(Source(sql), catalog))
        plan = compile_query(Source(sql), catalog, node="scores", output=output, side=side_name(ID))
        return replace(plan, unique_id=ID)

    @contextmanager
    def scoring(
        self, adapter: Adapter, strategy: Strategy = "store", sql: str = QUERY, run_id: str = "r"
    ) -> Iterator[Scoring]:
        function = twice(strategy)
        plan = self.compiled(adapter, sql, function)
        with adapter.workspace(run_id) as work:
            work.clear(plan.owner)
            try:
                yield Scoring(work, plan, function)
            finally:
                work.release()

    def night(self, adapter: Adapter, run_id: str, sql: str = QUERY, **config: Any) -> NodeResult:
        function = twice()
        plan, target = self.compiled(adapter, sql, function), replace(adapter.default, name="scores")
        settings = NodeConfig(materialized=config.pop("materialized", "table"), max_error_rate=1.0, **config)
        node = Node(ID, "scores", "model", Path("scores.sql"), sql, target, settings)
        with adapter.workspace(run_id) as work:
            env = RunEnvironment(work, run_id, {"twice": function}, DoublingSession().opened)
            return run_node(plan, node, env)

    @pytest.mark.parametrize("again", [False, True])
    def test_a_result_is_held_until_it_is_published(self, adapter: Adapter, load: Load, again: bool) -> None:
        load(INPUTS)
        with self.scoring(adapter) as run:
            run.score_all()
            held = run.work.hold(run.plan, run.plan.result.sql, again=again, tested=False)
            assert sorted(run.work.rows(held.relation.query(run.work.dialect))) == SCORED
            kept = run.work.keep(held)
            assert kept.lasts
        with adapter.workspace("later") as work:
            assert sorted(work.rows(kept.relation.query(work.dialect))) == SCORED
            work.clear(run.plan.owner)
            assert not work.has(kept.relation)

    def test_keys_that_no_row_has_go(self, adapter: Adapter, load: Load) -> None:
        load(INPUTS)
        wanted: list[int | None] = []
        for statement in ("delete from inputs where k = 2", "insert into inputs values (2, 2.5)", "select 1"):
            with self.scoring(adapter, run_id=f"r{len(wanted)}") as run:
                wanted.append(run.work.find(run.pinned(), run.calls).wanted)
                run.score_all()
                run.work.compact(run.plan, is_slice=False)
                run.work.clear(run.plan.owner)
            load(statement)
        assert wanted == [3, 0, 1]

    def test_a_slice_says_nothing_of_other_keys(self, adapter: Adapter, load: Load) -> None:
        load(INPUTS)
        wanted: list[int | None] = []
        for sql in (QUERY, f"{QUERY} where k = 1", QUERY):
            with self.scoring(adapter, sql=sql, run_id=f"r{len(wanted)}") as run:
                wanted.append(run.work.find(run.pinned(), run.calls).wanted)
                run.score_all()
                run.work.compact(run.plan, is_slice="where" in sql)
        assert wanted == [3, 0, 0]

    def test_a_night_publishes_the_table_and_its_records(self, adapter: Adapter, load: Load) -> None:
        load(INPUTS)
        for run_id, scored in (("first", 2), ("second", 0)):
            result = self.night(adapter, run_id)
            assert result.error is None
            assert (result.rows, result.counts.scored, result.counts.errors) == (5, scored, 1)
            assert self.published(adapter, "select k, y from scores") == SCORED
        runs = "select run_id, rows, inputs, errors, status from sqlinfer_runs"
        assert self.published(adapter, runs) == [("first", 5, 5, 1, "success"), ("second", 5, 5, 1, "success")]
        records = "select function, error_class, message, run_id, unique_id from sqlinfer_errors"
        assert self.published(adapter, records) == [("twice", "runtime", FAILED, "second", ID)]

    def test_error_records_stay_as_long_as_their_rows(self, adapter: Adapter, load: Load) -> None:
        load(INPUTS)
        config: dict[str, Any] = {"materialized": "incremental", "unique_key": ("k",), "on_missing": "keep"}
        assert self.night(adapter, "first", **config).error is None
        load("delete from inputs where k = 5")
        assert self.night(adapter, "second", **config).error is None
        assert self.published(adapter, "select run_id from sqlinfer_errors") == [("first",)]
        load("insert into inputs values (5, 4.0)")
        assert self.night(adapter, "third", **config).error is None
        assert self.published(adapter, "select run_id from sqlinfer_errors") == []
        assert self.published(adapter, "select k, y from scores") == [*SCORED[:4], (5, 8.0)]

    def published(self, adapter: Adapter, sql: str) -> list[tuple[Any, ...]]:
        return sorted(tuple(row.values()) for row in adapter.query(sql).to_pylist())
