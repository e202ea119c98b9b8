from __future__ import annotations

import shutil
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "example_project"


@pytest.fixture
def churn(tmp_path: Path) -> Path:
    """A copy of the example that a test may work in."""
    target = tmp_path / "churn"
    shutil.copytree(EXAMPLE, target, ignore=shutil.ignore_patterns("target", "__pycache__", "logs"))
    return target
