"""Arguments meet graph inputs, or the error names both sides."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from sqlinfer.project.values import ImageConfig
from sqlinfer.spec.function import InputBinding
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.workshop import Workshop, score


def test_one_input_per_argument_is_found_by_name_whatever_the_case_and_order(shop: Workshop) -> None:
    prepared = shop.make(
        ob.linear([1.0, 10.0], inputs=["Tenure", "fee"], packed=False), [("FEE", "DOUBLE"), ("tenure", "INT")]
    )
    assert prepared.inputs == (
        InputBinding("Tenure", "column", "float", ("tenure",), 1),
        InputBinding("fee", "column", "float", ("FEE",), 1),
    )


@pytest.mark.parametrize(
    ("element", "data_type"),
    [
        ("float", "DOUBLE"),
        ("double", "DOUBLE"),
        ("int64", "INT"),
        ("int64", "BIGINT"),
        ("string", "TEXT"),
        ("bool", "BOOLEAN"),
    ],
)
@pytest.mark.parametrize(("column", "layout"), [(False, "vector"), (True, "column")])
def test_any_element_type_feeds_a_vector_or_a_column(
    shop: Workshop, element: str, data_type: str, column: bool, layout: str
) -> None:
    returns = {"float": "REAL", "int64": "BIGINT"}.get(element, data_type)
    prepared = shop.make(ob.identity(element, column=column), [("x", data_type)], returns)
    (binding,) = prepared.inputs
    assert (binding.layout, binding.element_type, binding.arguments) == (layout, element, ("x",))


def test_numeric_arguments_are_packed_in_declared_order(shop: Workshop) -> None:
    prepared = shop.make(ob.linear([1.0, 10.0, 100.0]), [("c", "DOUBLE"), ("a", "INT"), ("b", "BOOLEAN")])
    assert prepared.inputs == (InputBinding("features", "packed", "float", ("c", "a", "b"), 3),)
    np.testing.assert_allclose(score(prepared, {"features": np.float32([[1, 2, 3]])})["value"], [321.0])


def test_a_lone_argument_feeds_a_lone_input_of_another_name(shop: Workshop) -> None:
    assert shop.make(ob.string_lookup(), [("plan", "TEXT")]).inputs[0].arguments == ("plan",)


def test_a_list_argument_feeds_a_matrix(shop: Workshop) -> None:
    assert shop.make(ob.array_sum(4), [("v", "REAL[4]")]).inputs == (InputBinding("v", "array", "float", ("v",), 4),)
    assert shop.make(ob.array_sum(None), [("v", "REAL[]")], name="g").inputs[0].width is None


def test_inputs_can_be_spelled(shop: Workshop) -> None:
    prepared = shop.make(ob.linear([1.0, 10.0]), [("a", "DOUBLE"), ("b", "DOUBLE")], inputs={"features": ("b", "a")})
    assert prepared.inputs[0].arguments == ("b", "a")


def test_spelled_and_named_inputs_mix(shop: Workshop) -> None:
    nodes = [
        helper.make_node("ReduceSum", ["m", "axes"], ["s"], keepdims=1),
        helper.make_node("Add", ["s", "x"], ["y"]),
    ]
    ports = [ob.value("m", "float", ["N", 2]), ob.value("x", "float", ["N", 1])]
    data = ob.build(nodes, ports, [ob.value("y", "float", ["N", 1])], [ob.constant("axes", [1], "int64")])
    prepared = shop.make(data, [("a", "REAL"), ("b", "REAL"), ("x", "REAL")], inputs={"m": ("a", "b")})
    assert [(b.layout, b.arguments) for b in prepared.inputs] == [("packed", ("a", "b")), ("column", ("x",))]


def test_an_image_feeds_the_input_of_rank_four(shop: Workshop) -> None:
    node = helper.make_node("GlobalAveragePool", ["pixels"], ["pooled"])
    flat = helper.make_node("Flatten", ["pooled"], ["y"])
    data = ob.build([node, flat], [ob.value("pixels", "float", ["N", 3, 8, 8])], [ob.value("y", "float", ["N", 3])])
    prepared = shop.make(data, [("photo", "BLOB")], "REAL[3]", image=ImageConfig(None, (8, 8)))
    assert prepared.inputs[0].layout == "image"
    assert prepared.image is not None
    assert prepared.image.argument == "photo"


@pytest.mark.parametrize(
    ("arguments", "options", "message", "hint"),
    [
        ([("a", "REAL")], {}, "takes 2 features, 1 argument would be packed into it (a)", "declare 2 arguments"),
        ([("a", "REAL"), ("b", "TEXT")], {}, "argument 'b' is TEXT: only numeric", "one input per"),
        ([("a", "REAL[3]")], {}, "argument 'a' has 3 elements, graph input 'features' takes 2", "real[2]"),
        ([("a", "REAL"), ("b", "REAL")], {"inputs": {"feature": ("a", "b")}}, "'inputs:' names 'feature'", "did you"),
        ([("a", "REAL"), ("b", "REAL")], {"inputs": {"features": ("a", "c")}}, "from 'c', which is not", "known"),
        ([("a", "REAL"), ("b", "REAL"), ("c", "REAL")], {"inputs": {"features": ("a", "b")}}, "'c' feeds no", "inputs"),
        ([("a", "DATE"), ("b", "REAL")], {}, "argument 'a' is DATE: only numeric", "one input per column"),
    ],
)  # fmt: skip
def test_a_packed_mismatch_names_both_sides(
    shop: Workshop, arguments: list[tuple[str, str]], options: dict[str, object], message: str, hint: str
) -> None:
    error = shop.refused(ob.linear([1.0, 1.0]), arguments, **options)
    assert message in error.message
    assert hint in (error.hint or "")
    assert "graph inputs: features float[N,2]" in error.message
    assert "arguments declared: " + (", ".join(f"{n} {t}" for n, t in arguments) or "none") in error.message


@pytest.mark.parametrize(
    ("element", "data_type", "fits"),
    [
        ("string", "DOUBLE", False), ("float", "TEXT", False), ("int64", "DOUBLE", False), ("int32", "BIGINT", False),
        ("int64", "TEXT", False), ("bool", "INT", False), ("int8", "SMALLINT", False), ("uint8", "TINYINT", False),
        ("uint8", "UTINYINT", True), ("int64", "UINTEGER", True), ("double", "DECIMAL(10, 2)", True),
    ],
)  # fmt: skip
def test_an_element_type_that_cannot_hold_the_argument_is_refused(
    shop: Workshop, element: str, data_type: str, fits: bool
) -> None:
    returns = {"string": "TEXT", "float": "REAL", "double": "DOUBLE", "bool": "BOOLEAN"}.get(element, "BIGINT")
    if fits:
        assert shop.make(ob.identity(element), [("x", data_type)], returns).inputs
        return
    error = shop.refused(ob.identity(element), [("x", data_type)], returns)
    assert f"argument 'x' is {data_type}, graph input 'x' takes {element}" in error.message
    assert "declare the argument as" in (error.hint or "")


def test_names_that_do_not_match_get_a_suggestion(shop: Workshop) -> None:
    data = ob.linear([1.0, 1.0], inputs=["tenure", "charges"], packed=False)
    error = shop.refused(data, [("tenur", "REAL"), ("charges", "REAL")])
    assert "do not match graph inputs 'tenure', 'charges' by name" in error.message
    assert error.hint == "did you mean 'tenure'?"


def test_too_many_arguments_for_a_vector_input(shop: Workshop) -> None:
    error = shop.refused(ob.identity("float"), [("a", "REAL"), ("b", "REAL")], "REAL")
    assert "arguments 'a', 'b' do not match graph inputs 'x'" in error.message


@pytest.mark.parametrize("batch", [1, 8])
def test_a_fixed_batch_is_refused_with_the_way_out(shop: Workshop, batch: int) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    data = ob.build([node], [ob.value("x", "float", [batch, 2])], [ob.value("y", "float", [batch, 2])])
    error = shop.refused(data, [("a", "REAL"), ("b", "REAL")], "REAL[2]")
    assert f"graph input 'x' has a fixed batch of {batch}" in error.message
    assert "dynamic first axis" in (error.hint or "")


def test_a_fixed_batch_of_one_can_be_forced(shop: Workshop) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    data = ob.build([node], [ob.value("x", "float", [1, 2])], [ob.value("y", "float", [1, 2])])
    prepared = shop.make(data, [("a", "REAL"), ("b", "REAL")], "REAL[2]", row_wise="force")
    assert not prepared.contract.row_wise
    assert prepared.contract.batch_size == 1


def test_a_rank_that_does_not_fit_is_refused(shop: Workshop) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    data = ob.build([node], [ob.value("x", "float", ["N", 2, 2])], [ob.value("y", "float", ["N", 2, 2])])
    assert "graph input 'x float[N,2,2]' should be [N,F]" in shop.refused(data, [("a", "REAL"), ("b", "REAL")]).message


def open_matmul(features: int = 4, rows: int | str | None = None) -> bytes:
    """features [N,?] times a matrix of ``features`` rows: how many columns there must be, only the weights say."""
    weights = ob.constant("w", [[1.0]] * features)
    shape = ["N", rows]
    node = helper.make_node("MatMul", ["features", "w"], ["y"])
    return ob.build([node], [ob.value("features", "float", shape)], [ob.value("y", "float", ["N", 1])], [weights])


WIDTHS = {
    "too few arguments": [(name, "REAL") for name in "abc"],
    "too many arguments": [(name, "REAL") for name in "abcde"],
    "a list of another width": [("v", "REAL[3]")],
    "one argument": [("a", "REAL")],
}


@pytest.mark.parametrize("name", WIDTHS)
def test_what_feeds_an_open_axis_is_compared_with_the_weights(shop: Workshop, name: str) -> None:
    error = shop.refused(open_matmul(), WIDTHS[name], "REAL")
    assert "the graph does not take what feeds it (features from" in error.message
    assert "MatMul" in error.message
    assert "arguments declared: " in error.message


@pytest.mark.parametrize("arguments", [[(name, "REAL") for name in "abcd"], [("v", "REAL[4]")], [("v", "REAL[]")]])
def test_what_fits_the_weights_feeds_an_open_axis(shop: Workshop, arguments: list[tuple[str, str]]) -> None:
    prepared = shop.make(open_matmul(), arguments, "REAL")
    assert score(prepared, {"features": np.ones((2, 4), np.float32)})["value"].tolist() == [4, 4]


def test_trees_that_read_more_columns_than_there_are_are_refused(shop: Workshop) -> None:
    data = ob.tree_ensemble(3, 2, 4)
    model = onnx.load_model_from_string(data)
    model.graph.input[0].type.tensor_type.shape.dim[1].ClearField("dim_value")
    message = shop.refused(model.SerializeToString(), [("a", "REAL")], "REAL").message
    assert "reads column" in message
    assert "of 1" in message
    shop.make(model.SerializeToString(), [(f"a{i}", "REAL") for i in range(4)], "REAL", name="whole")


def test_a_list_of_any_length_says_no_width_to_a_torch_module(shop: Workshop) -> None:
    (shop.folder / "nets.py").touch()
    error = shop.refused(None, [("v", "REAL[]")], "REAL", source="torch", entrypoint="nets:Net")
    assert "argument 'v' is real[] of any length" in error.message
    assert "real[384]" in (error.hint or "")
