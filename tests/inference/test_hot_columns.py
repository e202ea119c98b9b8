"""Trees over one-hot columns behind scalers, imputers, tables and casts read the categories, with the same results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pyarrow as pa
import pytest
from onnx import NodeProto, TensorProto, helper

from sqlinfer.inference import open_session
from sqlinfer.inference.graphs.categories import encode
from sqlinfer.inference.graphs.columns import Columns, Hot, Plain
from sqlinfer.inference.graphs.hot_columns import HOT, plain_hot_columns
from sqlinfer.inference.graphs.rewriting import Rewritten
from sqlinfer.spec.function import InputBinding, OutputBinding
from sqlinfer.testing import onnx_builder as ob

ML = "ai.onnx.ml"
COUNTS = (5, 7)
FEATURES = 2 + sum(COUNTS)
Array = np.ndarray[Any, Any]


def words(column: int) -> list[str]:
    return [f"{column} word {number}" for number in range(COUNTS[column])]


def trees(source: str, count: int = 12, depth: int = 4) -> NodeProto:
    rng = np.random.default_rng(0)
    lists: dict[str, list[Any]] = {}

    def add(prefix: str, **values: Any) -> None:
        for name, one in values.items():
            lists.setdefault(prefix + name, []).append(one)

    for tree in range(count):
        for number in range(2 ** (depth + 1) - 1):
            leaf = number >= 2**depth - 1
            feature = int(rng.integers(FEATURES))
            add("nodes_", treeids=tree, nodeids=number, modes="LEAF" if leaf else "BRANCH_LEQ", featureids=feature)
            add("nodes_", values=float(rng.normal()) if feature < 2 else 0.5)
            add("nodes_", truenodeids=0 if leaf else 2 * number + 1, falsenodeids=0 if leaf else 2 * number + 2)
            if leaf:
                add("target_", treeids=tree, nodeids=number, ids=0, weights=float(rng.normal()))
    return helper.make_node("TreeEnsembleRegressor", [source], ["score"], domain=ML, n_targets=1, **lists)


PORTS = [ob.value("s0", "string", ["N", 1]), ob.value("s1", "string", ["N", 1])]
SCORE = [ob.value("score", "float", ["N", 1])]


def exported() -> bytes:
    """As skl2onnx writes it."""
    nodes = [
        helper.make_node("Concat", ["a", "b"], ["raw"], axis=1),
        helper.make_node("Imputer", ["raw"], ["whole"], domain=ML, imputed_value_floats=[0.1, 0.2],
                         replaced_value_float=float("nan")),
        helper.make_node("Scaler", ["whole"], ["scaled"], domain=ML, offset=[0.3, -0.2], scale=[1.5, 0.7]),
        *(helper.make_node("OneHotEncoder", [f"s{c}"], [f"h{c}"], domain=ML, cats_strings=words(c), zeros=1)
          for c in range(2)),
        helper.make_node("Concat", ["h0", "h1"], ["hots"], axis=-1),
        helper.make_node("Reshape", ["hots", "shape"], ["hot"]),
        helper.make_node("Concat", ["scaled", "hot"], ["all"], axis=1), trees("all"),
    ]  # fmt: skip
    ports = [ob.value("a", "float", ["N", 1]), ob.value("b", "float", ["N", 1]), *PORTS]
    return ob.build(nodes, ports, SCORE, [ob.constant("shape", [-1, sum(COUNTS)], "int64")])


def our_own(*, ordinal: bool = False) -> bytes:
    """As our converters write scikit-learn's pipelines: places in a table, doubles, a cast. ``ordinal``: no one-hot."""
    nodes = [helper.make_node("Concat", ["a", "b"], ["raw"], axis=1)]
    constants = [onnx.numpy_helper.from_array(np.array([0.3, -0.2]), "mean")]
    constants.append(onnx.numpy_helper.from_array(np.array(0), "zero"))
    nodes.append(helper.make_node("Sub", ["raw", "mean"], ["scaled"]))
    for c, count in enumerate(COUNTS):
        table = np.eye(count + 1, count) * (np.arange(count) + 1 if ordinal else 1)
        constants += [
            onnx.numpy_helper.from_array(np.array(count), f"last{c}"), onnx.numpy_helper.from_array(table, f"table{c}"),
            onnx.numpy_helper.from_array(np.array([-1, count]), f"shape{c}"),
        ]  # fmt: skip
        nodes += [
            helper.make_node("LabelEncoder", [f"s{c}"], [f"place{c}"], domain=ML, keys_strings=words(c),
                             values_int64s=list(range(count)), default_int64=-1),
            helper.make_node("Less", [f"place{c}", "zero"], [f"unknown{c}"]),
            helper.make_node("Where", [f"unknown{c}", f"last{c}", f"place{c}"], [f"known{c}"]),
            helper.make_node("Gather", [f"table{c}", f"known{c}"], [f"deep{c}"]),
            helper.make_node("Reshape", [f"deep{c}", f"shape{c}"], [f"hot{c}"]),
        ]  # fmt: skip
    nodes.append(helper.make_node("Concat", ["scaled", "hot0", "hot1"], ["doubles"], axis=1))
    nodes += [helper.make_node("Cast", ["doubles"], ["all"], to=TensorProto.FLOAT), trees("all")]
    ports = [ob.value("a", "double", ["N", 1]), ob.value("b", "double", ["N", 1]), *PORTS]
    return ob.build(nodes, ports, SCORE, constants, opsets={"": 20, ML: 3})


def rewritten(graph: bytes) -> tuple[bytes, int, Rewritten]:
    coded = encode(graph)
    assert coded is not None
    count = len(coded.vocabulary)
    return coded.graph, count, plain_hot_columns(coded.graph, dict.fromkeys(coded.inputs, count))


def outputs(graph: bytes, feeds: dict[str, Any]) -> list[Any]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    found: list[Any] = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"]).run(None, feeds)
    return found


@pytest.mark.parametrize(("make", "kind"), [(exported, np.float32), (our_own, np.float64)])
def test_every_column_is_followed_to_its_source(make: Any, kind: Any) -> None:
    graph, count, made = rewritten(make())
    assert made.done == (HOT,)
    model = onnx.load_from_string(made.graph)
    columns = Columns(model).of(next(n.input[0] for n in model.graph.node if "Tree" in n.op_type), FEATURES)
    assert [type(column) for column in columns] == [Plain] * 2 + [Hot] * sum(COUNTS)
    rng = np.random.default_rng(0)
    feeds = {name: rng.normal(size=(2000, 1)).astype(kind) for name in "ab"}
    feeds["a"][::50] = np.nan
    feeds |= {f"s{c}": rng.integers(-1, count, (2000, 1)) for c in range(2)}
    np.testing.assert_array_equal(outputs(graph, feeds)[0], outputs(made.graph, feeds)[0])


def test_values_that_are_no_ones_stay_in_the_matrix() -> None:
    graph, _, made = rewritten(our_own(ordinal=True))
    assert made == Rewritten(graph)


def test_plain_encoders_stay_as_they_are() -> None:
    _, count, made = rewritten(exported())
    again = plain_hot_columns(made.graph, dict.fromkeys(("s0", "s1"), count))
    assert again == Rewritten(made.graph)


@pytest.mark.parametrize(("make", "kind"), [(exported, "float"), (our_own, "double")])
def test_a_session_scores_texts_as_the_graph_does(make: Any, kind: str, prepare: Any, tmp_path: Path) -> None:
    graph = make()
    inputs = tuple(InputBinding(name, "column", kind, (name,)) for name in "ab")
    inputs += tuple(InputBinding(name, "column", "string", (name,)) for name in ("s0", "s1"))
    types = dict.fromkeys("ab", "REAL" if kind == "float" else "DOUBLE") | dict.fromkeys(("s0", "s1"), "TEXT")
    function = prepare(graph, types, inputs, None, (OutputBinding("value", "score"),))
    rng = np.random.default_rng(1)
    dtype = np.float32 if kind == "float" else np.float64
    columns: dict[str, Any] = {name: rng.normal(size=5000).astype(dtype) for name in "ab"}
    columns |= {f"s{c}": rng.choice([*words(c), "unseen", ""], 5000) for c in range(2)}
    feeds = {name: v.astype(object if name[0] == "s" else dtype)[:, None] for name, v in columns.items()}
    expected = outputs(graph, feeds)[0][:, 0]
    for _ in range(2):  # made, then read from the cache
        with open_session(function, device="cpu", cache_dir=tmp_path / "cache") as session:
            found = session.score_table(pa.table(columns), keep=[])
        np.testing.assert_array_equal(found["value"].to_numpy().astype(np.float32), expected)
    (facts,) = (tmp_path / "cache").glob("runnable-*.json")
    assert HOT in facts.read_text()
