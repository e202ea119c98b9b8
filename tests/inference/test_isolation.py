"""Rows that end the process that scores them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from sqlinfer.errors import InferenceError
from sqlinfer.inference import open_isolated, open_session
from sqlinfer.spec.function import InputBinding, PreparedFunction
from sqlinfer.testing import onnx_builder
from sqlinfer.testing.patience import patience

HOOKS = Path(__file__).parents[1] / "chaos" / "hooks"


@pytest.fixture
def function(prepare) -> PreparedFunction:
    return prepare(
        onnx_builder.identity(output="score"), {"x": "REAL"}, (InputBinding("x", "vector", "float", ("x",)),)
    )


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(HOOKS))
    monkeypatch.setenv("SQLINFER_WORKER_TIMEOUT", str(patience(6)))
    monkeypatch.setenv("SQLINFER_WORKER_MEMORY", str(512 << 20))
    return lambda text: monkeypatch.setenv("SQLINFER_TEST_POISON", text)


def table(rows: int) -> pa.Table:
    return pa.table({"x": pa.array([None if i % 100 == 50 else float(i) for i in range(rows)], pa.float32())})


def test_workers_give_what_a_session_gives(function) -> None:
    data = table(3000)
    with open_session(function, device="cpu") as inside, open_isolated(function, device="cpu", threads=2) as outside:
        assert outside.score_table(data).equals(inside.score_table(data))
        assert outside.quarantined == 0


@pytest.mark.parametrize(
    ("action", "error"), [("segv", "crashed: "), ("kill", "crashed: "), ("hang", "timeout: "), ("memory", "out_of_mem")]
)
@pytest.mark.thorough("hang")
def test_a_poisonous_row_costs_only_itself(function, poison, action: str, error: str) -> None:
    poison(f"301:{action}")
    with open_isolated(function, device="cpu", threads=2) as session:
        result = session.score_table(table(600))
        assert session.quarantined == 1
    errors = result["error"].to_pylist()
    assert [row for row, said in enumerate(errors) if said] == [301]
    assert errors[301].startswith(error)
    assert result["value"].to_pylist() == [None if i % 100 == 50 or i == 301 else float(i) for i in range(600)]


def test_bad_declarations_still_fail_the_whole_pass(function, prepare) -> None:
    broken = prepare(
        onnx_builder.identity(output="score"), {"x": "REAL"}, (InputBinding("x", "vector", "float", ("x",)),),
        on_invalid="error",
    )  # fmt: skip
    with open_isolated(broken, device="cpu", threads=1) as session, pytest.raises(InferenceError, match="NaN"):
        session.score_table(pa.table({"x": pa.array([1.0, float("nan")], pa.float32())}))


def test_a_function_that_does_not_load_says_so(function) -> None:
    function.graph.write_bytes(b"no graph")
    with open_isolated(function, device="cpu", threads=1) as session, pytest.raises(InferenceError, match=r"f\.onnx"):
        session.score_table(table(3))
