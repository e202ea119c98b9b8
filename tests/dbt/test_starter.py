"""The starter of ``sqlinfer dbt init``: its function fits the columns of the model, whatever they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from sqlinfer.dbt.starter import Subject, formula, function_yml, node_sql
from sqlinfer.project.yamlfile import parse_yaml
from sqlinfer.spec.catalog import Column


def subject(unique: str | None = None, **types: str) -> Subject:
    return Subject("m", Path("models"), tuple(Column(name, kind) for name, kind in types.items()), unique)


@pytest.mark.parametrize(
    ("found", "arguments"),
    [
        (subject(customer_id="BIGINT", name="TEXT", spent="DECIMAL(9,2)", orders="UINTEGER", more="REAL", x="INTEGER"),
         {"spent": ("double", "spent"), "orders": ("bigint", "orders"), "more": ("double", "more")}),
        (subject(id="BIGINT", order="BIGINT"), {"order_value": ("bigint", '"order"')}),
        (subject(id="BIGINT", big="HUGEINT"), {"big": ("double", "big")}),
        (subject(customer_id="BIGINT", name="VARCHAR"), {"length": ("bigint", "length(cast(customer_id as varchar))")}),
        (subject(**{"a name": "VARCHAR"}), {"length": ("bigint", 'length(cast("a name" as varchar))')}),
        (subject(unique="n", n="BIGINT", m="BIGINT"), {"m": ("bigint", "m")}),
    ],
)  # fmt: skip
def test_arguments_are_the_first_numbers_that_are_no_key(found: Subject, arguments: dict[str, tuple[str, str]]) -> None:
    assert found.arguments == arguments
    declared = parse_yaml(function_yml(found, "m_score")).data["functions"][0]
    assert [one["name"] for one in declared["arguments"]] == list(arguments)
    assert declared["config"] == {"reuse": True}


def test_the_node_calls_the_function_with_the_columns() -> None:
    sql = node_sql(subject(customer_id="BIGINT", orders="BIGINT"), "m_score")
    assert "config(materialized='prediction')" in sql
    assert "select customer_id," in sql
    assert "sqlinfer.predict('m_score', orders='orders') }} as m_score" in sql


@pytest.mark.parametrize("width", [1, 3])
def test_the_formula_tells_rows_apart_at_any_scale(width: int) -> None:
    session = onnxruntime.InferenceSession(formula(width), providers=["CPUExecutionProvider"])
    rows = np.array([[0.0] * width, [1.0] * width, [1e6] * width, [2e6] * width, [-5.0] * width])
    (scores,) = session.run(None, {"features": rows})
    assert scores.shape == (5,)
    assert len(set(scores.tolist())) == 5
