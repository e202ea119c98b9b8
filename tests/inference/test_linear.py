"""Linear models over one-hot columns, as sums of looked-up weights, give the bits of the runtime's own product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pyarrow as pa
import pytest
from onnx import NodeProto, helper

from sqlinfer.inference import open_session
from sqlinfer.inference.graphs.categories import encode
from sqlinfer.inference.graphs.linear import SUMS, looked_up_sums
from sqlinfer.inference.graphs.rewriting import Rewritten
from sqlinfer.spec.function import InputBinding, OutputBinding
from sqlinfer.testing import onnx_builder as ob

ML = "ai.onnx.ml"
FEW, MANY = (10, 7, 12), (500, 300, 200, 60, 20)
Array = np.ndarray[Any, Any]


def words(column: int, count: int) -> list[str]:
    return [f"{column} word {number}" for number in range(count)]


def one_hot(counts: Sequence[int], *, zeros: int = 1) -> list[NodeProto]:
    return [
        helper.make_node("OneHotEncoder", [f"s{c}"], [f"h{c}"], domain=ML, cats_strings=words(c, n), zeros=zeros)
        for c, n in enumerate(counts)
    ]


class Model:
    """Scaled numbers and one-hot texts side by side, and a linear model of some kind behind them."""

    def __init__(self, counts: Sequence[int], targets: int = 2, *, numbers: int = 4, zeros: int = 1) -> None:
        self.rng = np.random.default_rng(len(counts) + targets)
        self.targets, self.features = targets, numbers + sum(counts)
        self.nodes = one_hot(counts, zeros=zeros)
        self.ports = [ob.value(f"n{i}", "float", ["N", 1]) for i in range(numbers)]
        self.ports += [ob.value(f"s{c}", "string", ["N", 1]) for c in range(len(counts))]
        self.constants = [ob.constant("shape", [-1, sum(counts)], "int64")]
        hot = [f"h{c}" for c in range(len(counts))]
        self.nodes += [helper.make_node("Concat", hot, ["hots"], axis=-1)]
        self.nodes += [helper.make_node("Reshape", ["hots", "shape"], ["hot"])]
        self.parts = ["hot"]
        if numbers:
            self.nodes.append(helper.make_node("Concat", [f"n{i}" for i in range(numbers)], ["raw"], axis=1))
            filled = {"imputed_value_floats": [0.5] * numbers, "replaced_value_float": float("nan")}
            self.nodes.append(helper.make_node("Imputer", ["raw"], ["whole"], domain=ML, **filled))
            offset, scale = self.rng.normal(size=numbers).tolist(), (1 + self.rng.random(numbers)).tolist()
            self.nodes.append(helper.make_node("Scaler", ["whole"], ["scaled"], domain=ML, offset=offset, scale=scale))
            self.parts = ["scaled", "hot"]

    def joined(self) -> str:
        if len(self.parts) == 1:
            return self.parts[0]
        self.nodes.append(helper.make_node("Concat", self.parts, ["all"], axis=1))
        return "all"

    def weights(self) -> Array:
        return self.rng.normal(size=(self.targets, self.features)).astype(np.float32)

    def classifier(self, post_transform: str, labels: dict[str, Any] | None = None) -> bytes:
        labels = labels or {"classlabels_ints": list(range(self.targets))}
        self.nodes.append(helper.make_node(
            "LinearClassifier", [self.joined()], ["label", "p"], domain=ML, post_transform=post_transform,
            coefficients=self.weights().reshape(-1).tolist(), intercepts=self.rng.normal(size=self.targets).tolist(),
            **labels,
        ))  # fmt: skip
        kind = "string" if "classlabels_strings" in labels else "int64"
        return self.built([ob.value("label", kind, ["N"]), ob.value("p", "float", ["N", self.targets])])

    def regressor(self) -> bytes:
        self.nodes.append(helper.make_node(
            "LinearRegressor", [self.joined()], ["p"], domain=ML, targets=self.targets,
            coefficients=self.weights().reshape(-1).tolist(), intercepts=self.rng.normal(size=self.targets).tolist(),
        ))  # fmt: skip
        return self.built([ob.value("p", "float", ["N", self.targets])])

    def gemm(self, *, trans: bool, bias: bool = True) -> bytes:
        weights = self.weights() if trans else self.weights().T
        self.constants += [
            ob.constant("w", weights.tolist()),
            ob.constant("b", self.rng.normal(size=self.targets).tolist()),
        ]
        inputs = [self.joined(), "w", *(["b"] if bias else [])]
        self.nodes.append(helper.make_node("Gemm", inputs, ["p"], transB=int(trans)))
        return self.built([ob.value("p", "float", ["N", self.targets])])

    def matmul(self) -> bytes:
        self.constants += [
            ob.constant("w", self.weights().T.tolist()),
            ob.constant("b", self.rng.normal(size=self.targets).tolist()),
        ]
        self.nodes += [
            helper.make_node("MatMul", [self.joined(), "w"], ["m"]),
            helper.make_node("Add", ["m", "b"], ["p"]),
        ]
        return self.built([ob.value("p", "float", ["N", self.targets])])

    def built(self, outputs: list[Any]) -> bytes:
        return ob.build(self.nodes, self.ports, outputs, self.constants)


def rewritten(graph: bytes) -> tuple[bytes, Rewritten]:
    """Over codes, and then with sums."""
    coded = encode(graph)
    if coded is None:
        return graph, looked_up_sums(graph, {})
    return coded.graph, looked_up_sums(coded.graph, dict.fromkeys(coded.inputs, len(coded.vocabulary)))


def rows(graph: bytes, count: int, words: int | None) -> dict[str, Array]:
    """``words``: how many codes there are, where integers are codes."""
    rng = np.random.default_rng(5)
    model = onnx.load_from_string(graph)
    feeds: dict[str, Array] = {}
    for port in model.graph.input:
        kind = port.type.tensor_type.elem_type
        shape = (count, *(dim.dim_value for dim in port.type.tensor_type.shape.dim[1:]))
        if kind == onnx.TensorProto.INT64:
            feeds[port.name] = rng.integers(-1, words or 1200, shape)
            continue
        values = rng.normal(size=shape) * 100
        values[rng.random(shape) < 0.02] = np.nan
        values[rng.random(shape) < 0.01] = np.inf
        feeds[port.name] = values.astype(np.float32 if kind == onnx.TensorProto.FLOAT else np.float64)
    return feeds


def outputs(graph: bytes, feeds: dict[str, Any]) -> list[Any]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    found: list[Any] = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"]).run(None, feeds)
    return found


def kinds(graph: bytes) -> set[str]:
    """Operators in the graph, in the branch of several rows where there are two."""
    nodes = onnx.load_from_string(graph).graph.node
    for node in nodes:
        if node.op_type == "If":
            nodes = next(one.g.node for one in node.attribute if one.name == "else_branch")
    return {node.op_type for node in nodes}


def assert_sums(graph: bytes) -> bytes:
    coded, made = rewritten(graph)
    assert made.done == (SUMS,), made.kept
    vocabulary = encode(graph)
    words = None if vocabulary is None else len(vocabulary.vocabulary)
    for count in (3000, 1, 2, 5):
        feeds = rows(coded, count, words)
        for a, b in zip(outputs(coded, feeds), outputs(made.graph, feeds), strict=True):
            np.testing.assert_array_equal(a, b)
    for one in range(50):
        feeds = {name: values[one : one + 1] for name, values in rows(coded, 50, words).items()}
        for a, b in zip(outputs(coded, feeds), outputs(made.graph, feeds), strict=True):
            np.testing.assert_array_equal(a, b)
    assert "OneHotEncoder" not in kinds(made.graph)
    return made.graph


@pytest.mark.parametrize("counts", [FEW, MANY])
@pytest.mark.parametrize("targets", [2, 3])
@pytest.mark.parametrize("post_transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_a_classifier(counts: Sequence[int], targets: int, post_transform: str) -> None:
    assert_sums(Model(counts, targets).classifier(post_transform))


def test_labels_may_be_texts() -> None:
    assert_sums(Model(FEW, 2).classifier("LOGISTIC", {"classlabels_strings": ["no", "yes"]}))


@pytest.mark.parametrize("counts", [FEW, MANY])
@pytest.mark.parametrize("targets", [1, 4])
def test_a_regressor(counts: Sequence[int], targets: int) -> None:
    assert_sums(Model(counts, targets).regressor())


@pytest.mark.parametrize("counts", [FEW, MANY])
@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("make", [
    lambda m: m.gemm(trans=False), lambda m: m.gemm(trans=True), lambda m: m.gemm(trans=True, bias=False), Model.matmul,
])  # fmt: skip
def test_a_product(counts: Sequence[int], targets: int, make: Callable[[Model], bytes]) -> None:
    assert_sums(make(Model(counts, targets)))


def test_categories_alone() -> None:
    assert_sums(Model(FEW, 2, numbers=0).classifier("LOGISTIC"))


def test_numbers_after_the_categories() -> None:
    model = Model(FEW, 1)
    model.parts.reverse()
    assert_sums(model.regressor())


def test_a_constant_may_be_a_node() -> None:
    model = Model(FEW, 2)
    shape = model.constants.pop(0)
    model.nodes.insert(0, helper.make_node("Constant", [], ["shape"], value=shape))
    assert_sums(model.classifier("LOGISTIC"))


@pytest.mark.parametrize("opset", [8, 9, 11, 18])
def test_any_opset(opset: int) -> None:
    model = onnx.load_from_string(Model(FEW, 3).classifier("SOFTMAX"))
    joined = next(node for node in model.graph.node if node.output[0] == "hots")
    joined.attribute[0].i = 2  # an axis counted from the end came with opset 11
    for entry in model.opset_import:
        entry.version = opset if not entry.domain else entry.version
    assert_sums(model.SerializeToString())


def test_numbers_on_both_sides_of_categories_stay_for_several_targets() -> None:
    """An infinite number times the zero of another target is NaN, so the sum cannot go on through a product."""
    model = Model(FEW, 2, numbers=2)
    model.parts = ["scaled", "hot", "more"]
    model.features += 1
    model.ports.append(ob.value("more", "float", ["N", 1]))
    _, made = rewritten(model.classifier("NONE"))
    assert made.done == ()
    assert made.kept == ("one-hot columns as they are: numbers stand between them",)


def test_scaled_one_hot_columns_stay() -> None:
    model = Model(FEW, 2, numbers=0)
    model.nodes.append(helper.make_node("Scaler", ["hot"], ["less"], domain=ML, offset=[0.1], scale=[0.3]))
    model.parts = ["less"]
    coded, made = rewritten(model.classifier("NONE"))
    assert made.graph == coded
    assert "their values are scaled" in made.kept[0]


def test_an_unseen_category_that_is_an_error_stays_one() -> None:
    coded, made = rewritten(Model(FEW, 2, zeros=0).classifier("NONE"))
    assert made.graph == coded


def test_few_categories_are_multiplied() -> None:
    coded, made = rewritten(Model((3,), 2).classifier("NONE"))
    assert made == Rewritten(coded)


def test_integer_categories_far_from_zero() -> None:
    model = Model((), 2, numbers=2)
    numbers = [5, 7, -3, *range(1000, 1030)]
    model.nodes = [node for node in model.nodes if node.op_type in ("Imputer", "Scaler") or "raw" in node.output]
    hot = helper.make_node("OneHotEncoder", ["code"], ["h"], domain=ML, cats_int64s=numbers, zeros=1)
    model.nodes += [hot, helper.make_node("Flatten", ["h"], ["hot"])]
    model.ports.append(ob.value("code", "int64", ["N", 1]))
    model.constants, model.features = [], 2 + len(numbers)
    assert_sums(model.classifier("LOGISTIC"))


def test_columns_taken_out_of_a_matrix_of_texts() -> None:
    """As some exporters write it: all texts together, each taken out again."""
    counts = (9, 8)
    join = helper.make_node("Concat", ["s0", "s1"], ["texts"], axis=1)
    nodes, constants = [join], [ob.constant("shape", [-1, 17], "int64")]
    for c, n in enumerate(counts):
        constants.append(ob.constant(f"at{c}", [c], "int64"))
        nodes.append(helper.make_node("ArrayFeatureExtractor", ["texts", f"at{c}"], [f"s{c}_"], domain=ML))
        known = {"cats_strings": words(c, n), "zeros": 1}
        nodes.append(helper.make_node("OneHotEncoder", [f"s{c}_"], [f"h{c}"], domain=ML, **known))
    nodes += [helper.make_node("Concat", ["h0", "h1"], ["hots"], axis=-1),
              helper.make_node("Reshape", ["hots", "shape"], ["hot"])]  # fmt: skip
    weights = np.random.default_rng(0).normal(size=17).tolist()
    nodes.append(helper.make_node("LinearRegressor", ["hot"], ["p"], domain=ML, coefficients=weights, intercepts=[0.5]))
    ports = [ob.value(f"s{c}", "string", ["N", 1]) for c in range(2)]
    assert_sums(ob.build(nodes, ports, [ob.value("p", "float", ["N", 1])], constants))


def doubles() -> bytes:
    """As our own converters write scikit-learn's pipelines: doubles, places in a table, checks for NaN."""
    rng = np.random.default_rng(0)
    nodes, parts, constants = [], ["scaled"], []

    def held(name: str, values: Any, kind: str = "double") -> str:
        constants.append(
            onnx.numpy_helper.from_array(np.asarray(values, np.float64 if kind == "double" else np.int64), name)
        )
        return name

    nodes.append(helper.make_node("Concat", ["a", "b"], ["raw"], axis=1))
    nodes.append(helper.make_node("Sub", ["raw", held("mean", rng.normal(size=2))], ["centred"]))
    nodes.append(helper.make_node("Div", ["centred", held("deviation", 1 + rng.random(2))], ["scaled"]))
    held("zero", 0, "int64")
    for c, n in enumerate(FEW):
        held(f"last{c}", n, "int64"), held(f"table{c}", np.eye(n + 1, n)), held(f"shape{c}", [-1, n], "int64")
        nodes += [
            helper.make_node("LabelEncoder", [f"s{c}"], [f"place{c}"], domain=ML, keys_strings=words(c, n),
                             values_int64s=list(range(n)), default_int64=-1),
            helper.make_node("Less", [f"place{c}", "zero"], [f"unknown{c}"]),
            helper.make_node("Where", [f"unknown{c}", f"last{c}", f"place{c}"], [f"known{c}"]),
            helper.make_node("Gather", [f"table{c}", f"known{c}"], [f"deep{c}"]),
            helper.make_node("Reshape", [f"deep{c}", f"shape{c}"], [f"hot{c}"]),
        ]  # fmt: skip
        parts.append(f"hot{c}")
    nodes += [
        helper.make_node("Concat", parts, ["all"], axis=1),
        helper.make_node("Mul", ["all", held("nothing", 0.0)], ["nothings"]),
        helper.make_node("ReduceSum", ["nothings", held("axis", [1], "int64")], ["refused"], keepdims=1),
        helper.make_node("Gemm", ["all", held("w", rng.normal(size=(2 + sum(FEW), 1)))], ["product"]),
        helper.make_node("Add", ["product", held("c", [0.25])], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["chance"]), helper.make_node("Add", ["chance", "refused"], ["p"]),
    ]  # fmt: skip
    ports = [ob.value(name, "double", ["N", 1]) for name in "ab"]
    ports += [ob.value(f"s{c}", "string", ["N", 1]) for c in range(len(FEW))]
    return ob.build(nodes, ports, [ob.value("p", "double", ["N", 1])], constants, opsets={"": 20, ML: 5})


def test_a_pipeline_of_our_own_converters() -> None:
    made = assert_sums(doubles())
    assert "LabelEncoder" not in kinds(made)


def test_a_graph_with_other_bits_in_every_order_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlinfer.inference.graphs.alike import Trial

    monkeypatch.setattr(Trial, "has_the_bits_of", lambda *_, **__: False)
    _, made = rewritten(Model(FEW, 2).classifier("NONE"))
    assert made.kept == ("one-hot columns as they are: their sums would have other bits",)


def test_a_session_scores_texts_as_the_graph_does(prepare: Any, tmp_path: Path) -> None:
    graph = Model(FEW, 2).classifier("LOGISTIC")
    numbers, texts = [f"n{i}" for i in range(4)], [f"s{c}" for c in range(len(FEW))]
    inputs = tuple(InputBinding(n, "column", "float", (n,)) for n in numbers)
    inputs += tuple(InputBinding(s, "column", "string", (s,)) for s in texts)
    types = dict.fromkeys(numbers, "REAL") | dict.fromkeys(texts, "TEXT")
    function = prepare(graph, types, inputs, None, (OutputBinding("value", "p", index=1),))
    rng = np.random.default_rng(1)
    columns: dict[str, Any] = {name: rng.normal(size=5000).astype(np.float32) for name in numbers}
    columns |= {f"s{c}": rng.choice([*words(c, n), "unseen", ""], 5000) for c, n in enumerate(FEW)}
    feeds = {name: values.astype(object if name in texts else np.float32)[:, None] for name, values in columns.items()}
    expected = outputs(graph, feeds)[1][:, 1]
    cache = tmp_path / "cache"
    for _ in range(2):  # made, then read from the cache
        with open_session(function, device="cpu", cache_dir=cache) as session:
            found = session.score_table(pa.table(columns), keep=[])
        np.testing.assert_array_equal(found["value"].to_numpy().astype(np.float32), expected)
    (facts,) = cache.glob("runnable-*.json")
    assert SUMS in facts.read_text()
