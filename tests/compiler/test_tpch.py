"""The 22 queries of TPC-H with identity models around columns give what the same queries give without them.

In ``tpch/queries.sql`` ``@column`` stands for ``predict('identity', column)`` and ``#column`` for
``predict('identity_text', column)``. The tables are tiny, generated, with the keys related as in the benchmark.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from sqlinfer.spec.function import Argument, FunctionContract, Output
from sqlinfer.testing.differential import PythonFunction, World, compare

FOLDER = Path(__file__).parent / "tpch"
QUERIES = [q.strip() for q in re.split(r";\s*\n", (FOLDER / "queries.sql").read_text(encoding="utf-8")) if q.strip()]


def identity(name: str, data_type: str) -> PythonFunction:
    contract = FunctionContract(
        name, name.ljust(64, "0"), (Argument("value", data_type),), (Output("value", data_type),), cost_per_row=1.0
    )
    return PythonFunction(contract, lambda value: value)


@cache
def world() -> World:
    setup = (FOLDER / "tables.sql").read_text(encoding="utf-8")
    return World(setup, [identity("identity", "DOUBLE"), identity("identity_text", "TEXT")])


def spelled(query: str, number: str, text: str) -> str:
    """``@`` and ``#`` replaced, outside strings."""
    pattern = r"('[^']*')|([@#])([a-z]\w*(?:\.\w+)?)"

    def one(match: re.Match[str]) -> str:
        if match[1]:
            return match[1]
        return (number if match[2] == "@" else text).format(match[3])

    return re.sub(pattern, one, query)


@pytest.mark.parametrize("strategy", ["store", "stream"])
@pytest.mark.parametrize("number", range(1, 23))
def test_identity_models_change_no_result(number: int, strategy: str) -> None:
    query = QUERIES[number - 1]
    expected = world().expected(spelled(query, "{0}::double", "{0}"))
    outcome = world().run(
        spelled(query, "predict('identity', {0})", "predict('identity_text', {0})"),
        strategy,  # type: ignore[arg-type]
    )
    assert compare(outcome, expected, ordered="order by" in query) is None
    assert expected.rows
    assert any(value is not None for row in expected.rows for value in row)
