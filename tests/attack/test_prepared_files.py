"""What was prepared is what is scored with: an edit in the folder of prepared functions is seen when it is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import house as houses
import onnx
import pyarrow as pa
import pytest
from house import House
from onnx import numpy_helper

from sqlinfer.errors import ArtifactError, SqlinferError
from sqlinfer.inference import open_isolated, open_session
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.workshop import Workshop

AB = (("a", "DOUBLE"), ("b", "DOUBLE"))
ROWS = pa.table({"a": [1.0, 2.0], "b": [0.5, 0.25]})


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> House:
    return houses.build(tmp_path_factory.mktemp("house"))


@pytest.fixture
def house(morning: House, tmp_path: Path) -> House:
    return houses.copy(morning, tmp_path / "shop")


def edit_weights(file: Path) -> None:
    """Other numbers, the same length: a graph that loads and scores as before, but otherwise."""
    model = onnx.load(file)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 2 + 1, tensor.name))
    for node in model.graph.node:
        for item in node.attribute:
            item.floats[:] = [value * 2 + 1 for value in item.floats]
    file.write_bytes(model.SerializeToString())


def test_edited_weights_are_not_published(house: House) -> None:
    assert house.sqlinfer("run").code == 0
    (file,) = (house.root / "target" / "functions").glob("*/model.onnx")
    edit_weights(file)
    house.sql("update customers set x = x + 1")
    before = house.sql("select * from scores order by id")
    done = house.sqlinfer("run")
    assert done.code == 1, done.text
    assert "model.onnx is not the file that was prepared" in done.text
    assert "the next run prepares the function anew" in done.text
    assert house.sql("select * from scores order by id") == before
    again = house.sqlinfer("run")
    assert again.code == 0, again.text
    assert house.sql("select s from scores order by id") == house.sql("select (x + 2 * y) from customers order by id")


@pytest.mark.parametrize("open_one", [open_session, open_isolated])
def test_a_session_is_made_of_what_was_hashed(open_one, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    shop = Workshop(tmp_path)
    config = shop.declare(ob.linear([1.0, 2.0]), AB)
    prepared = shop.prepare(config)
    edit_weights(prepared.graph)
    with pytest.raises(SqlinferError, match="is not the file that was prepared"):
        open_one(prepared, device="cpu").score_table(ROWS)
    mended = shop.prepare(config)
    assert mended == prepared
    with open_one(mended, device="cpu") as session:
        assert session.score_table(ROWS)["value"].to_pylist() == [2.0, 2.5]


def test_an_edited_tokenizer_is_not_used(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    from sqlinfer.project.values import ReturnField, TokenizerConfig

    words = tokenizers.models.WordLevel({"[UNK]": 0, "good": 1, "bad": 2}, "[UNK]")
    tokenizers.Tokenizer(words).save(str(tmp_path / "tokenizer.json"))
    shop = Workshop(tmp_path)
    pooled = ReturnField("value", "REAL[8]", output="last_hidden_state", pooling="mean")
    prepared = shop.make(ob.encoder(), (("t", "TEXT"),), pooled, tokenizer=TokenizerConfig(tmp_path / "tokenizer.json"))
    file = prepared.folder / "tokenizer.json"
    file.write_text(file.read_text().replace('"good"', '"gone"'))
    with pytest.raises(ArtifactError, match=r"tokenizer\.json is not the file that was prepared"):
        open_session(prepared, device="cpu")


@pytest.mark.parametrize("what", ["graph", "facts"])
def test_a_rewritten_graph_that_was_edited_is_made_anew(what: str, tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    prepared = shop.make(ob.string_lookup({"a": 1.0, "b": 2.0}), (("c", "TEXT"),), "REAL")
    (graph,), (facts,) = shop.cache.glob("runnable-*.onnx"), shop.cache.glob("runnable-*.json")
    if what == "graph":
        edit_weights(graph)
    else:
        found = json.loads(facts.read_text())
        found["vocabulary"].reverse()
        facts.write_text(json.dumps(found))
    with open_session(prepared, device="cpu", cache_dir=shop.cache) as session:
        assert session.score_table(pa.table({"c": ["a", "b"]}))["value"].to_pylist() == [1.0, 2.0]


def test_large_weights_beside_the_graph_are_hashed_too(tmp_path: Path) -> None:
    from dataclasses import replace

    shop = Workshop(tmp_path)
    prepared = shop.make(ob.linear([1.0, 2.0]), AB)
    (prepared.folder / "model.onnx.data").write_bytes(b"weights")
    beside = replace(prepared, files=(*prepared.files, ("model.onnx.data", "0" * 64)))
    with pytest.raises(ArtifactError, match=r"model\.onnx\.data is not the file"):
        open_session(beside, device="cpu")
