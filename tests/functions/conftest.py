"""One temporary folder in which functions are declared and prepared."""

from __future__ import annotations

from pathlib import Path

import pytest

from sqlinfer.testing.workshop import Workshop


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)
