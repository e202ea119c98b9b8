"""A first layer that takes its matrix turned: the same bits, whatever is fed, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pyarrow as pa
import pytest
from onnx import TensorProto, helper

from sqlinfer.inference import open_session
from sqlinfer.inference.block import TurnedFeeder
from sqlinfer.inference.graphs import by_column
from sqlinfer.inference.graphs.by_column import DONE, fed_by_column
from sqlinfer.inference.sharing import Shared
from sqlinfer.spec.function import InputBinding
from sqlinfer.testing import onnx_builder


def turned_of(graph: bytes, packed: tuple[str, ...] = ("features",)) -> tuple[str, ...]:
    changed, turned = fed_by_column(graph, packed)
    assert (changed == graph) == (not turned)
    return turned


def graph_of(nodes: list[Any], kind: int = TensorProto.FLOAT, outputs: tuple[str, ...] = ("score",)) -> bytes:
    """From ``features`` [N,4], with weights ``w`` and ``t`` (turned)."""
    weights = np.arange(8, dtype=helper.tensor_dtype_to_np_dtype(kind)).reshape(4, 2)
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("features", kind, ["N", 4])],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [onnx.numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def gemm(**attributes: Any) -> Any:
    return helper.make_node("Gemm", ["features", "w"], ["score"], **attributes)


@pytest.mark.parametrize("rows", [1, 2, 7, 63, 1500])
@pytest.mark.parametrize("layers", [[20, 32, 32, 1], [3, 2], [130, 64, 5]])
def test_a_layer_has_the_same_bits_either_way(layers: list[int], rows: int) -> None:
    graph = onnx_builder.mlp(layers)
    changed, turned = fed_by_column(graph, ["features"])
    assert turned == ("features",)
    values = np.random.default_rng(rows).normal(size=(rows, layers[0])).astype(np.float32)
    before, after = (ort.InferenceSession(one, providers=["CPUExecutionProvider"]) for one in (graph, changed))
    expected = before.run(None, {"features": values})
    found = after.run(None, {"features": np.ascontiguousarray(values.T)})
    assert [one.tobytes() for one in found] == [one.tobytes() for one in expected]


def test_factors_of_a_layer_stay() -> None:
    changed, turned = fed_by_column(graph_of([gemm(alpha=0.5, transA=0)]), ["features"])
    assert turned
    (node,) = onnx.load_from_string(changed).graph.node
    assert {one.name: helper.get_attribute_value(one) for one in node.attribute} == {"alpha": 0.5, "transA": 1}


@pytest.mark.parametrize(
    "graph",
    [
        graph_of([gemm(), helper.make_node("Identity", ["features"], ["other"])], outputs=("score", "other")),
        graph_of([helper.make_node("Gemm", ["features", "features"], ["score"], transB=1)]),
        graph_of([helper.make_node("Relu", ["features"], ["r"]), helper.make_node("Gemm", ["r", "w"], ["score"])]),
        graph_of([helper.make_node("MatMul", ["features", "w"], ["score"])]),
        graph_of([gemm()], TensorProto.DOUBLE),
    ],
    ids=["read twice", "read twice by one", "read by another", "no Gemm", "doubles"],
)
def test_other_graphs_stay_as_they_are(graph: bytes) -> None:
    assert turned_of(graph) == ()


def test_a_matrix_that_is_not_packed_from_columns_stays() -> None:
    assert turned_of(onnx_builder.mlp([4, 2]), packed=()) == ()


def test_a_layer_with_other_bits_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_column, "same", lambda *_: False)
    assert turned_of(onnx_builder.mlp([4, 2])) == ()


def test_a_session_scores_as_the_graph_does(prepare: Any, tmp_path: Path) -> None:
    graph, names = onnx_builder.mlp([5, 16, 1]), tuple(f"c{number}" for number in range(5))
    inputs = (InputBinding("features", "packed", "float", names),)
    function = prepare(graph, dict.fromkeys(names, "DOUBLE"), inputs)
    rng = np.random.default_rng(1)
    columns = {name: pa.array(rng.normal(size=70_001), mask=rng.random(70_001) < 0.01) for name in names}
    table = pa.table({"id": range(70_001)} | columns)
    expected, cache = plainly(graph, table, names), tmp_path / "cache"
    for _ in range(2):  # made, then read from the cache
        with open_session(function, device="cpu", cache_dir=cache) as session:
            found = session.score_table(table, keep=["id"])
        assert found["id"].to_pylist() == list(range(70_001))
        np.testing.assert_array_equal(found["value"].to_numpy(zero_copy_only=False).astype(np.float32), expected)
    (facts,) = cache.glob("runnable-*.json")
    assert DONE in facts.read_text()


def plainly(graph: bytes, table: pa.Table, names: tuple[str, ...]) -> Any:
    matrix = np.stack([table[name].to_numpy() for name in names], axis=1).astype(np.float32)
    good = ~np.isnan(matrix).any(axis=1)
    values = np.full(len(matrix), np.nan, np.float32)
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    values[good] = session.run(None, {"features": matrix[good]})[0][:, 0]
    return values


def test_functions_that_read_the_same_columns_turn_them_once() -> None:
    columns = tuple(np.arange(10, dtype=np.float64) + number for number in range(3))
    shared = Shared()
    one, two = (TurnedFeeder(name, columns, np.float32, shared, "key") for name in ("a", "b"))
    first = one.feed(2, 6, {})
    assert two.feed(2, 6, {}) is first
    assert two.feed(2, 7, {}) is not first
    np.testing.assert_array_equal(first, np.stack([values[2:6] for values in columns]).astype(np.float32))
    shared.begin()
    assert one.feed(2, 6, {}) is not first


def test_a_buffer_is_used_again_for_runs_of_any_length() -> None:
    feeder, scratch = TurnedFeeder("a", (np.arange(9.0), np.arange(9.0) + 1), np.float32), {}
    for start, stop in ((0, 4), (4, 8), (8, 9), (0, 9)):
        found = feeder.feed(start, stop, scratch)
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, [np.arange(9.0)[start:stop], np.arange(9.0)[start:stop] + 1])
