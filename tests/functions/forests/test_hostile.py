"""Files that are damaged, or made to do harm: one clear error each, soon, whichever library they claim to be from."""

from __future__ import annotations

import copy
import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sqlinfer.errors import ArtifactError
from sqlinfer.functions.forests import catboost_file, lightgbm_file, ubjson, xgboost_file
from sqlinfer.testing.patience import patience

Edit = Callable[[Any], Any]
SOON = 5.0
"""Seconds, on a busy machine."""


def refused(read: Callable[[], Any]) -> str:
    started = time.monotonic()
    with pytest.raises(ArtifactError) as caught:
        read()
    assert time.monotonic() - started < patience(SOON)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400
    return caught.value.message


# XGBoost

TREE = {
    "left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0],
    "split_conditions": [0.5, 1.0, 2.0], "default_left": [0, 0, 0], "split_type": [0, 0, 0],
    "categories": [], "categories_nodes": [], "categories_segments": [], "categories_sizes": [],
    "tree_param": {"num_nodes": "3", "size_leaf_vector": "1"},
}  # fmt: skip
BOOSTER = {
    "version": [3, 2, 0],
    "learner": {
        "attributes": {}, "feature_names": ["a", "b"], "feature_types": ["float", "float"],
        "learner_model_param": {"base_score": "[5E-1]", "num_class": "0", "num_feature": "2", "num_target": "1"},
        "objective": {"name": "reg:squarederror"},
        "gradient_booster": {
            "name": "gbtree",
            "model": {
                "gbtree_model_param": {"num_trees": "1"}, "iteration_indptr": [0, 1], "tree_info": [0], "trees": [TREE],
            },
        },
    },
}  # fmt: skip


def put(*path: str | int, value: Any) -> Edit:
    def edit(model: Any) -> Any:
        at = model
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        return model

    return edit


def in_tree(name: str, value: Any) -> Edit:
    return put("learner", "gradient_booster", "model", "trees", 0, name, value=value)


def parameter(name: str, value: Any) -> Edit:
    return put("learner", "learner_model_param", name, value=value)


def without(*path: str) -> Edit:
    def edit(model: Any) -> Any:
        at = model
        for key in path[:-1]:
            at = at[key]
        del at[path[-1]]
        return model

    return edit


def categories(**changed: Any) -> Edit:
    given = {"categories": [1], "categories_nodes": [0], "categories_segments": [0], "categories_sizes": [1]}

    def edit(model: Any) -> Any:
        model["learner"]["gradient_booster"]["model"]["trees"][0].update({**given, "split_type": [1, 0, 0], **changed})
        return model

    return edit


XGBOOST: dict[str, Edit] = {
    "a loop": in_tree("left_children", [0, -1, -1]),
    "two ways to one leaf": in_tree("left_children", [2, -1, -1]),
    "a child beyond the end": in_tree("right_children", [7, -1, -1]),
    "a negative child": in_tree("left_children", [-5, -1, -1]),
    "a huge child": in_tree("left_children", [2**62, -1, -1]),
    "a child that is no 64-bit number": in_tree("left_children", [2**80, -1, -1]),
    "a threshold that is no number": in_tree("split_conditions", [float("nan"), 1.0, 2.0]),
    "a weight that is no number": in_tree("split_conditions", [0.5, float("nan"), 2.0]),
    "an infinite weight": in_tree("split_conditions", [0.5, float("inf"), 2.0]),
    "a weight beyond floats": in_tree("split_conditions", [0.5, 1e300, 2.0]),
    "a feature beyond the last": in_tree("split_indices", [2, 0, 0]),
    "a negative feature": in_tree("split_indices", [-1, 0, 0]),
    "columns of two lengths": in_tree("split_conditions", [0.5, 1.0]),
    "a column of texts": in_tree("split_conditions", ["a", "b", "c"]),
    "a column of lists": in_tree("left_children", [[1], [-1], [-1]]),
    "a column that is a number": in_tree("left_children", 5),
    "a tree of no nodes": in_tree("tree_param", {"num_nodes": "0", "size_leaf_vector": "1"}),
    "a tree of other nodes than stated": in_tree("tree_param", {"num_nodes": "1000000000", "size_leaf_vector": "1"}),
    "leaves of more targets than there are": in_tree("tree_param", {"num_nodes": "3", "size_leaf_vector": "1000000"}),
    "more trees than stated": put("learner", "gradient_booster", "model", "tree_info", value=[0, 0]),
    "a huge number of trees": put(
        "learner", "gradient_booster", "model", "gbtree_model_param", value={"num_trees": "999999999"}
    ),
    "a target beyond the last": put("learner", "gradient_booster", "model", "tree_info", value=[3]),
    "a huge number of classes": parameter("num_class", "2000000000"),
    "a huge number of features": parameter("num_feature", "4000000000"),
    "another number of features than named": parameter("num_feature", "3"),
    "a base score that is no number": parameter("base_score", "[NaN]"),
    "a base score that is a text": parameter("base_score", "zero"),
    "base scores of other targets": parameter("base_score", "[1, 2, 3]"),
    "a best round that is negative": put(
        "learner", "attributes", value={"scikit_learn": "{}", "best_iteration": "-7"}
    ),
    "a split of categories without any": in_tree("split_type", [1, 0, 0]),
    "categories of a node beyond the end": categories(categories_nodes=[9]),
    "categories beyond the list": categories(categories_sizes=[1000000]),
    "categories before the list": categories(categories_segments=[-5]),
    "a linear booster": put("learner", "gradient_booster", "name", value="gblinear"),
    "an unknown booster": put("learner", "gradient_booster", "name", value="x" * 10000),
    "no trees": without("learner", "gradient_booster", "model", "trees"),
    "no objective": without("learner", "objective"),
    "a learner that is a list": put("learner", value=[]),
    "trees that are a text": put("learner", "gradient_booster", "model", "trees", value="x"),
}  # fmt: skip


def encoded(value: Any) -> bytes:
    """Universal Binary JSON in its plain form."""
    if isinstance(value, dict):
        return b"{" + b"".join(text(key) + encoded(one) for key, one in value.items()) + b"}"
    if isinstance(value, str):
        return b"S" + text(value)
    if isinstance(value, int):
        return b"L" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"D" + struct.pack(">d", value)
    return b"[" + b"".join(encoded(one) for one in value) + b"]"


def text(value: str) -> bytes:
    raw = value.encode()
    return b"L" + struct.pack(">q", len(raw)) + raw


@pytest.mark.parametrize("suffix", ["json", "ubj"])
def test_the_files_that_are_damaged_here_are_read_when_they_are_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(encoded(BOOSTER) if suffix == "ubj" else json.dumps(BOOSTER).encode())
    assert xgboost_file.read(path).names == ("a", "b")


@pytest.mark.parametrize("edit", XGBOOST.values(), ids=XGBOOST)
def test_xgboost_json(tmp_path: Path, edit: Edit) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(edit(copy.deepcopy(BOOSTER))))
    refused(lambda: xgboost_file.read(path))


@pytest.mark.parametrize("edit", [edit for name, edit in XGBOOST.items() if "64-bit" not in name])
def test_xgboost_ubj(tmp_path: Path, edit: Edit) -> None:
    path = tmp_path / "model.ubj"
    path.write_bytes(encoded(edit(copy.deepcopy(BOOSTER))))
    refused(lambda: xgboost_file.read(path))


WHOLE = encoded(BOOSTER)
BYTES = {
    "empty": b"",
    "spaces": b"   ",
    "a pickle": b"\x80\x04\x95\x00",
    "the old binary format": b"binf\x00\x00\x00?",
    "a zip archive": b"PK\x03\x04" + b"\0" * 40,
    "cut off json": json.dumps(BOOSTER).encode()[:200],
    "cut off": WHOLE[: len(WHOLE) // 2],
    "one byte short": WHOLE[:-1],
    "something after the end": WHOLE + b"{}",
    "a text that promises petabytes": b"{L" + struct.pack(">q", 2**50) + b"a",
    "a negative length": b"{l" + struct.pack(">i", -5) + b"abc",
    "a length that is a fraction": b"{D" + struct.pack(">d", 3.0) + b"abc",
    "an array that promises petabytes": b"{" + text("a") + b"[$D#L" + struct.pack(">q", 2**50),
    "values that take no room": b"{" + text("a") + b"[$Z#L" + struct.pack(">q", 2**40),
    "an object of nothing": b"{" + text("a") + b"{$T#L" + struct.pack(">q", 2**40),
    "a type without a count": b"{" + text("a") + b"[$D",
    "an unknown type": b"{" + text("a") + b"\xff",
    "nested lists": b"{" + text("a") + b"[" * 100_000,
    "nested objects": (b"{" + text("a")) * 50_000,
    "nested json": b'{"learner": ' + b"[" * 200_000,
    "a name that is not UTF-8": b"{L" + struct.pack(">q", 2) + b"\xff\xfe",
    "json that is not UTF-8": b'{"learner": {"a": "\xff\xfe"}}',
    "json that is no model": b'{"a": 1}',
    "a number alone": b"12",
}


@pytest.mark.parametrize("data", BYTES.values(), ids=BYTES)
def test_bytes_that_are_no_model_of_xgboost(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.ubj"
    path.write_bytes(data)
    assert "model.ubj" in refused(lambda: xgboost_file.read(path))


def test_every_cut_of_a_file_is_an_error() -> None:
    for end in range(len(WHOLE)):
        with pytest.raises(ValueError, match=r"."):
            ubjson.loads(WHOLE[:end])


# LightGBM

TEXT = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
objective=regression
feature_names=a b
feature_infos=[0:1] 0:1:2
tree_sizes=300

Tree=0
num_leaves=3
num_cat=1
split_feature=0 1
threshold=0.5 0
decision_type=2 1
left_child=1 -1
right_child=-3 -2
leaf_value=0.25 0.5 0.75
cat_boundaries=0 1
cat_threshold=5
is_linear=0
shrinkage=1


end of trees

parameters:
[categorical_feature: 1]
end of parameters

pandas_categorical:[["x", "y", "z"]]
"""


def line(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new)


LIGHTGBM = {
    "empty": "",
    "another first line": line("tree\nversion", "forest\nversion"),
    "cut off": TEXT[: TEXT.index("leaf_value")],
    "no end of the trees": line("end of trees", ""),
    "a loop": line("left_child=1 -1", "left_child=0 -1"),
    "a node reached twice": line("right_child=-3 -2", "right_child=1 -2"),
    "a leaf reached twice": line("right_child=-3 -2", "right_child=-3 -1"),
    "a child beyond the end": line("left_child=1 -1", "left_child=2 -1"),
    "a leaf beyond the last": line("right_child=-3 -2", "right_child=-4 -2"),
    "a child that is no 64-bit number": line("left_child=1", "left_child=99999999999999999999"),
    "a threshold that is no number": line("threshold=0.5", "threshold=nan"),
    "a threshold that is a word": line("threshold=0.5", "threshold=half"),
    "a weight that is no number": line("leaf_value=0.25", "leaf_value=nan"),
    "an infinite weight": line("leaf_value=0.25", "leaf_value=inf"),
    "fewer weights than leaves": line("leaf_value=0.25 ", "leaf_value="),
    "a huge number of leaves": line("num_leaves=3", "num_leaves=2000000000"),
    "a negative number of leaves": line("num_leaves=3", "num_leaves=-3"),
    "no number of leaves": line("num_leaves=3\n", ""),
    "a feature beyond the last": line("split_feature=0 1", "split_feature=0 2"),
    "a negative feature": line("split_feature=0 1", "split_feature=-1 1"),
    "an unknown decision": line("decision_type=2 1", "decision_type=12 1"),
    "a huge decision": line("decision_type=2 1", "decision_type=4096 1"),
    "a huge number of features": line("max_feature_idx=1", "max_feature_idx=2000000000"),
    "a negative number of features": line("max_feature_idx=1", "max_feature_idx=-9"),
    "another number of features than named": line("max_feature_idx=1", "max_feature_idx=2"),
    "a huge number of trees a round": line("num_tree_per_iteration=1", "num_tree_per_iteration=999999999"),
    "trees for another number of targets": line("num_tree_per_iteration=1", "num_tree_per_iteration=2"),
    "other trees than stated": line("tree_sizes=300", "tree_sizes=300 300"),
    "bits beyond the end": line("cat_boundaries=0 1", "cat_boundaries=0 1000000"),
    "bits backwards": line("cat_boundaries=0 1", "cat_boundaries=1 0"),
    "bits of no set": line("threshold=0.5 0", "threshold=0.5 7"),
    "bits that are no number": line("cat_threshold=5", "cat_threshold=five"),
    "bits beyond 32": line("cat_threshold=5", "cat_threshold=99999999999"),
    "a huge number of sets": line("num_cat=1", "num_cat=200000000"),
    "no sets": line("num_cat=1", "num_cat=0"),
    "categories that are no json": line('[["x", "y", "z"]]', "[["),
    "categories that are no lists": line('[["x", "y", "z"]]', '{"a": 1}'),
    "categories nested deeply": line('[["x", "y", "z"]]', "[" * 200_000),
    "categories of several columns": line('[["x", "y", "z"]]', '[["x"], ["y"], ["z"]]'),
    "categories of a column beyond the last": line("[categorical_feature: 1]", "[categorical_feature: 77]"),
    "categories of two kinds": line('[["x", "y", "z"]]', '[["x", 1, null]]'),
    "no names": line("feature_names=a b\n", ""),
}


def test_the_text_that_is_damaged_here_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    path.write_text(TEXT)
    found = lightgbm_file.read(path)
    assert (found.names, found.categories) == (("a", "b"), {1: ("x", "y", "z")})


@pytest.mark.parametrize("content", LIGHTGBM.values(), ids=LIGHTGBM)
def test_lightgbm_text(tmp_path: Path, content: str) -> None:
    path = tmp_path / "model.txt"
    path.write_text(content)
    refused(lambda: lightgbm_file.read(path))


@pytest.mark.parametrize("data", [b"\xff\xfetree", b"tree\nfeature_names=\xff\xfe", b"\x80\x04\x95", b"PK\x03\x04"])
def test_bytes_that_are_no_model_of_lightgbm(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.txt"
    path.write_bytes(data)
    refused(lambda: lightgbm_file.read(path))


# CatBoost

SPLIT = {"border": 0.5, "float_feature_index": 0, "split_index": 0, "split_type": "FloatFeature"}
CATBOOST = {
    "features_info": {"float_features": [
        {"borders": [0.5], "feature_index": 0, "flat_feature_index": 0, "nan_value_treatment": "AsIs"},
    ]},
    "oblivious_trees": [{"leaf_values": [1.0, 2.0], "leaf_weights": [1, 1], "splits": [SPLIT]}],
    "scale_and_bias": [1, [0]],
}  # fmt: skip


def nested(depth: int) -> str:
    """A tree of another growing policy, as text: too deep for an encoder."""
    split = json.dumps(SPLIT)
    inner = f'{{"left": {{"value": 1.0}}, "split": {split}, "right": ' * depth + '{"value": 1.0}' + "}" * depth
    whole = json.dumps({**CATBOOST, "oblivious_trees": [], "trees": ["HERE"]})
    return whole.replace('"HERE"', inner)


HOSTILE_CATBOOST: dict[str, Edit] = {
    "fewer weights than leaves": put("oblivious_trees", 0, "leaf_values", value=[1.0]),
    "more weights than leaves": put("oblivious_trees", 0, "leaf_values", value=[1.0] * 1000),
    "a weight that is no number": put("oblivious_trees", 0, "leaf_values", value=[1.0, float("nan")]),
    "a tree of forty levels": put("oblivious_trees", 0, "splits", value=[SPLIT] * 40),
    "a tree of a million levels": put("oblivious_trees", 0, "splits", value=[SPLIT] * 1_000_000),
    "a border that is no number": put("oblivious_trees", 0, "splits", 0, "border", value=float("nan")),
    "a border that is a text": put("oblivious_trees", 0, "splits", 0, "border", value="x"),
    "a feature beyond the last": put("oblivious_trees", 0, "splits", 0, "float_feature_index", value=7),
    "a split of another kind": put("oblivious_trees", 0, "splits", 0, "split_type", value="OnlineCtr"),
    "a huge place of a feature": put("features_info", "float_features", 0, "flat_feature_index", value=2**40),
    "a negative place of a feature": put("features_info", "float_features", 0, "flat_feature_index", value=-1),
    "unknown missing values": put("features_info", "float_features", 0, "nan_value_treatment", value="Sometimes"),
    "a bias that is no number": put("scale_and_bias", value=[1, [float("nan")]]),
    "a bias of other targets": put("scale_and_bias", value=[1, [0, 0, 0]]),
    "a scale that is a text": put("scale_and_bias", value=["x", [0]]),
    "trees that are a number": put("oblivious_trees", value=5),
    "no features": without("features_info"),
}  # fmt: skip


def test_the_model_that_is_damaged_here_is_read_when_it_is_whole() -> None:
    assert len(catboost_file.read(json.dumps(CATBOOST).encode(), "the model").trees) == 3
    assert len(catboost_file.read(nested(150).encode(), "the model").trees) == 301


@pytest.mark.parametrize("edit", HOSTILE_CATBOOST.values(), ids=HOSTILE_CATBOOST)
def test_catboost_json(edit: Edit) -> None:
    data = json.dumps(edit(copy.deepcopy(CATBOOST))).encode()
    refused(lambda: catboost_file.read(data, "the model"))


@pytest.mark.parametrize("data", [
    b"", b"CBM1", b"\xff\xfe", b"[]", b"{", b'{"features_info": ' + b"[" * 200_000, nested(300).encode(),
    nested(100_000).encode(), b"PK\x03\x04",
], ids=range(9))  # fmt: skip
def test_bytes_that_are_no_model_of_catboost(data: bytes) -> None:
    refused(lambda: catboost_file.read(data, "the model"))
