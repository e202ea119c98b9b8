"""The yml of docs/functions.md is read as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sqlinfer.project.functions import read_functions
from sqlinfer.project.jinja import Engine

PAGE = Path(__file__).parents[2] / "docs" / "functions.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_documented_yml_declares_functions(tmp_path: Path, block: str) -> None:
    (tmp_path / "f.yml").write_text(block)
    found = read_functions(tmp_path / "f.yml", Engine(), {}, "duckdb")
    assert [f.name for f in found] == re.findall(r"- name: (\w+)\n", block)
    for function in found:
        assert {argument.name for argument in function.arguments} >= {
            name
            for name in (
                *((function.tokenizer.argument, function.tokenizer.pair) if function.tokenizer else ()),
                *((function.image.argument,) if function.image else ()),
            )
            if name is not None
        }
