"""Memory that runs out, rows that fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sqlinfer.errors import InferenceError, KernelError, KernelOutOfMemory
from sqlinfer.inference.kernel import is_out_of_memory, safe_message, translate
from sqlinfer.inference.layout import Layout, read_layout
from sqlinfer.inference.session import Session
from sqlinfer.spec.error_policy import ErrorPolicy
from sqlinfer.spec.function import InputBinding, PreparedFunction
from sqlinfer.testing import onnx_builder
from sqlinfer.testing.fake_kernel import FakeKernel, refuse_above, refuse_values

MakeSession = Callable[..., Session]


@pytest.fixture
def function(prepare) -> PreparedFunction:
    return prepare(onnx_builder.identity(), {"x": "DOUBLE"}, (InputBinding("x", "vector", "double", ("x",)),))


def session_of(function: PreparedFunction, kernel: FakeKernel, batch: int, workers: int = 1, **options) -> Session:
    return Session(function, [kernel] * workers, Layout(batch, workers, 1, source="declared"), **options)


def table_of(rows: int) -> pa.Table:
    return pa.table({"x": np.arange(rows, dtype=np.float64)})


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 8, 15, 16, 31, 100, 500, 1000])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_run_survives_every_memory_limit(function, limit: int, workers: int) -> None:
    kernel = FakeKernel(refuse_above(limit))
    with session_of(function, kernel, 1024, workers) as session:
        result = session.score_table(table_of(5000), keep=[])
    assert result["value"].to_pylist() == [2.0 * x for x in range(5000)]
    assert result["error"].null_count == 5000
    assert sum(size > limit for size in kernel.sizes) <= workers * (math.log2(1024) + 1)
    assert 1 <= kernel.rebuilds <= math.log2(1024) + 1


def test_the_found_size_is_remembered(function, tmp_path: Path) -> None:
    with session_of(function, FakeKernel(refuse_above(100)), 1024, cache_dir=tmp_path) as session:
        session.score_table(table_of(3000))
    layout = read_layout(tmp_path, function.contract.digest, "cpu")
    assert layout is not None
    assert layout.batch_size == 64


def test_a_row_that_alone_exhausts_memory_is_an_error_row(function) -> None:
    with session_of(function, FakeKernel(refuse_above(0)), 4) as session:
        result = session.score_table(table_of(3), keep=[])
    assert result["value"].to_pylist() == [None] * 3
    assert all(error.startswith("out_of_memory: ") for error in result["error"].to_pylist())


@pytest.mark.parametrize("bad_rows", [1, 10, 41, 2048, 4096])
def test_exactly_the_planted_rows_fail_at_a_bounded_price(function, bad_rows: int) -> None:
    batch, rows = 256, 4096
    bad = {float(x) for x in np.random.default_rng(bad_rows).choice(rows, bad_rows, replace=False)}
    kernel = FakeKernel(refuse_values(bad))
    with session_of(function, kernel, batch) as session, session.score(table_of(rows).to_reader(), ["x"], ["x"]) as out:
        result = pa.Table.from_batches(out)
    flagged = {x for x, error in zip(result["x"].to_pylist(), result["error"].to_pylist(), strict=True) if error}
    assert flagged == bad
    assert result["value"].null_count == bad_rows
    assert (out.counts.errors, out.counts.scored) == (bad_rows, rows - bad_rows)
    assert len(kernel.sizes) - rows // batch <= 2 * bad_rows * math.log2(batch) + 2 * bad_rows


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 8])
def test_the_price_is_bounded_wherever_bad_rows_stand(function, batch: int) -> None:
    for pattern in range(1, 1 << batch):
        bad = {float(row) for row in range(batch) if pattern >> row & 1}
        kernel = FakeKernel(refuse_values(bad))
        with session_of(function, kernel, batch) as session:
            result = session.score_table(table_of(batch), keep=[])
        assert {float(row) for row, error in enumerate(result["error"].to_pylist()) if error} == bad
        assert len(kernel.sizes) - 1 <= 2 * len(bad) * math.log2(batch) + 2 * len(bad)


def test_a_failure_that_does_not_come_again_costs_no_row(function) -> None:
    failures = iter([True, False, True, True])

    def check(_: object) -> None:
        if next(failures, False):
            raise KernelError("the device was away for a moment")

    with session_of(function, FakeKernel(check), 64) as session:
        result = session.score_table(table_of(200), keep=[])
    assert result["value"].to_pylist() == [2.0 * x for x in range(200)]


def test_errors_and_nulls_find_their_places(function) -> None:
    table = pa.table({"x": [None, 1.0, 2.0, None, 3.0]})
    with session_of(function, FakeKernel(refuse_values({2.0})), 4) as session:
        result = session.score_table(table, keep=[])
    assert result["value"].to_pylist() == [None, 2.0, None, None, 6.0]
    assert result["error"].to_pylist() == [None, None, "runtime: index out of range", None, None]


def test_a_function_that_always_fails_is_given_up_where_a_rate_is_declared(function) -> None:
    kernel = FakeKernel(refuse_values(set(map(float, range(10_000)))))
    with (
        session_of(function, kernel, 1024) as session,
        session.score(table_of(10_000).to_reader(), ["x"], [], policy=ErrorPolicy(0.01)) as scored,
        pytest.raises(InferenceError, match="max_error_rate"),
    ):
        list(scored)
    assert len(kernel.sizes) < 4000


def test_a_cluster_of_bad_rows_does_not_stop_a_good_night(function) -> None:
    kernel = FakeKernel(refuse_values(set(map(float, range(5000, 5100)))))
    with (
        session_of(function, kernel, 1024) as session,
        session.score(table_of(20_000).to_reader(), ["x"], [], policy=ErrorPolicy(0.01)) as scored,
    ):
        list(scored)
    assert scored.counts.errors == 100


@pytest.mark.parametrize(
    "message",
    [
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : BFCArena::AllocateRawInternal Failed to allocate memory for "
        "requested buffer of size 8388608",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
        "CUDA failure 2: out of memory",
        "std::bad_alloc",
    ],
)
def test_memory_errors_are_recognised(message: str) -> None:
    assert is_out_of_memory(message)
    assert isinstance(translate(RuntimeError(message)), KernelOutOfMemory)


def test_messages_hold_no_values() -> None:
    message = "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : bad index 4711 for 'Jane Doe' in node\nmore"
    assert safe_message(message) == "INVALID_ARGUMENT: bad index … for … in node"
    assert len(safe_message("x" * 999)) == 200
