"""How many inputs may fail: each call by its own policy, in every strategy."""

from __future__ import annotations

import pytest
from onnx import helper

from sqlinfer.spec.error_policy import ErrorPolicy
from sqlinfer.testing import onnx_builder as onnx

FUNCTIONS = """functions:
  - name: strict
    model: {{path: f.onnx}}
    arguments: [{{name: x, data_type: double}}]
    returns: {{data_type: double}}
    config: {{max_error_rate: {strict}, reuse: {reuse}}}
  - name: lenient
    model: {{path: f.onnx}}
    arguments: [{{name: x, data_type: double}}]
    returns: {{data_type: double}}
    config: {{max_error_rate: 1, reuse: {reuse}, batch_size: 64}}
"""


def fails_from(shop, least: int) -> None:
    """f(x) = x, and a failure of the whole run where an x is ``least`` or more."""
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=7),
        helper.make_node("Gather", ["table", "i"], ["y"]),
    ]
    table = onnx.constant("table", [float(i) for i in range(least)], "double")
    graph = onnx.build(nodes, [onnx.value("x", "double", ["N"])], [onnx.value("y", "double", ["N"])], [table])
    (shop.root / "functions/f.onnx").write_bytes(graph)


def declare(shop, reuse: str, strict: float = 0) -> None:
    shop.put("functions/f.yml", FUNCTIONS.format(reuse=reuse, strict=strict))


@pytest.mark.parametrize(
    ("rate", "inputs", "errors", "accepted"),
    [
        (0.01, 1000, 10, True), (0.01, 1000, 11, False), (0.01, 100, 10, True), (0.01, 100, 11, False),
        (0.01, 10, 6, False), (0, 1_000_000, 1, False), (0, 10, 0, True), (1, 10, 10, True), (0.5, 10, 5, True),
        (0.01, 0, 0, True),
    ],
)  # fmt: skip
def test_a_call_is_accepted_by_its_rate_and_few_errors_are_no_bad_night(rate, inputs, errors, accepted) -> None:
    assert ErrorPolicy(rate).accepts(inputs, errors) is accepted


@pytest.mark.parametrize("total", [20, 1000, 100_000])
@pytest.mark.parametrize("rate", [0, 0.01, 0.3, 1])
def test_what_is_given_up_for_the_number_of_errors_would_not_have_been_accepted(rate, total) -> None:
    policy = ErrorPolicy(rate)
    given_up = next((errors for errors in range(min(total, 999)) if policy.gives_up(total, errors, total)), None)
    assert given_up is None or not policy.accepts(total, given_up)


def test_calls_that_are_scored_together_may_have_a_few_errors_each() -> None:
    assert ErrorPolicy(0.01).gives_up(30, 11, 200)
    assert not ErrorPolicy(0.01).together(10).gives_up(30, 30, 200)


def test_a_cluster_of_bad_rows_is_no_broken_function() -> None:
    assert not ErrorPolicy(0.01).gives_up(900, 900, 1_000_000)
    assert not ErrorPolicy(0.01).gives_up(2000, 1500, 1_000_000)
    assert ErrorPolicy(0.01).gives_up(1000, 1000, 1_000_000)
    assert ErrorPolicy(0.01).gives_up(1000, 1000, None)


@pytest.mark.parametrize("reuse", ["true", "false"])
@pytest.mark.parametrize(
    ("sql", "published"),
    [
        ("select id, lenient(x) as p from t", True),
        ("select id, strict(x) as p from t", False),
        ("select id, lenient(x) as p, strict(x) as q from t", False),
        ("select id, lenient(x) as p, case when id < 9 then strict(x) end as q from t", True),
        ("select id, lenient(x) as p, strict(x / 2) as q from t", True),
        ("{{ config(max_error_rate=0.2) }} select id, strict(x) as p, lenient(x) as q from t", True),
    ],
)
def test_the_strictest_function_decides_for_its_own_calls(shop, reuse: str, sql: str, published: bool) -> None:
    fails_from(shop, 9)
    declare(shop, reuse)
    shop.db("create or replace table t as select i as id, i::double as x from range(10) r(i)")
    shop.model(sql)
    code, out = shop("run")
    assert (code == 0) is published, out
    if not published:
        assert "max_error_rate" in out


@pytest.mark.parametrize("reuse", ["true", "false"])
def test_a_value_that_fits_no_type_counts_for_the_function_that_got_it(shop, reuse: str) -> None:
    fails_from(shop, 9)
    declare(shop, reuse)
    shop.db("create or replace table t as select i as id, if(i = 3, 'three', i::varchar) as x from range(9) r(i)")
    shop.model("select id, lenient(x) as p, strict(id) as q from t")
    assert shop("run")[0] == 0
    shop.model("select id, strict(x) as p, lenient(id) as q from t")
    code, out = shop("run")
    assert code == 1
    assert "1 of 9 inputs of strict failed (1 cast_error), more than max_error_rate 0" in out


@pytest.mark.parametrize(("reuse", "large"), [("true", ""), ("true", "1000"), ("false", ""), ("false", "1000")])
def test_a_function_that_fails_nearly_always_is_given_up_early(shop, monkeypatch, reuse: str, large: str) -> None:
    if large:  # staged by key, or read straight into the session
        monkeypatch.setenv("SQLINFER_LARGE_ROWS", large)
    fails_from(shop, 1)
    declare(shop, reuse, strict=0.3)
    shop.db("create or replace table t as select i as id, 5.0 + i as x from range(20_000) r(i)")
    shop.model("select id, strict(x) as p from t")
    code, out = shop("run")
    assert code == 1
    assert "rows failed, more than max_error_rate allows (0.3)" in out
    assert int(out.split(" rows failed")[0].split()[-1]) < 2000
    assert not shop.db("select 1 from duckdb_tables() where table_name = 'm'")
