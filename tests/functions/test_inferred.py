"""Arguments that the declaration leaves out are the inputs of the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sqlinfer.functions.graph import Port
from sqlinfer.functions.inferred import MOST_COLUMNS, with_arguments
from sqlinfer.project.values import ImageConfig, TokenizerConfig
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.workshop import Workshop, score

PORTS = {
    "one input an argument": (
        [Port("Age", "int64", ("N", 1)), Port("plan", "string", ("N",)), Port("vip", "bool", ("N", 1))],
        [("Age", "BIGINT"), ("plan", "TEXT"), ("vip", "BOOLEAN")],
    ),
    "a matrix": ([Port("X", "double", (None, 3))], [("f0", "DOUBLE"), ("f1", "DOUBLE"), ("f2", "DOUBLE")]),
    "a matrix beside others": (
        [Port("X", "float", (None, 3)), Port("day", "int32", (None,))],
        [("X", "DOUBLE[3]"), ("day", "INT")],
    ),
    "a wide matrix": ([Port("X", "float", (None, MOST_COLUMNS + 1))], [("X", f"DOUBLE[{MOST_COLUMNS + 1}]")]),
    "no known width": ([Port("X", "float", (None, None))], []),
}


@pytest.mark.parametrize("name", PORTS)
def test_arguments_are_the_inputs(name: str, tmp_path: Path) -> None:
    ports, expected = PORTS[name]
    config = with_arguments(Workshop(tmp_path).declare(b"", ()), ports)
    assert [(a.name, a.data_type) for a in config.arguments] == expected


def test_written_arguments_stay(tmp_path: Path) -> None:
    config = Workshop(tmp_path).declare(b"", (("a", "DOUBLE"),))
    assert with_arguments(config, [Port("X", "float", (None, 1))]) is config


def test_texts_and_images_are_arguments_of_their_own(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    tokens = [Port("input_ids", "int64", ("N", "T")), Port("attention_mask", "int64", ("N", "T"))]
    text = with_arguments(shop.declare(b"", (), tokenizer=TokenizerConfig(tmp_path)), tokens)
    assert [(a.name, a.data_type) for a in text.arguments] == [("text", "TEXT")]
    image = with_arguments(shop.declare(b"", (), image=ImageConfig(None)), [Port("x", "float", ("N", 3, 8, 8))])
    assert [(a.name, a.data_type) for a in image.arguments] == [("image", "BLOB")]


def test_a_bare_file_is_a_function(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    prepared = shop.prepare(shop.declare(ob.linear([1.0, 2.0], 0.5), ()))
    assert [(a.name, a.data_type) for a in prepared.contract.arguments] == [("f0", "DOUBLE"), ("f1", "DOUBLE")]
    assert list(score(prepared, {"features": np.array([[1, 10]], np.float32)})["value"].ravel()) == [21.5]
    again = shop.prepare(shop.declare(tmp_path / "f.onnx", ()))
    assert again.contract == prepared.contract, "from the cache"


def test_a_matrix_of_any_width_needs_its_arguments(tmp_path: Path) -> None:
    error = Workshop(tmp_path).refused(ob.array_sum(None), ())
    assert "nothing feeds graph input 'v'" in error.message
    assert "name the arguments" in str(error.hint)
