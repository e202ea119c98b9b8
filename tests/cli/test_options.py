from __future__ import annotations

from pathlib import Path

import pytest

from sqlinfer.cli.main import COMMANDS
from sqlinfer.cli.options import find_project, join_selectors


@pytest.mark.parametrize(
    ("given", "joined"),
    [
        (["run", "--select", "a", "b", "-x"], ["run", "--select", "a b", "-x"]),
        (["-s", "a", "run", "-x"], ["-s", "a", "run", "-x"]),
        (["run", "--exclude", "tag:slow", "+b", "-s", "c"], ["run", "--exclude", "tag:slow +b", "-s", "c"]),
        (["run", "-s", "run"], ["run", "-s", "run"]),
        (["run", "--select"], ["run", "--select"]),
        (["run", "--select=a", "b"], ["run", "--select=a", "b"]),
    ],
)
def test_words_after_select_become_one_value(given: list[str], joined: list[str]) -> None:
    assert join_selectors(given, COMMANDS) == joined


def test_project_is_found_from_a_folder_inside_it(tmp_path: Path) -> None:
    (tmp_path / "sqlinfer_project.yml").touch()
    inside = tmp_path / "models" / "marts"
    inside.mkdir(parents=True)
    assert find_project(inside) == tmp_path


def test_without_a_project_the_start_is_kept(tmp_path: Path) -> None:
    assert find_project(tmp_path) == tmp_path
