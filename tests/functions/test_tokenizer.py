"""A declared tokenizer against the graph and its file: found, bound, checked when the function is prepared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sqlinfer.project.values import ReturnField, TokenizerConfig
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.workshop import Workshop

POOLED = ReturnField("value", "REAL[8]", output="last_hidden_state", pooling="mean")
TEXT = [("t", "TEXT")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tok" / "tokenizer.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"model": {"type": "WordLevel", "vocab": {}}}))
    return path


def encoder(tokens: int | None = None) -> bytes:
    """ids, mask [N,T] → last_hidden_state; T may be fixed."""
    import onnx

    model = onnx.load_model_from_string(ob.encoder())
    if tokens is not None:
        for info in model.graph.input:
            info.type.tensor_type.shape.dim[1].dim_value = tokens
    return model.SerializeToString()


@pytest.mark.parametrize("folder", [True, False])
def test_the_tokenizer_may_be_a_file_or_its_folder(shop: Workshop, file: Path, folder: bool) -> None:
    path = file.parent if folder else file
    prepared = shop.make(encoder(), TEXT, POOLED, tokenizer=TokenizerConfig(path))
    assert prepared.tokenizer is not None
    assert prepared.tokenizer.path.read_bytes() == file.read_bytes()


def test_another_file_in_the_folder_is_another_function(shop: Workshop, file: Path) -> None:
    config = shop.declare(encoder(), TEXT, POOLED, tokenizer=TokenizerConfig(file.parent))
    before = shop.prepare(config).contract.digest
    file.write_text(json.dumps({"model": {"type": "WordLevel", "vocab": {"a": 1}}}))
    assert shop.prepare(config).contract.digest != before


def test_a_folder_without_a_tokenizer_is_named(shop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "vocab.txt").touch()
    error = shop.refused(encoder(), TEXT, POOLED, tokenizer=TokenizerConfig(tmp_path / "empty"))
    assert "has no tokenizer.json" in error.message
    assert "vocab.txt" in (error.hint or "")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"model": 1}'])
def test_a_damaged_tokenizer_is_refused_when_the_function_is_prepared(shop: Workshop, file: Path, content: str) -> None:
    file.write_text(content)
    assert "cannot be read" in shop.refused(encoder(), TEXT, POOLED, tokenizer=TokenizerConfig(file)).message


@pytest.mark.parametrize("named", [("a", "b"), ("b", "a"), None])
def test_two_texts_are_a_pair(shop: Workshop, file: Path, named: tuple[str, str] | None) -> None:
    first, second = named or (None, None)
    tokenizer = TokenizerConfig(file, first, pair=second)
    prepared = shop.make(encoder(), [("a", "TEXT"), ("b", "TEXT")], POOLED, tokenizer=tokenizer)
    assert prepared.tokenizer is not None
    assert (prepared.tokenizer.argument, prepared.tokenizer.pair) == (named or ("a", "b"))
    assert {binding.arguments for binding in prepared.inputs} == {named or ("a", "b")}


def test_the_order_of_a_pair_is_part_of_the_digest(shop: Workshop, file: Path) -> None:
    both = [("a", "TEXT"), ("b", "TEXT")]
    digests = {
        shop.make(encoder(), both, POOLED, tokenizer=TokenizerConfig(file, a, pair=b)).contract.digest
        for a, b in (("a", "b"), ("b", "a"))
    }
    assert len(digests) == 2


def test_a_text_that_feeds_an_input_of_its_own_is_not_tokenised(shop: Workshop, file: Path) -> None:
    import onnx
    from onnx import helper

    model = onnx.load_model_from_string(encoder())
    model.graph.input.append(ob.value("lang", "string", ["N"]))
    model.graph.node.append(helper.make_node("Identity", ["lang"], ["same"]))
    model.graph.output.append(ob.value("same", "string", ["N"]))
    arguments = [("t", "TEXT"), ("lang", "TEXT")]
    prepared = shop.make(model.SerializeToString(), arguments, POOLED, tokenizer=TokenizerConfig(file))
    assert prepared.tokenizer is not None
    assert (prepared.tokenizer.argument, prepared.tokenizer.pair) == ("t", None)


def test_three_texts_must_be_told_apart(shop: Workshop, file: Path) -> None:
    error = shop.refused(encoder(), [(n, "TEXT") for n in "abc"], POOLED, tokenizer=TokenizerConfig(file))
    assert "names no argument, and 3 of the arguments are varchar" in error.message


@pytest.mark.parametrize(("max_length", "fits"), [(None, True), (16, True), (8, True), (17, False)])
def test_a_graph_of_fixed_length_bounds_the_tokens(
    shop: Workshop, file: Path, max_length: int | None, fits: bool
) -> None:
    arguments: Any = (encoder(16), TEXT, POOLED)
    tokenizer = TokenizerConfig(file, max_length=max_length)
    if fits:
        prepared = shop.make(*arguments, tokenizer=tokenizer)
        assert prepared.tokenizer is not None
        assert prepared.tokenizer.width == 16
    else:
        message = shop.refused(*arguments, tokenizer=tokenizer).message
        assert "'max_length: 17' is more than the 16 tokens that graph input 'input_ids' takes" in message
