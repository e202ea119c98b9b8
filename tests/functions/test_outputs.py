"""Declared returns choose and shape the graph's outputs; post-processing runs inside the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sqlinfer.project.values import ReturnField, TokenizerConfig
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.workshop import Workshop, score

AB = (("a", "REAL"), ("b", "REAL"))
X = np.float32([[1, 2], [-3, 0.5], [0, 0]])
WEIGHTS = ((1.0, -1.0), (0.5, 0.25), (-2.0, 1.0))
TEXT = [("t", "TEXT")]


def softmax(z: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def logits(width: int = 3) -> bytes:
    """features [N,2] → logits [N,width], without activation."""
    node = helper.make_node("MatMul", ["features", "w"], ["logits"])
    weights = ob.constant("w", np.float32(WEIGHTS).T[:, :width].tolist())
    return ob.build(
        [node], [ob.value("features", "float", ["N", 2])], [ob.value("logits", "float", ["N", width])], [weights]
    )


LOGITS = X @ np.float32(WEIGHTS).T


def test_a_column_comes_back_flat(shop: Workshop) -> None:
    got = score(shop.make(ob.linear([1.0, 2.0], 0.5), AB), {"features": X})["value"]
    assert got.shape == (3,)
    np.testing.assert_allclose(got, X @ [1.0, 2.0] + 0.5, rtol=1e-6)


def test_an_undeclared_type_is_taken_from_the_graph(shop: Workshop) -> None:
    assert shop.make(ob.linear([1.0, 2.0]), AB, ReturnField("value")).contract.return_type == "REAL"
    assert shop.make(ob.vector(4), [("x", "REAL")], ReturnField("value"), name="v").contract.return_type == "REAL[4]"


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("pick", [{"index": 1}, {"key": "Yes"}, {"index": -1}])
def test_a_class_is_picked_by_index_or_by_label(shop: Workshop, zipmap: bool, pick: dict[str, Any]) -> None:
    data = ob.classifier_zipmap(WEIGHTS[:2], zipmap=zipmap)
    prepared = shop.make(data, AB, ReturnField("value", "DOUBLE", output="probabilities", **pick))
    expected = softmax(X @ np.float32(WEIGHTS[:2]).T)[:, 1]
    np.testing.assert_allclose(score(prepared, {"features": X})["value"], expected, rtol=1e-5)


def test_zipmap_is_gone_from_the_prepared_graph(shop: Workshop) -> None:
    field = ReturnField("value", "REAL[2]", output="probabilities")
    prepared = shop.make(ob.classifier_zipmap(WEIGHTS[:2]), AB, field)
    graph = onnx.load(prepared.graph).graph
    assert "ZipMap" not in {n.op_type for n in graph.node}
    expected = softmax(X @ np.float32(WEIGHTS[:2]).T)
    np.testing.assert_allclose(score(prepared, {"features": X})["value"], expected, rtol=1e-5)


@pytest.mark.parametrize("labels", [(0, 1), ("0", "1")])
def test_integer_classes_can_be_named(shop: Workshop, labels: tuple[Any, ...]) -> None:
    data = ob.classifier_zipmap(WEIGHTS[:2], labels=labels)
    prepared = shop.make(data, AB, ReturnField("value", "DOUBLE", output="probabilities", key=1))
    expected = softmax(X @ np.float32(WEIGHTS[:2]).T)[:, 1]
    np.testing.assert_allclose(score(prepared, {"features": X})["value"], expected, rtol=1e-5)


def test_label_and_probability_make_a_struct(shop: Workshop) -> None:
    fields = (ReturnField("label", "TEXT"), ReturnField("probability", "DOUBLE", output="probabilities", key="Yes"))
    prepared = shop.make(ob.classifier_zipmap(WEIGHTS[:2]), AB, fields, is_struct=True)
    assert prepared.contract.return_type == 'STRUCT("label" TEXT, "probability" DOUBLE)'
    got = score(prepared, {"features": X})
    assert got["label"].tolist() == ["Yes" if p > 0.5 else "No" for p in got["probability"]]


def test_the_declared_type_alone_can_name_the_output(shop: Workshop) -> None:
    prepared = shop.make(ob.classifier_zipmap(WEIGHTS[:2]), AB, "TEXT")
    assert prepared.outputs[0].name == "label"
    nodes = {n.op_type for n in onnx.load(prepared.graph).graph.node}
    assert nodes == {"LinearClassifier", "IsNaN", "Cast", "Reshape", "ReduceMax"}, "the label, and where it is of NaN"


def test_which_output_must_be_spelled_where_the_type_does_not_tell(shop: Workshop) -> None:
    error = shop.refused(ob.classifier_zipmap(labels=(0, 1)), AB, "DOUBLE")
    assert "no single output fits DOUBLE" in error.message
    assert "graph outputs: label int64[N], probabilities float[N,2] (classes 0, 1)" in error.message
    assert "spell 'output:' (one of label, probabilities)" in (error.hint or "")


def test_softmax_runs_in_the_graph(shop: Workshop) -> None:
    prepared = shop.make(logits(), AB, ReturnField("value", "REAL[3]", activation="softmax"))
    np.testing.assert_allclose(score(prepared, {"features": X})["value"], softmax(LOGITS), rtol=1e-5)


def test_sigmoid_of_one_column(shop: Workshop) -> None:
    prepared = shop.make(logits(), AB, ReturnField("value", "DOUBLE", activation="sigmoid", index=2))
    np.testing.assert_allclose(score(prepared, {"features": X})["value"], 1 / (1 + np.exp(-LOGITS[:, 2])), rtol=1e-5)


def test_argmax_gives_the_index(shop: Workshop) -> None:
    prepared = shop.make(logits(), AB, ReturnField("value", "INT", argmax=True))
    assert score(prepared, {"features": X})["value"].tolist() == LOGITS.argmax(axis=1).tolist()


def test_argmax_with_labels_gives_texts(shop: Workshop) -> None:
    labels = ("low", "mid", "high")
    prepared = shop.make(logits(), AB, ReturnField("value", "TEXT", argmax=True, labels=labels))
    assert score(prepared, {"features": X})["value"].tolist() == [labels[i] for i in LOGITS.argmax(axis=1)]


def test_argmax_takes_the_graphs_own_class_names(shop: Workshop) -> None:
    prepared = shop.make(
        ob.classifier_zipmap(WEIGHTS[:2]), AB, ReturnField("value", "TEXT", output="probabilities", argmax=True)
    )
    assert prepared.outputs[0].labels == ("No", "Yes")


def test_vectors_are_normalised(shop: Workshop) -> None:
    prepared = shop.make(logits(), AB, ReturnField("value", "REAL[3]", normalize=True))
    got = score(prepared, {"features": X})["value"]
    np.testing.assert_allclose(np.linalg.norm(got[:2], axis=1), [1, 1], rtol=1e-5)
    assert np.isfinite(got).all(), "a zero vector stays zero"


@pytest.mark.parametrize("opset", [11, 17])
def test_mean_pooling_ignores_padding(shop: Workshop, opset: int) -> None:
    prepared = shop.make(
        hidden(opset), TEXT, ReturnField("value", "REAL[2]", pooling="mean"), tokenizer=tokenizer(shop)
    )
    ids = np.int64([[1, 2, 3], [4, 0, 0], [0, 0, 0]])
    mask = np.int64([[1, 1, 1], [1, 0, 0], [0, 0, 0]])
    table = np.arange(10, dtype=np.float32).reshape(5, 2)
    got = score(prepared, {"input_ids": ids, "attention_mask": mask})["value"]
    np.testing.assert_allclose(got, [table[[1, 2, 3]].mean(axis=0), table[4], [0, 0]], rtol=1e-5)


def test_cls_pooling_takes_the_first_token(shop: Workshop) -> None:
    prepared = shop.make(hidden(17), TEXT, ReturnField("value", "REAL[2]", pooling="cls"), tokenizer=tokenizer(shop))
    feeds = {"input_ids": np.int64([[3, 1]]), "attention_mask": np.int64([[1, 1]])}
    assert score(prepared, feeds)["value"].tolist() == [[6.0, 7.0]]


def test_an_encoder_is_pooled_and_normalised(shop: Workshop) -> None:
    field = ReturnField("value", "REAL[8]", pooling="mean", normalize=True)
    prepared = shop.make(ob.encoder(types=True), TEXT, field, tokenizer=tokenizer(shop))
    assert [b.token_field for b in prepared.inputs] == ["input_ids", "attention_mask", "token_type_ids"]
    assert prepared.contract.strategy == "store"
    assert prepared.tokenizer is not None
    assert prepared.tokenizer.path.parent == prepared.folder
    ones = np.ones((2, 3), dtype=np.int64)
    got = score(prepared, {"input_ids": ones * [[3], [4]], "attention_mask": ones, "token_type_ids": ones})["value"]
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, rtol=1e-5)


def test_half_precision_comes_back_as_float(shop: Workshop) -> None:
    prepared = shop.make(ob.identity("float16"), [("x", "REAL")], "REAL")
    assert score(prepared, {"x": np.float16([1.5, 2])})["value"].dtype == np.float32


@pytest.mark.parametrize(
    ("field", "message", "hint"),
    [
        (ReturnField("value", "DOUBLE", output="probabilitys"), "has no output 'probabilitys'", "'probabilities'"),
        (ReturnField("value", "DOUBLE", output="probabilities", index=2), "index 2 is out of range", "use 0 to 1"),
        (ReturnField("value", "DOUBLE", output="probabilities", index=-3), "index -3 is out of range", "use 0 to 1"),
        (ReturnField("value", "DOUBLE", output="probabilities", key="Maybe"), "no class 'Maybe'", "known: No, Yes"),
        (ReturnField("value", "DOUBLE", output="probabilities"), "has several columns", "pick a column"),
        (ReturnField("value", "REAL[3]", output="probabilities"), "has 2 columns", None),
        (ReturnField("value", "REAL[2]", output="label"), "is one value per row", "declare a scalar type"),
        (ReturnField("value", "BIGINT", output="probabilities", index=0), "BIGINT cannot represent", "declare it as"),
        (ReturnField("value", "DOUBLE", output="label"), "which DOUBLE cannot represent", "declare it as text"),
        (ReturnField("value", "TEXT", output="probabilities", index=1), "which TEXT cannot represent", "as real"),
        (ReturnField("value", "TEXT", output="label", index=0), "'index:' needs an output of shape [N,K]", None),
        (ReturnField("value", "REAL[2]", output="label", pooling="mean"), "'pooling:' needs an output of shape", None),
        (ReturnField("value", "TEXT", output="label", labels=("a", "b")), "not [N] of integers", "argmax"),
    ],
)  # fmt: skip
def test_an_impossible_output_lists_the_graphs_outputs(
    shop: Workshop, field: ReturnField, message: str, hint: str | None
) -> None:
    error = shop.refused(ob.classifier_zipmap(), AB, field)
    assert message in error.message
    assert "graph outputs: label string[N], probabilities float[N,2] (classes No, Yes)" in error.message
    assert hint is None or hint in (error.hint or "")


@pytest.mark.parametrize(
    ("element", "data_type", "fits"),
    [
        ("int64", "BIGINT", True), ("int64", "INT", False), ("int32", "BIGINT", True), ("int64", "DOUBLE", True),
        ("float", "DOUBLE", True), ("double", "REAL", True), ("bool", "BOOLEAN", True), ("string", "TEXT", True),
        ("string", "BIGINT", False), ("float", "INT", False), ("uint8", "TINYINT", False), ("uint8", "SMALLINT", True),
    ],
)  # fmt: skip
def test_a_declared_type_must_hold_the_tensor(shop: Workshop, element: str, data_type: str, fits: bool) -> None:
    argument = {"string": "TEXT", "bool": "BOOLEAN", "uint8": "UTINYINT", "int32": "INT", "int64": "BIGINT"}
    arguments = [("x", argument.get(element, "DOUBLE"))]
    if fits:
        assert shop.make(ob.identity(element), arguments, data_type).contract.return_type == data_type
    else:
        assert f"{data_type} cannot represent" in shop.refused(ob.identity(element), arguments, data_type).message


def test_tokens_without_pooling_are_refused(shop: Workshop) -> None:
    error = shop.refused(hidden(17), TEXT, "REAL[2]", tokenizer=tokenizer(shop))
    assert "has one vector per token" in error.message
    assert error.hint == "declare 'pooling: mean' or 'pooling: cls'"


def test_a_sequence_that_is_no_zipmap_is_refused(shop: Workshop) -> None:
    node = helper.make_node("SplitToSequence", ["x"], ["parts"], axis=0)
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    data = ob.build([node], [ob.value("x", "float", ["N"])], [helper.make_value_info("parts", kind)])
    assert "output 'parts' is a sequence, not a tensor" in shop.refused(data, [("x", "REAL")], "REAL").message


def test_unused_branches_leave_the_graph(shop: Workshop) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["kept"]), helper.make_node("MatMul", ["x", "big"], ["dead"])]
    outputs = [ob.value("kept", "float", ["N", 2]), ob.value("dead", "float", ["N", 50])]
    big = ob.constant("big", [0.0] * 100, shape=(2, 50))
    data = ob.build(nodes, [ob.value("x", "float", ["N", 2])], outputs, [big])
    graph = onnx.load(shop.make(data, AB, ReturnField("value", "REAL[2]", output="kept")).graph).graph
    assert ([n.op_type for n in graph.node], len(graph.initializer)) == (["Relu"], 0)


def hidden(opset: int) -> bytes:
    node = helper.make_node("Gather", ["table", "input_ids"], ["hidden"])
    ports = [ob.value(name, "int64", ["N", "T"]) for name in ("input_ids", "attention_mask")]
    table = ob.constant("table", [float(i) for i in range(10)], shape=(5, 2))
    return ob.build([node], ports, [ob.value("hidden", "float", ["N", "T", 2])], [table], opsets={"": opset})


def tokenizer(shop: Workshop) -> TokenizerConfig:
    path = shop.folder / "tokenizer.json"
    path.write_text('{"model": {}}')
    return TokenizerConfig(path)


def reshaped(*shape: int | str, element: str = "float") -> bytes:
    """features [N,K] → y of this shape after the batch."""
    sizes = [size for size in shape if isinstance(size, int)]
    width = int(np.prod(sizes)) if sizes else 1
    target = ob.constant("shape", [-1, *(size if isinstance(size, int) else 1 for size in shape)], "int64")
    node = helper.make_node("Reshape", ["features", "shape"], ["y"])
    return ob.build(
        [node], [ob.value("features", element, ["N", width])], [ob.value("y", element, ["N", *shape])], [target]
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize("data_type", ["DOUBLE", None])
def test_one_value_however_deep_is_a_scalar(shop: Workshop, shape: tuple[int, ...], data_type: str | None) -> None:
    prepared = shop.make(reshaped(*shape), [("x", "REAL")], ReturnField("value", data_type))
    assert prepared.contract.return_type == (data_type or "REAL")
    assert score(prepared, {"features": np.float32([[1], [2]])})["value"].tolist() == [1, 2]


@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 3), (1, 3, 1)])
def test_axes_of_one_fall_away_from_a_vector(shop: Workshop, shape: tuple[int, ...]) -> None:
    arguments = [(name, "REAL") for name in "abc"]
    prepared = shop.make(reshaped(*shape), arguments, ReturnField("value"))
    assert prepared.contract.return_type == "REAL[3]"
    assert score(prepared, {"features": np.float32([[1, 2, 3]])})["value"].tolist() == [[1, 2, 3]]
    picked = shop.make(reshaped(*shape), arguments, ReturnField("value", "REAL", index=2), name="p")
    assert score(picked, {"features": np.float32([[1, 2, 3]])})["value"].tolist() == [3]


def test_deeper_values_are_one_vector_where_one_is_declared(shop: Workshop) -> None:
    arguments = [(name, "REAL") for name in "abcd"]
    prepared = shop.make(reshaped(2, 2), arguments, ReturnField("value", "REAL[4]"))
    assert score(prepared, {"features": np.float32([[1, 2, 3, 4]])})["value"].tolist() == [[1, 2, 3, 4]]
    error = shop.refused(reshaped(2, 2), arguments, ReturnField("value", "REAL[5]"), name="g")
    assert "real[4]" in (error.hint or "")


def test_the_only_output_is_taken_where_nothing_is_declared(shop: Workshop) -> None:
    prepared = shop.make(ob.linear([1.0, 2.0]), AB, ())
    assert (prepared.contract.return_type, prepared.contract.is_struct) == ("REAL", False)


def test_several_outputs_are_a_struct_where_nothing_is_declared(shop: Workshop) -> None:
    prepared = shop.make(ob.classifier_zipmap(WEIGHTS[:2]), AB, ())
    assert prepared.contract.return_type == 'STRUCT("label" TEXT, "probabilities" REAL[2])'
    assert prepared.contract.is_struct
    got = score(prepared, {"features": X})
    assert got["label"].tolist() == ["Yes" if p > 0.5 else "No" for p in got["probabilities"][:, 1]]


def test_fields_of_undeclared_outputs_can_be_spelled_in_sql(shop: Workshop) -> None:
    names = ["a:0", "a/0", "A.0", "—"]
    nodes = [helper.make_node("Add", ["features", "features"], [name]) for name in names]
    outputs = [ob.value(name, "float", ["N", 1]) for name in names]
    prepared = shop.make(ob.build(nodes, [ob.value("features", "float", ["N", 1])], outputs), [("x", "REAL")], ())
    assert [output.name for output in prepared.contract.outputs] == ["a_0", "a_0_1", "A_0_2", "output"]


@pytest.mark.parametrize("labels", [("low", "high"), ("a", "b", "c", "d")])
@pytest.mark.parametrize("how", [{"argmax": True, "data_type": "TEXT"}, {"key": "a", "data_type": "REAL"}])
def test_labels_are_counted_against_the_columns(shop: Workshop, labels: tuple[str, ...], how: dict[str, Any]) -> None:
    error = shop.refused(logits(), AB, ReturnField("value", labels=(*labels[:-1], "a"), **how))
    assert f"{len(labels)} labels for the 3 columns of output 'logits float[N,3]'" in error.message


@pytest.mark.parametrize(("classes", "labels", "fits"), [
    ((0, 1), ("no", "yes"), True), ((1, 2), ("no", "yes"), False), ((0, 1), ("no",), False),
])  # fmt: skip
def test_labels_are_counted_against_the_classes(
    shop: Workshop, classes: tuple[int, ...], labels: tuple[str, ...], fits: bool
) -> None:
    data = ob.classifier_zipmap(WEIGHTS[:2], labels=classes)
    field = ReturnField("value", "TEXT", output="label", labels=labels)
    if fits:
        assert shop.make(data, AB, field).outputs[0].labels == labels
    else:
        error = shop.refused(data, AB, field)
        assert f"the classes of output 'label' go from {classes[0]} to {classes[1]}" in error.message
