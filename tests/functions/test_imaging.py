"""A declared image against the graph's axes: what is left out is taken from them, what does not fit is refused."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from onnx import helper

from sqlinfer.functions.describe import describe
from sqlinfer.project.values import ImageConfig
from sqlinfer.spec.function import ImageSpec
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.workshop import Workshop

BLOB = [("photo", "BLOB")]


def network(*shape: int | str, element: str = "float") -> bytes:
    """x [N, …] → one number per row."""
    nodes = [
        helper.make_node("Cast", ["x"], ["floats"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["y"], axes=[1, 2, 3], keepdims=0),
    ]
    return ob.build(nodes, [ob.value("x", element, ["N", *shape])], [ob.value("y", "float", ["N"])])


def prepared(shop: Workshop, data: bytes, config: ImageConfig, **options: Any) -> ImageSpec:
    found = shop.make(data, options.pop("arguments", BLOB), "REAL", image=config, **options).image
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("shape", "layout", "channels", "size"),
    [
        ((3, 8, 6), "nchw", 3, (8, 6)),
        ((8, 6, 3), "nhwc", 3, (8, 6)),
        ((1, 28, 28), "nchw", 1, (28, 28)),
        ((28, 28, 1), "nhwc", 1, (28, 28)),
        ((4, 8, 8), "nchw", 4, (8, 8)),
    ],
)
def test_what_is_left_out_is_taken_from_the_graph(
    shop: Workshop, shape: tuple[int, ...], layout: str, channels: int, size: tuple[int, int]
) -> None:
    found = prepared(shop, network(*shape), ImageConfig(None))
    assert (found.layout, found.channels, found.size) == (layout, channels, size)


def test_a_graph_of_any_size_takes_the_declared_one(shop: Workshop) -> None:
    config = ImageConfig(None, (32, 16), mean=(0.5,), std=(0.5,))
    found = prepared(shop, network("C", "H", "W"), config)
    assert (found.layout, found.channels, found.size) == ("nchw", 3, (32, 16))
    assert (
        "takes images of any size" in shop.refused(network(3, "H", "W"), BLOB, "REAL", image=ImageConfig(None)).message
    )


def test_an_input_without_shape_is_an_image_by_declaration(shop: Workshop) -> None:
    model = onnx.load_model_from_string(network(3, 8, 8))
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert prepared(shop, model.SerializeToString(), ImageConfig(None, (8, 8))).size == (8, 8)


WRONG: dict[str, tuple[bytes, ImageConfig, str, str]] = {
    "size": (network(3, 224, 224), ImageConfig(None, (256, 256)), "'size: [256, 256]'", "the graph takes [224, 224]"),
    "height and width": (network(3, 8, 6), ImageConfig(None, (6, 8)), "'size: [6, 8]'", "the graph takes [8, 6]"),
    "layout": (network(8, 8, 3), ImageConfig(None, (8, 8), layout="nchw"), "'layout: nchw'", "'layout: nhwc' it fits"),
    "channels": (network(7, 8, 8), ImageConfig(None, (8, 8)), "takes 7 channels", ""),
    "mean": (network(1, 8, 8), ImageConfig(None, (8, 8), mean=(0.1, 0.2, 0.3)), "'mean:' has 3 numbers", "one number"),
    "std": (network(3, 8, 8), ImageConfig(None, (8, 8), std=(0.1, 0.2)), "'std:' has 2 numbers", "one number"),
    "integers": (network(3, 8, 8, element="uint8"), ImageConfig(None, mean=(0.5,)), "whole numbers", "leave both out"),
    "a crop that is larger": (network(3, 8, 8), ImageConfig(None, resize_size=7), "'resize_size: 7'", ""),
    "no image": (ob.vector(4), ImageConfig(None, (8, 8)), "takes no image", ""),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_names_both_sides(shop: Workshop, name: str) -> None:
    data, config, message, hint = WRONG[name]
    error = shop.refused(data, BLOB, "REAL", image=config)
    assert message in error.message
    assert "graph input" in error.message
    assert "arguments declared: photo BLOB" in error.message
    assert hint in (error.hint or "")


def test_a_path_is_a_file_that_counts_as_an_input(shop: Workshop) -> None:
    by_path = shop.make(network(3, 8, 8), [("photo", "TEXT")], "REAL", image=ImageConfig(None))
    assert by_path.contract.file_argument == "photo"
    assert by_path.image is not None
    assert by_path.image.root == shop.folder
    assert shop.make(network(3, 8, 8), BLOB, "REAL", image=ImageConfig(None)).contract.file_argument is None


@pytest.mark.parametrize("change", [{"resize": "shortest"}, {"resample": "lanczos"}, {"mean": (0.5,)}, {"std": (2.0,)}])
def test_whatever_changes_pixels_changes_the_digest(shop: Workshop, change: dict[str, Any]) -> None:
    plain = shop.make(network(3, 8, 8), BLOB, "REAL", image=ImageConfig(None))
    changed = shop.make(network(3, 8, 8), BLOB, "REAL", image=ImageConfig(None, **change))
    assert plain.contract.digest != changed.contract.digest
    again = shop.make(network(3, 8, 8), BLOB, "REAL", image=ImageConfig("photo", (8, 8)))
    assert plain.contract.digest == again.contract.digest


def test_describe_shows_the_tensor_that_an_image_becomes(shop: Workshop) -> None:
    shown = describe(shop.make(network(8, 6, 3), BLOB, "REAL", image=ImageConfig(None)))
    assert [row.feeds for row in shown.arguments] == ["x float[N,8,6,3] (decoded image)"]
