"""The runner and the jobs hold no SQL: queries come from the plan, from audits and ``adapters.shared``.

What writes is a verb of a workspace.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import sqlinfer

ROOT = Path(sqlinfer.__file__).parent
# A placeholder of an f-string reads as ``?``.
STATEMENT = re.compile(
    r"\bSELECT\b.+\bFROM\b"
    r"|\b(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?(TEMP(ORARY)?\s+)?(TABLE|VIEW|SCHEMA|MACRO|INDEX|FUNCTION|\?)"
    r"|\bINSERT\s+INTO\b|\bDELETE\s+FROM\b|\bMERGE\s+INTO\b|\bUPDATE\s+\S+\s+SET\b"
    r"|\b(ATTACH|DETACH)\s+(IF\b|DATABASE\b|'|\?)|\bWITH\s+\S+\s+AS\s*\(|\bCOPY\s+\S+\s+(FROM|TO)\b",
    re.IGNORECASE | re.DOTALL,
)
OF_ONE_WAREHOUSE = re.compile(
    r"\bsqlinfer_side\b|\bduckdb_\w+\(|\bpg_\w+\(|^(SELECT|FROM)\s(?!\S+ import )", re.IGNORECASE
)
FILES = sorted(str(path.relative_to(ROOT)) for folder in ("runner", "jobs") for path in (ROOT / folder).rglob("*.py"))


@pytest.fixture
def table_size() -> str:
    """No night runs here: once is enough."""
    return "small"


def texts(source: str) -> list[str]:
    """String constants of a file, f-strings as one, docstrings left out."""
    tree = ast.parse(source)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    said = {
        id(node.body[place].value)
        for node in ast.walk(tree)
        for place in range(
            len(getattr(node, "body", None) or ()) if isinstance(getattr(node, "body", None), list) else 0
        )
        if isinstance(node.body[place], ast.Expr)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(str(p.value) if isinstance(p, ast.Constant) else "?" for p in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside | said:
            found.append(node.value)
    return found


def statements(source: str) -> list[str]:
    return [text for text in texts(source) if STATEMENT.search(text) or OF_ONE_WAREHOUSE.search(text)]


@pytest.mark.parametrize("name", FILES)
def test_a_file_holds_no_statement(name: str) -> None:
    assert statements((ROOT / name).read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        'sql = f"SELECT {x} FROM {y}"',
        'sql = ("SELECT count(*) " f"FROM {table}")',
        'sql = f"CREATE OR REPLACE {kind} {name} AS {sql}"',
        'sql = f"DROP TABLE IF EXISTS {name}"',
        'sql = "insert into t values (1)"',
        'sql = f"DELETE FROM {name} WHERE x"',
        'sql = f"UPDATE {name} SET x = 1"',
        'sql = f"ATTACH {path} AS x"',
        'sql = f"WITH a AS ({x}) {y}"',
        'sql = f"from {name}"',
        'sql = "sqlinfer_side.stage.x"',
        'sql = "select 1"',
    ],
)
def test_statements_are_seen(text: str) -> None:
    assert statements(text)


def test_sentences_are_none() -> None:
    assert not statements('"""Select rows FROM here."""\nhint = "drop the view, or select other rows with --select"\n')
