"""``precision: int8``: texts through byte products, measured against fp32, refused where they are too far from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import helper

from sqlinfer.errors import FunctionError
from sqlinfer.functions.check.quality import measured
from sqlinfer.functions.describe import describe
from sqlinfer.inference import open_session
from sqlinfer.project.values import ReturnField, TokenizerConfig
from sqlinfer.spec.function import PreparedFunction
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.workshop import Workshop

tokenizers = pytest.importorskip("tokenizers")
WIDTH, WORDS = 32, 60
POOLED = ReturnField("value", f"REAL[{WIDTH}]", pooling="mean")


def encoder(*, constant: bool = True, spread: float = 0.0) -> bytes:
    """Embedded tokens through two products. ``spread``: one activation that is much larger than all others."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(WORDS + 2, WIDTH))
    table[:, 0] += spread
    weights = [rng.normal(size=(WIDTH, WIDTH)) / np.sqrt(WIDTH) for _ in range(2)]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["embedded"]),
        helper.make_node("MatMul", ["embedded", "w0" if constant else "square"], ["first"]),
        helper.make_node("Relu", ["first"], ["positive"]),
        helper.make_node("MatMul", ["positive", "w1" if constant else "square"], ["last_hidden_state"]),
    ]
    if not constant:
        nodes.insert(1, helper.make_node("Identity", ["w0"], ["same"]))
        nodes.insert(2, helper.make_node("Softmax", ["same"], ["square"]))
    constants = [
        ob.constant("table", table.tolist()),
        *(ob.constant(f"w{i}", w.tolist()) for i, w in enumerate(weights)),
    ]
    ports = [ob.value(name, "int64", ["N", "T"]) for name in ("input_ids", "attention_mask")]
    return ob.build(nodes, ports, [ob.value("last_hidden_state", "float", ["N", "T", WIDTH])], constants)


@pytest.fixture
def words(shop: Workshop) -> TokenizerConfig:
    known = {"[PAD]": 0, "[UNK]": 1} | {f"w{number}": number + 2 for number in range(WORDS)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(shop.folder / "tokenizer.json"))
    return TokenizerConfig(shop.folder / "tokenizer.json", "t")


def made(shop: Workshop, words: TokenizerConfig, graph: bytes | None = None, **options: Any) -> PreparedFunction:
    options = {"precision": "int8", "tokenizer": words} | options
    return shop.make(graph or encoder(), [("t", "TEXT")], options.pop("returns", POOLED), **options)


def test_constant_products_become_bytes_and_the_digest_is_another(shop: Workshop, words: TokenizerConfig) -> None:
    prepared, plain = made(shop, words), made(shop, words, precision="fp32")
    kinds = [node.op_type for node in onnx.load(prepared.graph).graph.node]
    assert kinds.count("MatMulInteger") == 2
    assert kinds.count("MatMul") == [n.op_type for n in onnx.load(plain.graph).graph.node].count("MatMul") - 2
    assert prepared.contract.digest != plain.contract.digest
    assert prepared.contract.row_wise


def test_what_it_costs_is_measured_when_it_is_prepared(shop: Workshop, words: TokenizerConfig) -> None:
    found = made(shop, words).quality
    assert found is not None
    assert found.origin == "made-up texts"
    assert found.texts > 40
    assert found.cosine is not None
    assert 0.99 < found.cosine < 1
    assert found.neighbours is not None
    assert found.neighbours > 0.5
    assert found.labels is None
    assert f"cosine {found.cosine:.5f} at least" in describe(made(shop, words)).precision


def test_a_session_gives_nearly_the_results_of_fp32(shop: Workshop, words: TokenizerConfig) -> None:
    texts = [" ".join(f"w{n % WORDS}" for n in range(size, 2 * size + 1)) for size in range(40)]
    found = []
    for precision in ("fp32", "int8"):
        with open_session(made(shop, words, precision=precision), device="cpu") as session:
            table = session.score_table(pa.table({"t": texts}), keep=[])
        found.append(np.array(table["value"].to_pylist()))
    assert not np.array_equal(*found)
    cosines = (found[0] * found[1]).sum(axis=1) / np.linalg.norm(found[0], axis=1) / np.linalg.norm(found[1], axis=1)
    assert cosines.min() > 0.99


def test_below_the_declared_bound_it_is_refused_with_the_numbers(shop: Workshop, words: TokenizerConfig) -> None:
    with pytest.raises(FunctionError) as caught:
        made(shop, words, min_cosine=0.999999)
    assert "'precision: int8' is too far from fp32 on" in caught.value.message
    assert "0.999999 is wanted" in caught.value.message
    assert "min_cosine: 0.99" in str(caught.value.hint)


def test_a_bound_counts_for_what_was_prepared_before(shop: Workshop, words: TokenizerConfig) -> None:
    digest = made(shop, words).contract.digest
    with pytest.raises(FunctionError):
        made(shop, words, min_cosine=0.999999)
    assert made(shop, words, min_cosine=0.5).contract.digest == digest


def test_an_outlier_among_activations_is_seen(shop: Workshop, words: TokenizerConfig) -> None:
    plain, odd = made(shop, words).quality, made(shop, words, encoder(spread=2000.0), min_cosine=0.0).quality
    assert plain is not None
    assert odd is not None
    assert plain.cosine is not None
    assert odd.cosine is not None
    assert odd.cosine < plain.cosine or odd.neighbours < plain.neighbours  # type: ignore[operator]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_texts_of_ones_own(shop: Workshop, words: TokenizerConfig, suffix: str) -> None:
    path = shop.folder / f"reviews.{suffix}"
    texts = [f"w{number} w{number + 1} w{number + 2}" for number in range(20)]
    if suffix == "csv":
        path.write_text("id,T\n" + "".join(f"{row},{text}\n" for row, text in enumerate(texts)))
    else:
        pq.write_table(pa.table({"id": range(20), "T": texts}), path)
    found = made(shop, words, sample_inputs=path).quality
    assert found is not None
    assert (found.texts, found.origin) == (20, f"texts of reviews.{suffix}")
    path.write_text("id,body\n1,w1\n") if suffix == "csv" else pq.write_table(pa.table({"body": ["w1"]}), path)
    with pytest.raises(FunctionError, match="has no column for the argument 't'"):
        made(shop, words, sample_inputs=path)


def test_numbers_are_compared_as_a_column_and_labels_by_their_share(shop: Workshop, words: TokenizerConfig) -> None:
    score = ReturnField("value", "REAL", index=3, pooling="mean")
    found = made(shop, words, returns=score).quality
    assert found is not None
    assert found.cosine is not None
    assert found.cosine > 0.99
    assert found.neighbours is None
    label = ReturnField("value", "INT", argmax=True, pooling="mean")
    found = made(shop, words, returns=label, min_cosine=0.5).quality
    assert found is not None
    assert found.cosine is None
    assert found.labels is not None
    assert found.worst == found.labels > 0.5


def test_the_same_function_is_near_itself(shop: Workshop, words: TokenizerConfig) -> None:
    plain = made(shop, words, precision="fp32")
    rows = pa.record_batch({"t": [f"w{number}" for number in range(30)]})
    found = measured(plain, plain, rows, "made-up texts")
    assert (found.cosine, found.neighbours) == (1.0, 1.0)


@pytest.mark.parametrize(("options", "why"), [
    ({"precision": "int8"}, "is for functions of texts"),
    ({"precision": "fp16", "min_cosine": 0.9}, "'min_cosine' is how near to fp32 'precision: int8' must be"),
])  # fmt: skip
def test_what_it_is_not_for(shop: Workshop, options: dict[str, Any], why: str) -> None:
    assert why in shop.refused(ob.mlp([8, 4, 1]), [(f"x{i}", "REAL") for i in range(8)], **options).message


def test_a_graph_without_constant_products_is_refused(shop: Workshop, words: TokenizerConfig) -> None:
    error = shop.refused(encoder(constant=False), [("t", "TEXT")], POOLED, precision="int8", tokenizer=words)
    assert "changes nothing, because no matrix product of this graph has constant weights" in error.message


def test_a_gpu_has_another_way(shop: Workshop, words: TokenizerConfig) -> None:
    config = shop.declare(encoder(), [("t", "TEXT")], POOLED, precision="int8", tokenizer=words)
    with pytest.raises(FunctionError, match="is for a CPU, not for cuda"):
        shop.prepare(config, resolve_family=lambda: "cuda")


def test_a_graph_that_is_dynamic_by_itself_still_mixes_rows(shop: Workshop) -> None:
    assert "not row-wise" in shop.refused(ob.not_row_wise("quantize"), [("x", "REAL")], "REAL").message


YML = """functions:
  - name: f
    model: {path: f.onnx}
    tokenizer: {path: tokenizer.json, argument: t}
    arguments: [{name: t, data_type: varchar}]
    returns: {data_type: "float[32]", output: last_hidden_state, pooling: mean}
    config: {precision: int8, device: cpu%s}
"""


def test_verify_measures_on_the_texts_of_the_table(shop: Workshop, words: TokenizerConfig, tmp_path: Path) -> None:
    import duckdb

    from sqlinfer.cli.main import invoke

    root = tmp_path / "project"
    (root / "functions").mkdir(parents=True)
    (root / "models").mkdir()
    (root / "functions/f.onnx").write_bytes(encoder())
    (root / "functions/tokenizer.json").write_bytes((shop.folder / "tokenizer.json").read_bytes())
    (root / "sqlinfer_project.yml").write_text("name: p\nprofile: p\n")
    (root / "profiles.yml").write_text("p: {target: dev, outputs: {dev: {type: duckdb, path: p.duckdb}}}\n")
    (root / "models/m.sql").write_text("select id, f(body) as v from t")
    with duckdb.connect(str(root / "p.duckdb")) as connection:
        connection.execute(
            "create table t as select i as id, 'w' || i || ' w' || i * 7 % 60 as body from range(50) r(i)"
        )
    there = ["--project-dir", str(root)]
    (root / "functions/f.yml").write_text(YML % "")
    assert invoke(["run", *there]) == 0
    assert invoke(["verify", "f", *there]) == 0
    (root / "functions/f.yml").write_text(YML % ", min_cosine: 0.9999999")
    assert invoke(["verify", "f", *there]) == 1
    assert invoke(["run", *there]) == 1
