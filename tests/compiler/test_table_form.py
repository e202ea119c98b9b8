"""``from predict('f', input)``: what the input may be, and errors at their place."""

from __future__ import annotations

import pytest
from harness import world
from sqlglot import exp

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.compile import compile_query
from sqlinfer.compiler.parse.parse import parse
from sqlinfer.errors import CallError, UnknownFunction


@pytest.mark.parametrize("dialect", ["bigquery", "duckdb", "postgres", "spark"])
@pytest.mark.parametrize("rows", ["TABLE s.t", "(select 1 as x)"])
def test_bigquerys_spelling_parses_in_every_dialect(dialect: str, rows: str) -> None:
    query = parse(Source(f"select * from ML.PREDICT(MODEL f, {rows}) as q"), dialect)
    found = query.find(exp.Predict)
    assert found is not None
    assert found.this.name == "f"
    assert found.expression.name == ("t" if "s.t" in rows else "")


@pytest.mark.parametrize("dialect", ["bigquery", "duckdb", "postgres"])
def test_a_column_named_model_is_a_column(dialect: str) -> None:
    call = parse(Source("select predict('f', model, (model)) from t"), dialect).find(exp.Anonymous)
    assert call is not None
    assert len(call.expressions) == 3


@pytest.mark.parametrize(
    ("sql", "error", "message", "column"),
    [
        ("select * from predict('f')", CallError, "takes a function and its input, nothing else", 15),
        ("select * from predict('f', t, u)", CallError, "takes a function and its input, nothing else", 15),
        ("select * from ML.PREDICT(MODEL f, TABLE t, struct_pack(a := 1))", CallError, "nothing else", 15),
        ("select * from predict('f', 3)", CallError, "a subquery or a table", 28),
        ("select * from predict('ff', t)", UnknownFunction, "unknown function 'ff'", 15),
        ("select * from ML.PREDICT(MODEL ff, TABLE t)", UnknownFunction, "unknown function 'ff'", 32),
    ],
)
def test_a_wrong_call_is_refused_at_its_place(sql: str, error: type[CallError], message: str, column: int) -> None:
    with pytest.raises(error, match=message) as caught:
        compile_query(Source(sql), world().catalog("store"), node="n")
    assert caught.value.location is not None
    assert caught.value.location.column == column
