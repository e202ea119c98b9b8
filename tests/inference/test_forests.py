"""Rewritten forests give the bits of the runtime's own tree ensembles, whatever the trees look like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pyarrow as pa
import pytest
from onnx import helper

from sqlinfer.inference import open_session
from sqlinfer.inference.graphs.categories import encode
from sqlinfer.inference.graphs.forests import BRANCH_FREE, BY_TREE, faster_forests, rewritten_forests
from sqlinfer.inference.graphs.trial import gives_the_same
from sqlinfer.inference.runnable import runnable_graph
from sqlinfer.spec.function import InputBinding, OutputBinding
from sqlinfer.testing import forests as random_forests
from sqlinfer.testing import onnx_builder as ob

ML = "ai.onnx.ml"
FEATURES = 6


@pytest.fixture(autouse=True)
def without_our_own_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLINFER_FOREST", "0")


def forest(
    *,
    trees: int = 30,
    depth: int = 3,
    modes: tuple[str, ...] = ("BRANCH_LEQ",),
    missing: bool = False,
    targets: int = 1,
    kind: str = "Regressor",
    opset: int = 17,
    leaf_share: float = 0.1,
    positive: bool = False,
    **more: Any,
) -> bytes:
    """Trees of uneven shape over ``features`` [N,6], thresholds among few values so that rows can hit them."""
    rng = np.random.default_rng(len(modes) + depth + trees)
    lists: dict[str, list[Any]] = {}

    def add(prefix: str, **values: Any) -> None:
        for name, one in values.items():
            lists.setdefault(prefix + name, []).append(one)

    def grow(tree: int, number: int, left: int) -> None:
        leaf = left == 0 or (number > 0 and rng.random() < leaf_share)
        mode = "LEAF" if leaf else str(rng.choice(modes))
        add("nodes_", treeids=tree, nodeids=number, modes=mode, values=float(rng.integers(0, 8)) / 8)
        add("nodes_", featureids=int(rng.integers(FEATURES)), missing_value_tracks_true=int(missing and not leaf))
        add("nodes_", truenodeids=0 if leaf else 2 * number + 1, falsenodeids=0 if leaf else 2 * number + 2)
        if leaf:
            for target in range(targets):
                weight = abs(rng.normal()) / trees if positive else rng.normal()
                add("w_", treeids=tree, nodeids=number, ids=target, weights=float(weight))
            return
        grow(tree, 2 * number + 1, left - 1)
        grow(tree, 2 * number + 2, left - 1)

    for tree in range(trees):
        grow(tree, 0, depth)
    part = "target" if kind == "Regressor" else "class"
    attributes = {name.replace("w_", f"{part}_"): values for name, values in lists.items()} | more
    if kind == "Regressor":
        attributes["n_targets"] = targets
    outputs = ["score"] if kind == "Regressor" else ["label", "score"]
    node = helper.make_node(f"TreeEnsemble{kind}", ["features"], outputs, domain=ML, **attributes)
    ports = [ob.value("score", "float", ["N", None])]
    if kind == "Classifier":
        ports.append(ob.value("label", "string" if "classlabels_strings" in more else "int64", ["N"]))
    return ob.build([node], [ob.value("features", "float", ["N", FEATURES])], ports, opsets={"": opset, ML: 3})


def rows(count: int = 3000) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(7)
    values = np.where(rng.random((count, FEATURES)) < 0.5, rng.integers(0, 8, (count, FEATURES)) / 8, rng.random(
        (count, FEATURES))).astype(np.float32)  # fmt: skip
    values[rng.random(values.shape) < 0.02] = np.nan
    return values


def outputs(graph: bytes, feeds: dict[str, Any]) -> list[Any]:
    """With one thread, as our sessions run: with more the runtime sums trees in another order."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    found: list[Any] = session.run(None, feeds)
    return found


def assert_same(graph: bytes, how: str, feeds: dict[str, Any] | None = None) -> bytes:
    found = faster_forests(graph)
    assert found is not None
    made, done = found
    assert done == (how,)
    for count in (1, 7, 3000):
        some = {name: values[:count] for name, values in (feeds or {"features": rows()}).items()}
        for a, b in zip(outputs(graph, some), outputs(made, some), strict=True):
            np.testing.assert_array_equal(a, b)
            if a.dtype.kind == "f":
                assert np.array_equal(np.signbit(a[~np.isnan(a)]), np.signbit(b[~np.isnan(b)]))
    return made


MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("missing", [False, True])
def test_every_comparison_decides_alike(mode: str, missing: bool) -> None:
    assert_same(forest(modes=(mode,), missing=missing), BRANCH_FREE)


def test_trees_may_mix_comparisons() -> None:
    assert_same(forest(modes=tuple(MODES)), BRANCH_FREE)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_small_trees_have_no_branches(depth: int) -> None:
    made = assert_same(forest(depth=depth, leaf_share=0.0, base_values=[0.25]), BRANCH_FREE)
    assert not any(node.op_type.startswith("TreeEnsemble") for node in onnx.load_from_string(made).graph.node)


@pytest.mark.parametrize("targets", [1, 3])
def test_many_small_trees_are_summed_in_sections(targets: int) -> None:
    made = assert_same(forest(trees=500, targets=targets, base_values=[0.5] * targets), BRANCH_FREE)
    bits = [node for node in onnx.load_from_string(made).graph.node if node.op_type == "Cast"]
    assert len(bits) == 5


@pytest.mark.parametrize("depth", [6, 9])
def test_large_forests_go_tree_by_tree(depth: int) -> None:
    made = assert_same(forest(depth=depth, trees=40, leaf_share=0.02, base_values=[-3.0]), BY_TREE)
    kinds = [node.op_type for node in onnx.load_from_string(made).graph.node]
    assert kinds.count("TreeEnsembleRegressor") == 40


@pytest.mark.parametrize(("depth", "how"), [(3, BRANCH_FREE), (8, BY_TREE)])
def test_several_targets(depth: int, how: str) -> None:
    assert_same(forest(depth=depth, targets=3, base_values=[0.5, 0.0, -1.0]), how)


@pytest.mark.parametrize(("depth", "how"), [(3, BRANCH_FREE), (8, BY_TREE)])
@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC"])
@pytest.mark.parametrize("labels", [{"classlabels_int64s": [0, 1]}, {"classlabels_strings": ["no", "yes"]}])
def test_two_classes_with_one_sum(depth: int, how: str, transform: str, labels: dict[str, Any]) -> None:
    graph = forest(depth=depth, kind="Classifier", post_transform=transform, base_values=[0.1], **labels)
    assert_same(graph, how)


@pytest.mark.parametrize(("depth", "how"), [(3, BRANCH_FREE), (8, BY_TREE)])
def test_probabilities_of_two_classes(depth: int, how: str) -> None:
    assert_same(forest(depth=depth, kind="Classifier", positive=True, classlabels_int64s=[0, 1]), how)


@pytest.mark.parametrize(("depth", "how"), [(3, BRANCH_FREE), (8, BY_TREE)])
@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX"])
def test_many_classes(depth: int, how: str, transform: str) -> None:
    graph = forest(depth=depth, kind="Classifier", targets=3, post_transform=transform, classlabels_int64s=[4, 5, 6])
    assert_same(graph, how)


def test_a_transformation_that_differs_in_the_last_bit_keeps_its_trees() -> None:
    graph = forest(kind="Classifier", targets=3, post_transform="LOGISTIC", classlabels_int64s=[4, 5, 6])
    assert faster_forests(graph) is None


def test_a_path_with_more_tests_than_a_piece_has_bits_goes_tree_by_tree() -> None:
    graph = random_forests.graph(random_forests.Shape(trees=100, leaves=25, deep=1.0, grid=None))
    assert_same(graph, BY_TREE)


@pytest.mark.parametrize("opset", [8, 9, 12])
@pytest.mark.parametrize("kind", ["Regressor", "Classifier"])
def test_an_old_opset_is_raised(opset: int, kind: str) -> None:
    """onnxmltools writes 8 for LightGBM."""
    more = {} if kind == "Regressor" else {"classlabels_int64s": [0, 1], "post_transform": "LOGISTIC"}
    assert_same(forest(opset=opset, kind=kind, **more), BRANCH_FREE)


def test_a_model_without_the_default_domain_gets_one() -> None:
    """As onnxmltools writes XGBoost."""
    model = onnx.load_from_string(forest())
    ml = [one for one in model.opset_import if one.domain == ML]
    del model.opset_import[:]
    model.opset_import.extend(ml)
    assert_same(model.SerializeToString(), BRANCH_FREE)


def test_what_follows_the_trees_is_raised_with_them() -> None:
    model = onnx.load_from_string(forest(opset=8))
    model.graph.node[0].output[0] = "sum"
    model.graph.node.append(helper.make_node("Reshape", ["sum", "flat"], ["score"]))
    model.graph.initializer.append(ob.constant("flat", [-1], "int64"))
    assert_same(model.SerializeToString(), BRANCH_FREE)


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (forest(aggregate_function="MIN"), "no plain sum of weights"),
        (forest(trees=3, depth=7, leaf_share=0.3), "too large to do without branches"),
        (forest(kind="Classifier", targets=3, post_transform="LOGISTIC", classlabels_int64s=[4, 5, 6]), "other bits"),
    ],
)
def test_what_stays_as_it_is_says_why(graph: bytes, why: str) -> None:
    (said,) = rewritten_forests(graph).kept
    assert said.startswith("trees as they are: ")
    assert why in said


def test_few_small_trees_of_many_leaves_stay_as_they_are() -> None:
    assert faster_forests(forest(trees=3, depth=7, leaf_share=0.3)) is None


@pytest.mark.parametrize("aggregate", ["AVERAGE", "MIN", "MAX"])
def test_what_is_no_sum_stays_as_it_is(aggregate: str) -> None:
    assert faster_forests(forest(aggregate_function=aggregate)) is None


def test_a_broken_tree_stays_as_it_is() -> None:
    model = onnx.load_from_string(forest())
    (node,) = model.graph.node
    for attribute in node.attribute:
        if attribute.name == "nodes_truenodeids":
            attribute.ints[0] = 0  # the root is its own child
    assert faster_forests(model.SerializeToString()) is None


def test_a_threshold_may_be_infinite_or_huge() -> None:
    model = onnx.load_from_string(forest())
    (node,) = model.graph.node
    (values,) = (attribute for attribute in node.attribute if attribute.name == "nodes_values")
    for place, value in enumerate((np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45)):
        values.floats[place * 3] = value
    assert_same(model.SerializeToString(), BRANCH_FREE)


def test_an_ensemble_without_trees_is_left_to_the_runtime(prepare: Any) -> None:
    model = onnx.load_from_string(forest())
    del model.graph.node[0].attribute[:]
    inputs = (InputBinding("features", "packed", "float", tuple("abcdef"), 6),)
    function = prepare(model.SerializeToString(), dict.fromkeys("abcdef", "REAL"), inputs)
    assert runnable_graph(function, "cpu", None).rewrites == ()


def test_a_trial_sees_one_threshold_that_moved_by_one_bit() -> None:
    graph = forest(trees=5)
    model = onnx.load_from_string(graph)
    (node,) = model.graph.node
    (values,) = (attribute for attribute in node.attribute if attribute.name == "nodes_values")
    values.floats[0] = float(np.nextafter(np.float32(values.floats[0]), np.float32(2)))
    assert gives_the_same(graph, graph)
    assert not gives_the_same(graph, model.SerializeToString())


SEEN = ["red", "green", "blue"]


def one_hot_forest(*, through: str) -> bytes:
    """Trees over two numbers and a one-hot text, put together as exporters do it."""
    rng = np.random.default_rng(3)
    shape = ob.constant("shape", [-1, 3], "int64")
    hot = helper.make_node("OneHotEncoder", ["colour"], ["hot"], domain=ML, cats_strings=SEEN, zeros=1)
    if through == "flatten":
        flat = helper.make_node("Flatten", ["hot"], ["flat"])
    else:
        flat = helper.make_node("Reshape", ["hot", "shape"], ["flat"])
    join = helper.make_node("Concat", ["a", "b", "flat"], ["all"], axis=1)
    lists: dict[str, list[Any]] = {}
    for tree in range(20):
        for number in range(15):
            leaf = number >= 7
            feature = int(rng.integers(5))
            values = {"treeids": tree, "nodeids": number, "modes": "LEAF" if leaf else "BRANCH_LEQ"}
            values |= {"featureids": feature, "values": float(rng.choice([0.5, -0.5, 1.0]))}
            values |= {"truenodeids": 0 if leaf else 2 * number + 1, "falsenodeids": 0 if leaf else 2 * number + 2}
            for name, one in values.items():
                lists.setdefault(f"nodes_{name}", []).append(one)
            if leaf:
                weights = {"treeids": tree, "nodeids": number, "ids": 0, "weights": float(rng.normal())}
                for name, one in weights.items():
                    lists.setdefault(f"target_{name}", []).append(one)
    trees = helper.make_node("TreeEnsembleRegressor", ["all"], ["score"], domain=ML, n_targets=1, **lists)
    ports = [ob.value("a", "float", ["N", 1]), ob.value("b", "float", ["N", 1]), ob.value("colour", "string", ["N", 1])]
    return ob.build([hot, flat, join, trees], ports, [ob.value("score", "float", ["N", 1])], [shape])


@pytest.mark.parametrize("through", ["flatten", "reshape"])
def test_tests_of_one_hot_columns_look_at_the_category(through: str) -> None:
    coded = encode(one_hot_forest(through=through))
    assert coded is not None
    rng = np.random.default_rng(0)
    feeds = {name: rng.normal(size=(3000, 1)).astype(np.float32) for name in ("a", "b")}
    feeds["colour"] = rng.integers(-1, 3, (3000, 1))
    made = assert_same(coded.graph, BRANCH_FREE, feeds)
    assert not {node.op_type for node in onnx.load_from_string(made).graph.node} & {
        "OneHotEncoder",
        "TreeEnsembleRegressor",
    }


def test_a_session_scores_texts_as_the_graph_does(prepare: Any, tmp_path: Path) -> None:
    graph = one_hot_forest(through="reshape")
    inputs = tuple(InputBinding(n, "column", "float", (n,)) for n in ("a", "b"))
    inputs += (InputBinding("colour", "column", "string", ("colour",)),)
    function = prepare(
        graph, {"a": "REAL", "b": "REAL", "colour": "TEXT"}, inputs, None, (OutputBinding("value", "score"),)
    )
    rng = np.random.default_rng(1)
    numbers = {name: rng.normal(size=5000).astype(np.float32) for name in ("a", "b")}
    colours = rng.choice([*SEEN, "unseen", ""], 5000)
    feeds = {name: values[:, None] for name, values in numbers.items()} | {"colour": colours.astype(object)[:, None]}
    expected = outputs(graph, feeds)[0][:, 0]
    cache = tmp_path / "cache"
    for _ in range(2):  # made, then read from the cache
        with open_session(function, device="cpu", cache_dir=cache) as session:
            found = session.score_table(pa.table({**numbers, "colour": colours}), keep=[])
        np.testing.assert_array_equal(found["value"].to_numpy().astype(np.float32), expected)
    (facts,) = cache.glob("runnable-*.json")
    assert json.loads(facts.read_text())["rewrites"] == ["categories as codes", BRANCH_FREE]


def test_a_graph_that_runs_as_it_is_is_not_copied(prepare: Any, tmp_path: Path) -> None:
    inputs = (InputBinding("features", "packed", "float", ("a", "b"), 2),)
    function = prepare(ob.linear([2.0, 3.0]), {"a": "DOUBLE", "b": "REAL"}, inputs)
    assert runnable_graph(function, "cpu", tmp_path).graph == function.graph
    assert not list(tmp_path.glob("runnable-*.onnx"))


def test_a_gpu_keeps_the_trees(prepare: Any, tmp_path: Path) -> None:
    inputs = (InputBinding("features", "packed", "float", tuple("abcdef"), 6),)
    function = prepare(forest(), dict.fromkeys("abcdef", "REAL"), inputs)
    assert runnable_graph(function, "cuda", tmp_path).graph == function.graph
    assert runnable_graph(function, "cpu", tmp_path).rewrites == (BRANCH_FREE,)


def test_a_damaged_cache_is_made_anew(prepare: Any, tmp_path: Path) -> None:
    inputs = (InputBinding("features", "packed", "float", tuple("abcdef"), 6),)
    function = prepare(forest(), dict.fromkeys("abcdef", "REAL"), inputs)
    cache = tmp_path / "cache"
    first = runnable_graph(function, "cpu", cache)
    (facts,) = cache.glob("*.json")
    facts.write_text("{")
    assert runnable_graph(function, "cpu", cache) == first
    assert json.loads(facts.read_text())["rewrites"] == [BRANCH_FREE]
