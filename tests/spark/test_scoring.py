"""Spark's way from a plan to scored relations, on two executor threads of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sqlinfer.adapters.base import Adapter
from sqlinfer.adapters.spark import beside, pinned
from sqlinfer.adapters.spark.workspace import SparkWorkspace
from sqlinfer.testing.scoring_conformance import EXPECTED, Load, ScoringConformance, Seen


class TestScoring(ScoringConformance):
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Few rows make several slices."""
        monkeypatch.setattr(pinned, "FILE_ROWS", 2)

    def test_rows_are_put_beside_a_store_that_knows_most_of_them_once(
        self, adapter: Adapter, load: Load, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with adapter.workspace("one") as work:
            self.run(work, self.plan(adapter), Seen())
        load("insert into t values (8, 8), (9, 8)")
        looked = list[bool]()
        look_up = beside._looked_up

        def watched(*args: Any, new: bool = False, more: Sequence[str] = ()) -> beside.Beside:
            looked.append(new)
            return look_up(*args, new=new, more=more)

        monkeypatch.setattr(beside, "_looked_up", watched)
        seen, plan = Seen(), self.plan(adapter)
        with adapter.workspace("two") as work:
            counts = self.run(work, plan, seen)
            assert self.results(work, plan) == [*EXPECTED, (8, 16.0), (9, 16.0)]
            assert work.error_classes(plan.owner, "twice") == (("runtime", 2),)
        assert looked == [False, True], "rows with new inputs alone go beside what was scored"
        assert seen.inputs == [8.0]
        assert (counts.inputs, counts.reused, counts.null_inputs, counts.errors) == (9, 6, 1, 2)
        with adapter.workspace("three") as work:
            assert self.run(work, plan, Seen()).reused == 6
            assert self.results(work, plan) == [*EXPECTED, (8, 16.0), (9, 16.0)]
        assert looked == [False, True, False]

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
