"""Spark's way from a plan to scored relations, on two executor threads of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from sqlinfer.adapters.spark import find
from sqlinfer.testing.scoring_conformance import ScoringConformance


class TestScoring(ScoringConformance):
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Few rows make several slices."""
        monkeypatch.setattr(find, "FILE_ROWS", 2)
