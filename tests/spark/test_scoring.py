"""Spark's way from a plan to scored relations, on two executor threads of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sqlinfer.adapters.base import Adapter, PinOptions
from sqlinfer.adapters.spark import beside, pinned
from sqlinfer.adapters.spark.workspace import SparkWorkspace
from sqlinfer.errors import RunError
from sqlinfer.spec.plan import Call, Plan
from sqlinfer.testing.scoring_conformance import EXPECTED, Load, ScoringConformance, Seen


class TestScoring(ScoringConformance):
    keyed_rows: int | None = None

    def options(self, plan: Plan, *, remembered: bool = False) -> PinOptions:
        return replace(super().options(plan, remembered=remembered), keyed_rows=self.keyed_rows)

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Few rows make several slices."""
        monkeypatch.setattr(pinned, "FILE_ROWS", 2)

    @pytest.fixture
    def known(self, adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
        """After a night, in a store of so many inputs that rows are not written down to be compared with it."""
        with adapter.workspace("one") as work:
            self.run(work, self.plan(adapter), Seen())
        monkeypatch.setattr(type(self), "keyed_rows", 1)

    @pytest.mark.usefixtures("known")
    def test_rows_whose_inputs_are_mostly_known_are_not_written_down(self, adapter: Adapter, load: Load) -> None:
        load("insert into t values (8, 8), (9, 8)")
        seen, plan = Seen(), self.plan(adapter)
        with adapter.workspace("two") as work:
            counts = self.run(work, plan, seen)
            assert self.results(work, plan) == [*EXPECTED, (8, 16.0), (9, 16.0)]
            assert work.error_classes(plan.owner, "twice") == (("runtime", 2),)
            (stage,) = plan.stages
            written = {column.name for column in work.describe(stage.relation.query(work.dialect))}
            assert not written & set(stage.calls[0].arguments), "arguments of known inputs were written"
        assert seen.inputs == [8.0]
        assert (counts.inputs, counts.reused, counts.null_inputs, counts.errors) == (9, 6, 1, 2)

    @pytest.mark.usefixtures("known")
    def test_a_table_that_changes_between_its_keys_and_its_arguments_fails_the_night(
        self, adapter: Adapter, load: Load, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load("insert into t values (8, 8), (9, 9)")
        keys = beside.lacking_keys

        def changed(compared: pinned.Compared, calls: Sequence[Call]) -> str:
            load("insert overwrite t values (1, 1.5), (8, 8), (9, 99)")
            return keys(compared, calls)

        monkeypatch.setattr(beside, "lacking_keys", changed)
        seen, plan = Seen(), self.plan(adapter)
        with adapter.workspace("two") as work, pytest.raises(RunError, match="was changed while its rows were scored"):
            self.run(work, plan, seen)
        assert seen.inputs == [8.0]

    def test_inputs_that_are_all_different_are_scored_where_they_are(
        self, adapter: Adapter, load: Load, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load("insert overwrite t values (1, 1.5), (4, null), (5, -3), (7, 7), (8, 8)")
        seen, plan = Seen(), self.plan(adapter)
        with adapter.workspace("one") as work:
            assert isinstance(work, SparkWorkspace)
            (stage,) = work.pin(plan, plan.stages, self.options(plan)).values()
            assert work.find(stage, stage.stage.calls).source == stage.source
            self.run(work, plan, seen)
            assert self.results(work, plan) == [(1, 3.0), (4, None), (5, None), (7, 14.0), (8, 16.0)]
        assert sorted(seen.inputs) == [-3.0, 1.5, 7.0, 8.0]
        assert len(seen.progress) > 1, "one slice would lose everything"
