from __future__ import annotations

import pytest
from kit import Night, node, plan, prepared

from sqlinfer.project import DataTest
from sqlinfer.relation import Relation
from sqlinfer.runner.audit_tables import run_tests
from sqlinfer.runner.node import run_node
from sqlinfer.spec.results import NodeResult

TABLE = Relation("people", "main", "wh")


def check(night: Night, kind: str, column: str | None = None, **more: object) -> NodeResult:
    arguments = more.pop("arguments", {})
    test = DataTest(f"test.{kind}", kind, kind, None, column=column, arguments=arguments, **more)
    with night.environment(relations={"customers": Relation("customers", "main", "wh")}) as env:
        return run_tests(env, [(test, TABLE)])[0]


@pytest.fixture
def people(night: Night) -> Night:
    night.sql(
        "create table people as select * from (values (1, 'a', 0.1), (2, 'b', 0.9), (2, null, 'nan'::double), "
        "(7777, 'c', 2.0)) as v(id, tag, score)"
    )
    return night


@pytest.mark.parametrize(
    ("kind", "column", "arguments", "failures"),
    [
        ("unique", "id", {}, 1),
        ("unique", "tag", {}, 0),
        ("not_null", "tag", {}, 1),
        ("accepted_values", "tag", {"values": ["a", "b"]}, 1),
        ("accepted_range", "score", {"min_value": 0, "max_value": 1}, 2),
        ("accepted_range", "id", {"min_value": 1, "inclusive": False}, 1),
        ("relationships", "id", {"to": "ref('customers')", "field": "id"}, 1),
        ("row_count", None, {"min_value": 5}, 1),
        ("row_count", None, {"min_value": 4, "max_value": 4}, 0),
        ("error_rate", "tag", {"max_rate": 0.1}, 1),
        ("dbt_utils.accepted_range", "score", {"max_value": 5}, 1),
    ],
)
def test_counts_failing_rows(people: Night, kind: str, column: str, arguments: dict, failures: int) -> None:
    result = check(people, kind, column, arguments=arguments)
    assert (result.failures, result.status) == (failures, "fail" if failures else "pass"), result.error


def test_severity_thresholds_and_where_are_those_of_dbt(people: Night) -> None:
    assert check(people, "not_null", "tag", severity="warn").status == "warn"
    assert check(people, "not_null", "tag", error_if="> 5").status == "warn"
    assert check(people, "not_null", "tag", error_if="> 5", warn_if="> 5").status == "pass"
    assert check(people, "not_null", "tag", where="id = 1").status == "pass"


def test_singular_test_and_unknown_kind(people: Night) -> None:
    assert check(people, "singular", sql="select * from people where id > 5").failures == 1
    unknown = check(people, "not_nul", "tag")
    assert unknown.status == "error"
    assert unknown.error is not None
    assert "did you mean 'not_null'" in str(unknown.error)


def test_distribution_shift_stops_a_night_whose_scores_moved(night: Night) -> None:
    test = DataTest("test.psi", "psi", "distribution_shift", "model.p.scores", column="score")
    tested = node(tests=(test,))
    for shifted, status in ((False, "success"), (False, "success"), (True, "error")):
        if shifted:
            night.sql("update customers set raw = (try_cast(raw as double) + 300)::varchar where id > 10")
        with night.environment(prepared()) as env:
            assert run_node(plan(), tested, env).status == status


def test_error_rate_counts_error_records_of_the_staged_rows(night: Night) -> None:
    test = DataTest("test.rate", "rate", "error_rate", "model.p.scores", arguments={"max_rate": 0.001})
    with night.environment(prepared()) as env:
        result = run_node(plan(), node(tests=(test,)), env)
    assert (result.status, result.tests[0].status) == ("error", "fail")


def test_a_test_that_cannot_be_run_has_a_result_beside_the_others_and_keeps_the_node(night: Night) -> None:
    wrong = DataTest("test.wrong", "wrong", "not_null", "model.p.scores", column="score", where="no_such_column > 1")
    right = DataTest("test.right", "right", "not_null", "model.p.scores", column="score", severity="warn")
    with night.environment(prepared()) as env:
        result = run_node(plan(), node(tests=(wrong, right)), env)
    assert result.status == "error"
    assert "no_such_column" in result.message
    assert [(one.unique_id, one.status == "error") for one in result.tests] == [
        ("test.wrong", True), ("test.right", False),
    ]  # fmt: skip
