"""Graphs over integer codes give the results of the graphs over strings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pyarrow as pa
import pytest
from onnx import helper

from sqlinfer.inference import open_session
from sqlinfer.inference.codes import codes_of
from sqlinfer.inference.graphs.categories import encode
from sqlinfer.spec.function import InputBinding, OutputBinding
from sqlinfer.testing.onnx_builder import build, constant, identity, value

ML = "ai.onnx.ml"
SEEN = ["red", "green", "", "blü"]
TEXTS = ["red", "unseen", "", "blü", "green", "Red", "red ", "other"]


def one_hot() -> bytes:
    node = helper.make_node("OneHotEncoder", ["s"], ["y"], domain=ML, cats_strings=SEEN, zeros=1)
    return build([node], [value("s", "string", ["N"])], [value("y", "float", ["N", len(SEEN)])])


def label_encoder(values: str) -> bytes:
    mapped = {"values_floats": [1.5, 2.5, 3.5, 4.5], "default_float": -7.0}
    if values == "int":
        mapped = {"values_int64s": [1, 2, 3, 4], "default_int64": -7}
    node = helper.make_node("LabelEncoder", ["s"], ["y"], domain=ML, keys_strings=SEEN, **mapped)
    return build([node], [value("s", "string", ["N"])], [value("y", "int64" if values == "int" else "float", ["N"])])


def text_to_text() -> bytes:
    node = helper.make_node(
        "LabelEncoder", ["s"], ["y"], domain=ML, keys_strings=SEEN, values_strings=list("abcd"), default_string="?"
    )
    return build([node], [value("s", "string", ["N"])], [value("y", "string", ["N"])])


def category_mapper() -> bytes:
    node = helper.make_node(
        "CategoryMapper", ["s"], ["y"], domain=ML, cats_strings=SEEN, cats_int64s=[5, 6, 7, 8], default_int64=-3
    )
    return build([node], [value("s", "string", ["N"])], [value("y", "int64", ["N"])])


def equal() -> bytes:
    nodes = [helper.make_node("Equal", ["s", "c"], ["same"]), helper.make_node("Cast", ["same"], ["y"], to=1)]
    return build(
        nodes,
        [value("s", "string", ["N"])],
        [value("y", "float", ["N"])],
        [constant("c", ["green"], "string")],
        opsets={"": 19},
    )


def moved() -> bytes:
    """As skl2onnx writes it: columns put together, moved about, taken apart again."""
    nodes = [
        helper.make_node("Reshape", ["s", "shape"], ["column"]),
        helper.make_node("Concat", ["column", "column"], ["both"], axis=1),
        helper.make_node("Cast", ["both"], ["texts"], to=8),
        helper.make_node("ArrayFeatureExtractor", ["texts", "second"], ["one"], domain=ML),
        helper.make_node("OneHotEncoder", ["one"], ["hot"], domain=ML, cats_strings=SEEN, zeros=1),
        helper.make_node("Flatten", ["hot"], ["y"]),
    ]
    consts = [constant("shape", [-1, 1], "int64"), constant("second", [1], "int64")]
    return build(nodes, [value("s", "string", ["N"])], [value("y", "float", ["N", len(SEEN)])], consts)


GRAPHS = {
    "one_hot": one_hot(),
    "label_float": label_encoder("float"),
    "label_int": label_encoder("int"),
    "label_text": text_to_text(),
    "mapper": category_mapper(),
    "equal": equal(),
    "moved": moved(),
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("dictionary", [False, True])
def test_codes_and_strings_give_the_same(name: str, dictionary: bool) -> None:
    graph = GRAPHS[name]
    encoded = encode(graph)
    assert encoded is not None
    column = pa.array(TEXTS).dictionary_encode() if dictionary else pa.array(TEXTS)
    codes = codes_of(column, pa.array(encoded.vocabulary, pa.large_string()))
    expected = ort.InferenceSession(graph).run(None, {"s": np.array(TEXTS, dtype=object)})[0]
    result = ort.InferenceSession(encoded.graph).run(None, {"s": codes})[0]
    assert result.dtype == expected.dtype
    assert result.tolist() == expected.tolist()


def lower_case() -> bytes:
    node = helper.make_node("StringNormalizer", ["s"], ["y"], case_change_action="LOWER")
    return build([node], [value("s", "string", ["N"])], [value("y", "string", ["N"])])


def two_columns_compared() -> bytes:
    nodes = [helper.make_node("Equal", ["s", "t"], ["same"]), helper.make_node("Cast", ["same"], ["y"], to=1)]
    ports = [value("s", "string", ["N"]), value("t", "string", ["N"])]
    return build(nodes, ports, [value("y", "float", ["N"])], opsets={"": 19})


@pytest.mark.parametrize("graph", [lower_case(), two_columns_compared(), identity("string"), identity("float")])
def test_other_uses_of_strings_are_left_alone(graph: bytes) -> None:
    assert encode(graph) is None


def test_the_original_is_not_changed() -> None:
    before = onnx.load_from_string(GRAPHS["moved"]).SerializeToString(deterministic=True)
    encode(GRAPHS["moved"])
    assert onnx.load_from_string(GRAPHS["moved"]).SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("cached", [False, True])
def test_a_session_uses_codes_by_itself(prepare, tmp_path: Path, cached: bool) -> None:
    inputs = (InputBinding("s", "vector", "string", ("s",)),)
    function = prepare(GRAPHS["label_float"], {"s": "TEXT"}, inputs, bindings=(OutputBinding("value", "y"),))
    table = pa.table({"s": ["green", None, "unseen", "red"]})
    cache = tmp_path / "cache" if cached else None
    for _ in range(2):
        with open_session(function, device="cpu", cache_dir=cache) as session:
            assert session._assembler._coded is not None
            assert session.score_table(table, keep=[])["value"].to_pylist() == [2.5, None, -7.0, 1.5]


def test_a_graph_that_cannot_be_encoded_runs_on_strings(prepare, tmp_path: Path) -> None:
    inputs = (InputBinding("s", "vector", "string", ("s",)),)
    function = prepare(
        identity("string", name="s"), {"s": "TEXT"}, inputs, {"value": "TEXT"}, (OutputBinding("value", "y"),)
    )
    for _ in range(2):
        with open_session(function, device="cpu", cache_dir=tmp_path / "cache") as session:
            result = session.score_table(pa.table({"s": ["AB", None, "c"]}), keep=[])
            assert result["value"].to_pylist() == ["AB", None, "c"]
