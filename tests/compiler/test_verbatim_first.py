"""What is kept as written is written so, whatever of sqlglot was used before the compiler was imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import sqlglot
sqlglot.transpile("select 1", read={dialect!r}, write={dialect!r})
from sqlglot import exp
from sqlinfer.compiler.parse.verbatim import Verbatim
print(exp.select("a").from_(exp.Table(this=Verbatim(this="range(1_0)"))).sql(dialect={dialect!r}))
"""


@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "spark"])
def test_a_dialect_that_has_written_already_writes_pieces_as_they_are(dialect: str) -> None:
    command = [sys.executable, "-c", ASK.format(dialect=dialect)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["SELECT", "a", "FROM", "range(1_0)"]
