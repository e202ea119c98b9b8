"""``precision: fp16``: the same results within float16's digits, and never a silent infinity."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sqlinfer.errors import FunctionError
from sqlinfer.functions.fuse.half import halve
from sqlinfer.project.values import ReturnField
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.workshop import Workshop, score

NAMES = tuple((f"c{number}", "REAL") for number in range(8))
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(50, 8)).astype(np.float32)


def types_of(graph: onnx.GraphProto) -> dict[str, int]:
    return {tensor.name: tensor.data_type for tensor in graph.initializer}


def run(data: bytes | onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    model = data if isinstance(data, bytes) else data.SerializeToString()
    return list(onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, feeds))


def test_a_network_computes_in_half_between_float_ports(shop: Workshop) -> None:
    data = ob.mlp([8, 64, 64, 1])
    full = shop.make(data, NAMES)
    half = shop.make(data, NAMES, precision="fp16")
    assert half.contract.digest != full.contract.digest
    graph = onnx.load(half.graph).graph
    assert set(types_of(graph).values()) == {TensorProto.FLOAT16, TensorProto.INT64}, "INT64: the shape of the result"
    ports = {port.type.tensor_type.elem_type for port in (*graph.input, *graph.output)}
    assert ports == {TensorProto.FLOAT}
    expected, got = (score(prepared, {"features": X})["value"] for prepared in (full, half))
    assert got.dtype == np.float32
    assert not np.array_equal(got, expected)
    np.testing.assert_allclose(got, expected, rtol=5e-3, atol=5e-3)


def test_a_cached_function_of_full_precision_is_not_taken_for_half(shop: Workshop) -> None:
    config = shop.declare(ob.mlp([8, 16, 1]), NAMES, precision="fp16")
    assert shop.prepare(config) == shop.prepare(config)
    assert shop.prepare(config).precision == "fp16"


def test_softmax_and_normalisation_stay_in_float(shop: Workshop) -> None:
    """A probability of 1e-9 would be 0 in float16."""
    nodes = [
        helper.make_node("Gemm", ["features", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["inside"], axis=-1),
    ]
    weights = ob.constant("w", np.eye(8, 3, dtype=np.float32).tolist())
    data = ob.build(
        nodes, [ob.value("features", "float", ["N", 8])],
        [ob.value("inside", "float", ["N", 3]), ob.value("logits", "float", ["N", 3])], [weights],
    )  # fmt: skip
    fields = (
        ReturnField("inside", "REAL[3]"),
        ReturnField("fused", "REAL[3]", output="logits", activation="softmax"),
        ReturnField("unit", "REAL[3]", output="logits", normalize=True),
    )
    got = score(
        shop.make(data, NAMES, fields, is_struct=True, precision="fp16"),
        {"features": np.array([[0, -20, -1, 0, 0, 0, 0, 0]], dtype=np.float32)},
    )
    exact = np.exp([0.0, -20.0, -1.0]) / np.exp([0.0, -20.0, -1.0]).sum()
    np.testing.assert_allclose(got["inside"][0], exact, rtol=1e-5)
    np.testing.assert_allclose(got["fused"][0], exact, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(got["unit"]), 1, rtol=1e-6)


def test_weights_out_of_range_are_reported_and_kept_in_float(shop: Workshop) -> None:
    nodes = [
        helper.make_node("MatMul", ["features", "large"], ["first"], name="first"),
        helper.make_node("Mul", ["first", "small"], ["second"]),
        helper.make_node("MatMul", ["second", "w"], ["score"]),
    ]
    large, small = RANDOM.normal(size=(8, 4)) * 1e6, [[1e-6] * 4]
    consts = [
        ob.constant("large", large.tolist()),
        ob.constant("small", small),
        ob.constant("w", [[1.0], [0.5], [0.25], [2.0]]),
    ]
    ports = [ob.value("features", "float", ["N", 8])], [ob.value("score", "float", ["N", 1])]
    data = ob.build(nodes, *ports, consts)
    expected = score(shop.make(data, NAMES), {"features": X})["value"]
    prepared = shop.make(data, NAMES, precision="fp16")
    np.testing.assert_allclose(score(prepared, {"features": X})["value"], expected, rtol=5e-3, atol=5e-3)
    kinds = types_of(onnx.load(prepared.graph).graph)
    assert kinds["large"] == kinds["small"] == TensorProto.FLOAT
    assert any("node 'first' in float32" in text and "'large' are above 65504" in text for text in prepared.warnings)


def attention(*, fill: float = float(np.finfo(np.float32).min)) -> bytes:
    """Embedding, layer normalisation spelled out, one masked attention: what exporters write for small encoders."""
    width, made = 16, iter(range(100))
    nodes: list[onnx.NodeProto] = []
    consts: list[TensorProto] = []

    def const(values: Any, kind: str = "float") -> str:
        consts.append(ob.constant(f"c{next(made)}", np.asarray(values).tolist(), kind))
        return consts[-1].name

    def op(name: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(name, list(inputs), [f"t{next(made)}"], **attributes))
        return str(nodes[-1].output[0])

    def linear(x: str) -> str:
        product = op("MatMul", x, const(RANDOM.normal(0, 0.25, (width, width))))
        return op("Add", product, const(RANDOM.normal(0, 0.1, width)))

    def norm(x: str) -> str:
        centred = op("Sub", x, op("ReduceMean", x, axes=[-1]))
        variance = op("ReduceMean", op("Pow", centred, const(2.0)), axes=[-1])
        return op("Div", centred, op("Sqrt", op("Add", variance, const(1e-12))))

    hidden = norm(op("Gather", const(RANDOM.normal(size=(50, width))), "input_ids"))
    mask = op("Unsqueeze", op("Cast", "attention_mask", to=1), const([1], "int64"))
    bias = op("Mul", op("Sub", const(1.0), mask), const(fill))
    scores = op("MatMul", linear(hidden), op("Transpose", linear(hidden), perm=[0, 2, 1]))
    weights = op("Softmax", op("Add", op("Mul", scores, const(0.25)), bias), axis=-1)
    hidden = norm(op("Add", hidden, linear(op("MatMul", weights, linear(hidden)))))
    nodes.append(helper.make_node("Identity", [hidden], ["last_hidden_state"]))
    ports = [ob.value(name, "int64", ["N", "T"]) for name in ("input_ids", "attention_mask")]
    return ob.build(nodes, ports, [ob.value("last_hidden_state", "float", ["N", "T", width])], consts)


@pytest.mark.parametrize("fill", [-1e4, -1e9, float(np.finfo(np.float32).min)])
def test_an_encoder_with_masks_and_tiny_epsilons(fill: float) -> None:
    data = attention(fill=fill)
    model = onnx.load_model_from_string(data)
    done = halve(model)
    onnx.checker.check_model(model, full_check=True)
    assert done.nodes > 10
    assert any("mask value" in text for text in done.warnings) == (fill < -65504)
    ids = RANDOM.integers(0, 50, (4, 7)).astype(np.int64)
    mask = (np.arange(7) < np.array([[7], [3], [1], [0]])).astype(np.int64)
    expected, got = (run(m, {"input_ids": ids, "attention_mask": mask})[0] for m in (data, model))
    np.testing.assert_allclose(got[:3], expected[:3], rtol=2e-2, atol=2e-2)
    assert np.isfinite(got[3]).all(), "a row that is masked as a whole means nothing, but it is a number"


def test_a_text_function_pools_in_float(shop: Workshop) -> None:
    pytest.importorskip("tokenizers")
    import pyarrow as pa
    from tokenizers import Tokenizer, models, pre_tokenizers

    from sqlinfer.inference import open_session
    from sqlinfer.project.values import TokenizerConfig

    words = {"[PAD]": 0, "[UNK]": 1} | {f"w{number}": number + 2 for number in range(40)}
    made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(shop.folder / "tokenizer.json"))
    data, found = attention(), []
    for precision in ("fp32", "fp16"):
        prepared = shop.make(
            data, [("t", "TEXT")], ReturnField("value", "REAL[16]", pooling="mean", normalize=True),
            tokenizer=TokenizerConfig(shop.folder / "tokenizer.json", "t"), precision=precision,
        )  # fmt: skip
        texts = [" ".join(f"w{n}" for n in range(size)) for size in range(1, 30)]
        with open_session(prepared, device="cpu") as session:
            table = session.score_table(pa.table({"t": texts}), keep=[])
        assert table["error"].null_count == len(texts)
        found.append(np.array(table["value"].to_pylist()))
    np.testing.assert_allclose(found[1], found[0], atol=5e-3)
    np.testing.assert_allclose(np.linalg.norm(found[1], axis=1), 1, rtol=1e-5)


def test_nested_graphs_read_their_captures_in_float() -> None:
    branch = [
        helper.make_graph([helper.make_node(kind, ["hidden"], ["out"])], kind, [], [ob.value("out", "float", None)])
        for kind in ("Neg", "Abs")
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["hidden"]),
        helper.make_node("If", ["flag"], ["either"], then_branch=branch[0], else_branch=branch[1]),
        helper.make_node("Add", ["either", "hidden"], ["sum"]),
        helper.make_node("MatMul", ["sum", "w"], ["score"]),
    ]
    consts = [ob.constant("w", RANDOM.normal(size=(8, 8)).tolist()), ob.constant("flag", [True], "bool")]
    data = ob.build(nodes, [ob.value("x", "float", ["N", 8])], [ob.value("score", "float", ["N", 8])], consts)
    model = onnx.load_model_from_string(data)
    assert halve(model).nodes >= 2
    np.testing.assert_allclose(run(model, {"x": X})[0], run(data, {"x": X})[0], rtol=2e-2, atol=2e-2)


def test_weights_listed_as_inputs_leave_with_their_values() -> None:
    """As exporters did before IR version 4."""
    model = onnx.load_model_from_string(ob.mlp([8, 4, 1]))
    model.graph.input.extend(ob.value(t.name, "float", list(t.dims)) for t in model.graph.initializer)
    halve(model)
    assert [port.name for port in model.graph.input] == ["features"]


def test_trees_have_no_half_form(shop: Workshop) -> None:
    error = shop.refused(ob.tree_ensemble(n_features=8), NAMES, precision="fp16")
    assert isinstance(error, FunctionError)
    assert "'precision: fp16' changes nothing" in error.message
    assert "float32 only" in (error.hint or "")


@pytest.mark.parametrize("precision", ["bf16"])
def test_other_precisions_are_refused_with_a_way_out(shop: Workshop, precision: str) -> None:
    error = shop.refused(ob.mlp([8, 4, 1]), NAMES, precision=precision)
    assert f"'precision: {precision}' is not supported; fp32, fp16 and int8 are" in error.message
    assert error.hint
