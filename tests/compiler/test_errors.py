"""Queries that cannot be planned are refused with the place."""

from __future__ import annotations

import subprocess
import sys

import pytest
from harness import world

from sqlinfer.errors import CallError, ColumnError, CompileError, ParseError, UnknownFunction, UnsupportedQuery
from sqlinfer.testing.patience import patience

REFUSED: dict[str, tuple[type[CompileError], str, str]] = {
    # query: (error, words of the message, the underlined text)
    "select list_transform(l, lambda e: f(e)) from t": (UnsupportedQuery, "lambda", "f(e)"),
    "select list_transform(l, lambda e: g(x, e) + f(x)) from t": (UnsupportedQuery, "lambda", "g(x, e)"),
    "select * from read_csv(lab('a'))": (UnsupportedQuery, "table function", "lab('a')"),
    "select [f(e) for e in l] from t": (UnsupportedQuery, "comprehension", "f(e)"),
    "with recursive r as (select 1.0 as n union all select f(n) from r where n < 5) select n from r": (
        UnsupportedQuery, "recursive", "f(n)"),
    "select id, f(nope) from t": (ColumnError, "unknown column 'nope'", "nope"),
    "select id, f(t.nope) from t": (ColumnError, "unknown column 'nope'", "nope"),
    "select f(k) from t join u on t.id = u.uid": (ColumnError, "'k' is ambiguous", "k"),
    "select predict('churn', x) from t": (UnknownFunction, "churn", "predict('churn', x)"),
    "select predict('f', x, y) from t": (CallError, "takes 1 argument, 2 given", "predict('f', x, y)"),
    "select predict('g', x) from t": (CallError, "takes 2 arguments, 1 given", "predict('g', x)"),
    "select predict('f', z => x) from t": (CallError, "no argument 'z'", "predict('f', z => x)"),
    "select predict('f', x, x => y) from t": (CallError, "given twice", "predict('f', x, x => y)"),
    "select predict(x, y) from t": (UnknownFunction, "unknown function 'x'", "predict(x, y)"),
    "select predict() from t": (CallError, "needs the name", "predict()"),
    "select f(l) from t": (CallError, "never fits|is double", "f(l)"),
    "select f(d) from t": (CallError, "is double", "f(d)"),
    "select id, f(columns(*)) from t": (UnsupportedQuery, "COLUMNS", "columns(*)"),
    "select f(x from t": (ParseError, "does not parse", ""),
    "select g, (select max(f(u.z + max(t.k))) from u) from t group by g": (
        UnsupportedQuery, "correlated", "f(u.z + max(t.k))"),
    "select t.id from t asof join u on t.k = u.k and f(t.id) >= u.uid": (UnsupportedQuery, "ASOF", "f(t.id)"),
}  # fmt: skip


@pytest.mark.parametrize("sql", REFUSED)
def test_a_query_that_cannot_be_planned_is_refused_with_its_place(sql: str) -> None:
    import re

    from sqlinfer.compiler.calls.canonical import Source
    from sqlinfer.compiler.compile import compile_query

    kind, words, underlined = REFUSED[sql]
    with pytest.raises(CompileError) as caught:
        compile_query(Source(sql), world().catalog("store"), node="n")
    error = caught.value
    assert isinstance(error, kind), error
    assert re.search(words, error.message), error.message
    if underlined:
        place = error.location
        assert place is not None
        assert place.text is not None
        assert place.column is not None
        assert place.text[place.column - 1 : place.column - 1 + place.length] == underlined


CHILD = """
import sys
sys.path.insert(0, {tests!r})
from harness import world
from sqlinfer.errors import CompileError
sql = {sql}
try:
    plan = world().compile(sql)
    outcome = "compiled"
except CompileError as error:
    outcome = "refused: " + error.message
except Exception as error:  # duckdb's own refusal while the columns are described
    outcome = "refused: " + type(error).__name__
print(outcome, flush=True)
import os
os._exit(0)
"""
DEEP = {
    "parentheses": "'select f(' + '(' * 20000 + 'x' + ')' * 20000 + ') from t'",
    "subqueries": "'select f(x) from ' + '(select * from ' * 20000 + 't' + ')' * 20000",
    "calls": "'select ' + 'f(' * 20000 + 'x' + ')' * 20000 + ' from t'",
    "case": "'select ' + 'case when b then ' * 20000 + 'f(x)' + ' end' * 20000 + ' from t'",
    "not": "'select id from t where ' + 'not ' * 20000 + 'f(x) > 1'",
    "minus": "'select ' + '- ' * 20000 + 'f(x) from t'",
    "or": "'select id from t where f(x) > 1 ' + ' '.join(f'or id = {i}' for i in range(1000))",
    "and": "'select id from t where f(x) > 1 ' + ' '.join(f'and id <> {i}' for i in range(1000))",
    "plus": "'select f(x) ' + '+ id ' * 1000 + ' from t'",
    "concat": """'select lab(s) ' + "|| 'a' " * 1000 + ' from t'""",
    "union": "' union all '.join(['select f(x) from t'] * 300)",
}


@pytest.mark.parametrize("what", DEEP)
@pytest.mark.thorough("and", "union")
def test_deep_sql_never_crashes_the_process(what: str) -> None:
    from pathlib import Path

    child = CHILD.format(tests=str(Path(__file__).parent), sql=DEEP[what])
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, timeout=patience(120))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith(("compiled", "refused")), done.stdout
    if "20000" in DEEP[what]:
        assert done.stdout.startswith("refused")
