"""sqlglot's compiled form, which other packages bring into an environment, stands beside sqlinfer."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

CODE = """import {first}, sqlinfer
from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.parse.parse import parse
print(parse(Source("select predict('f', x) from t"), "duckdb").sql())
"""


@pytest.mark.parametrize(("first", "works"), [("sqlinfer", True), ("sqlglot.parser", False)])
def test_sqlglotc_may_be_installed(first: str, works: bool) -> None:
    assert version("sqlglotc") == version("sqlglot")
    done = subprocess.run([sys.executable, "-c", CODE.format(first=first)], capture_output=True, text=True)
    assert (done.returncode == 0) is works, done.stderr
    assert works or "hint: import sqlinfer before sqlglot, or uninstall sqlglotc" in done.stderr
