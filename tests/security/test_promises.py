"""The page on security names a test for each of its parts, and each of them exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text()
TABLE = PAGE.partition("| promise | test |")[2]


def test_each_promise_names_tests_that_exist() -> None:
    rows = [line for line in TABLE.splitlines() if line.startswith("|") and "---" not in line]
    assert len(rows) > 15
    for row in rows:
        named = re.findall(r"`(tests/[^`]+)`", row)
        assert named, row
        for name in named:
            assert "def test_" in (ROOT / name).read_text(), name


def test_each_file_of_attacks_is_named() -> None:
    for folder in ("attack", "security"):
        for path in (ROOT / "tests" / folder).glob("test_*.py"):
            assert path.name in TABLE or path.name == Path(__file__).name, path.name
