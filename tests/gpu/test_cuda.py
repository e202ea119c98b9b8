"""On a real GPU: the same results as on the CPU, and memory that runs out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sqlinfer.inference import open_session
from sqlinfer.inference.providers import gpu_count, probe_provider
from sqlinfer.spec.function import Argument, FunctionContract, InputBinding, Output, OutputBinding, PreparedFunction
from sqlinfer.testing import onnx_builder

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(gpu_count() == 0 or probe_provider("cuda", 0) is not None, reason="no working CUDA device"),
]
NAMES = tuple(f"c{number}" for number in range(20))


@pytest.fixture
def function(tmp_path: Path) -> PreparedFunction:
    path = tmp_path / "mlp.onnx"
    onnx_builder.mlp([20, 256, 256, 1], path=path)
    contract = FunctionContract(
        "f", "cd" * 32, tuple(Argument(name, "REAL") for name in NAMES), (Output("value", "DOUBLE"),)
    )
    inputs = (InputBinding("features", "packed", "float", NAMES, len(NAMES)),)
    return PreparedFunction(contract, tmp_path, path, inputs, (OutputBinding("value", "score"),))


def table_of(rows: int) -> pa.Table:
    random = np.random.default_rng(0)
    return pa.table({name: random.normal(size=rows).astype(np.float32) for name in NAMES})


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "auto"])
def test_the_gpu_agrees_with_the_cpu(function: PreparedFunction, device: str) -> None:
    table = table_of(300_000)
    with open_session(function, device="cpu") as session:
        expected = session.score_table(table, keep=[])["value"].to_numpy()
    with open_session(function, device=device) as session:
        assert session.device.family == "cuda"
        result = session.score_table(table, keep=[])["value"].to_numpy()
    np.testing.assert_allclose(result, expected, rtol=2e-3, atol=2e-3)


def test_a_run_too_large_for_the_device_is_halved(function: PreparedFunction) -> None:
    table = table_of(50_000)
    with open_session(function, device="cuda", batch_size=50_000) as session:
        result = session.score_table(table, keep=[])
    assert result["error"].null_count == 50_000


def test_half_precision_agrees_within_its_digits(function: PreparedFunction, tmp_path: Path) -> None:
    pytest.importorskip("pydantic")  # preparing needs the project layer, scoring does not
    import onnx

    from sqlinfer.functions.fuse.half import halve

    model = onnx.load(function.graph)
    assert halve(model).nodes
    path = tmp_path / "half.onnx"
    onnx.save(model, path)
    table = table_of(100_000)
    with open_session(function, device="cpu") as session:
        expected = session.score_table(table, keep=[])["value"].to_numpy()
    with open_session(replace(function, graph=path), device="cuda") as session:
        result = session.score_table(table, keep=[])["value"].to_numpy()
    np.testing.assert_allclose(result, expected, rtol=2e-2, atol=2e-2)


@pytest.mark.skipif(gpu_count() < 2, reason="one CUDA device")
def test_several_gpus_share_the_batches(function: PreparedFunction) -> None:
    table = table_of(500_000)
    with open_session(function, device="cuda:0") as session:
        expected = session.score_table(table, keep=[])["value"].to_numpy()
    with open_session(function, device="cuda") as session:
        assert session.device.indices == tuple(range(gpu_count()))
        assert session.layout.sessions == 2 * gpu_count()
        result = session.score_table(table, keep=[])["value"].to_numpy()
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
