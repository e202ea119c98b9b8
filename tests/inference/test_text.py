"""Text: sorted by length, padded to the longest of a run, put back in order."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from onnx import helper

from sqlinfer.errors import ArtifactError, InferenceError
from sqlinfer.inference import open_session
from sqlinfer.inference.text import Ragged, TextEncoder, TextRows, Tokens
from sqlinfer.spec.error_policy import ErrorPolicy
from sqlinfer.spec.function import InputBinding, OutputBinding, PreparedFunction, TokenizerSpec
from sqlinfer.testing import onnx_builder

WORDS = {"[PAD]": 0, "[UNK]": 1, "one": 2, "two": 3, "three": 4, "four": 5}

pytest.importorskip("tokenizers")


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    return path


@pytest.fixture
def function(prepare, tokenizer: Path) -> PreparedFunction:
    """The sum of the token ids under the mask, plus an ordinary number."""
    graph = onnx_builder.build(
        [
            helper.make_node("Mul", ["input_ids", "attention_mask"], ["masked"]),
            helper.make_node("Cast", ["masked"], ["numbers"], to=1),
            helper.make_node("ReduceSum", ["numbers", "axes"], ["sums"], keepdims=0),
            helper.make_node("Add", ["sums", "extra"], ["score"]),
        ],
        [
            onnx_builder.value("input_ids", "int64", ["N", "T"]),
            onnx_builder.value("attention_mask", "int64", ["N", "T"]),
            onnx_builder.value("extra", "float", ["N"]),
        ],
        [onnx_builder.value("score", "float", ["N"])],
        [onnx_builder.constant("axes", [1], "int64")],
    )
    inputs = (
        InputBinding("input_ids", "tokens", "int64", ("t",), token_field="input_ids"),
        InputBinding("attention_mask", "tokens", "int64", ("t",), token_field="attention_mask"),
        InputBinding("extra", "vector", "float", ("e",)),
    )
    made = prepare(graph, {"t": "TEXT", "e": "REAL"}, inputs, bindings=(OutputBinding("value", "score"),))
    return replace(made, tokenizer=TokenizerSpec(tokenizer, "t", max_length=6))


def random_texts(rows: int) -> list[str]:
    random = np.random.default_rng(0)
    words = list(WORDS)[2:]
    return [" ".join(random.choice(words, random.integers(0, 9))) for _ in range(rows)]


@pytest.mark.parametrize("rows", [1, 2, 700])
def test_results_are_those_of_each_text_alone(function, rows: int) -> None:
    texts = random_texts(rows)
    extra = np.arange(rows, dtype=np.float32)
    expected = [sum(WORDS[word] for word in text.split()[:6]) + float(e) for text, e in zip(texts, extra, strict=True)]
    with open_session(function, device="cpu") as session:
        result = session.score_table(pa.table({"t": texts, "e": extra}), keep=["t"])
    assert result["t"].to_pylist() == texts
    assert result["value"].to_pylist() == expected


def test_nulls_and_unknown_words(function) -> None:
    table = pa.table({"t": ["one", None, "", "never seen"], "e": pa.array([0, 0, 0, 0], pa.float32())})
    with open_session(function, device="cpu") as session:
        result = session.score_table(table, keep=[])
    assert result["value"].to_pylist() == [2.0, None, 0.0, 2.0]


def tokens_of(lengths: list[int]) -> TextRows:
    sizes = np.array(lengths, dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    binding = InputBinding("ids", "tokens", "int64", ("t",), token_field="input_ids")
    flat = np.arange(offsets[-1])
    return TextRows(Tokens(sizes, offsets, (Ragged(binding, flat, -1),)), np.argsort(sizes, kind="stable"))


FIELDS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


@pytest.fixture
def framed(tmp_path: Path) -> Path:
    """A tokenizer that frames each text in special tokens, the last of them of type 1, and would pad."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    made = Tokenizer(models.WordLevel({**WORDS, "[CLS]": 6, "[SEP]": 7}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]:1", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 6), ("[SEP]", 7)]
    )
    made.enable_padding(pad_id=0, pad_token="[PAD]")
    path = tmp_path / "framed.json"
    made.save(str(path))
    return path


@pytest.mark.parametrize("texts", [["", "one", "two " * 30, "never seen", "é ß 漢", "[SEP]"], [""], []])
@pytest.mark.parametrize("element_type", ["int64", "int32"])
@pytest.mark.parametrize("fast", [True, False])
def test_fields_are_those_of_the_plain_encoder(framed: Path, texts: list[str], element_type: str, fast: bool) -> None:
    from tokenizers import Tokenizer

    plain = Tokenizer.from_file(str(framed))
    plain.no_padding()
    plain.enable_truncation(max_length=6)
    encoder = TextEncoder(TokenizerSpec(framed, "t", max_length=6))
    if not fast:
        encoder._tokenizer = SlowTokenizer(encoder._tokenizer)
    bindings = [InputBinding(name, "tokens", element_type, ("t",), token_field=name) for name in FIELDS]
    tokens = encoder.encode([pa.array(texts, pa.string())], bindings)
    expected = plain.encode_batch(texts)
    assert tokens.lengths.tolist() == [len(one) for one in expected]
    for field, attribute in zip(tokens.fields, FIELDS.values(), strict=True):
        assert field.flat.dtype == element_type
        assert field.flat.tolist() == [value for one in expected for value in getattr(one, attribute)]


class SlowTokenizer:
    """A tokenizer of before ``encode_batch_fast``."""

    def __init__(self, tokenizer: Any) -> None:
        self.encode_batch = tokenizer.encode_batch


def test_an_unknown_token_field_is_refused(framed: Path) -> None:
    encoder = TextEncoder(TokenizerSpec(framed, "t"))
    with pytest.raises(InferenceError, match="position_ids"):
        encoder.encode([pa.array(["one"])], [InputBinding("position_ids", "tokens", "int64", ("t",))])


def test_runs_stay_within_the_token_budget() -> None:
    lengths = sorted(np.random.default_rng(1).integers(0, 40, 300).tolist())
    rows = tokens_of(lengths)
    splits = list(rows.splits(1000, 64))
    assert splits[0][0] == 0
    assert splits[-1][1] == 300
    assert all(stop == start for (_, stop), (start, _) in itertools.pairwise(splits))
    assert all((stop - start) * max(1, lengths[stop - 1]) <= 64 for start, stop in splits if stop - start > 1)


def test_a_text_longer_than_the_budget_runs_alone() -> None:
    assert list(tokens_of([100, 200, 300]).splits(10, 64)) == [(0, 1), (1, 2), (2, 3)]


def test_padding_goes_to_the_longest_of_the_run() -> None:
    (feeder,) = tokens_of([3, 1, 2]).feeders({})
    assert feeder.feed(0, 2, {}).tolist() == [[3, -1], [4, 5]]
    assert feeder.feed(2, 3, {}).tolist() == [[0, 1, 2]]


def test_a_damaged_tokenizer_is_an_artifact_error(function, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    damaged = replace(function, tokenizer=TokenizerSpec(broken, "t"))
    with pytest.raises(ArtifactError, match=r"broken\.json"):
        open_session(damaged, device="cpu")


def by_hand(path: Path, texts: list[Any]) -> Any:
    """What the library makes of them by itself, truncation and padding as the file says."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path)).encode_batch(texts)


def fed(spec: TokenizerSpec, columns: list[list[str]]) -> dict[str, list[list[int]]]:
    """The three token inputs of one run over all rows, in the order of the rows."""
    bindings = [InputBinding(name, "tokens", "int64", ("t",), token_field=name) for name in FIELDS]
    tokens = TextEncoder(spec).encode([pa.array(column, pa.string()) for column in columns], bindings)
    rows = TextRows(tokens, np.arange(len(columns[0])))
    return {feeder.name: feeder.feed(0, len(columns[0]), {}).tolist() for feeder in rows.feeders({})}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("padding_side", ["left", "right"])
@pytest.mark.parametrize("padded", [{}, {"length": 6}, {"pad_to_multiple_of": 4}])
def test_the_file_says_how_texts_are_cut_and_padded(framed: Path, side: str, padding_side: str, padded: Any) -> None:
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(framed))
    made.enable_truncation(5, direction=side)
    made.enable_padding(pad_id=1, pad_type_id=1, direction=padding_side, **padded)
    made.save(str(framed))
    texts = ["one", "one two three four one two", "four three", ""]
    found = fed(TokenizerSpec(framed, "t"), [texts])
    for name, field in FIELDS.items():
        assert found[name] == [list(getattr(encoding, field)) for encoding in by_hand(framed, texts)], name


def test_the_declared_length_wins_and_the_side_stays(framed: Path) -> None:
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(framed))
    made.enable_truncation(3, direction="left")
    made.save(str(framed))
    assert fed(TokenizerSpec(framed, "t", max_length=4), [["one two three four"]])["input_ids"] == [[6, 4, 5, 7]]
    assert fed(TokenizerSpec(framed, "t"), [["one two three four"]])["input_ids"] == [[6, 5, 7]]
    assert fed(TokenizerSpec(framed, "t", width=5), [["one", "one two three four"]])["input_ids"] == [
        [6, 2, 7, 0, 0], [6, 5, 7, 0, 0],
    ]  # fmt: skip
    assert len(fed(TokenizerSpec(framed, "t", max_length=8, padding="max_length"), [["one"]])["input_ids"][0]) == 8


def test_pairs_of_texts_are_encoded_together(framed: Path) -> None:
    pairs = [("one", "two three"), ("", "four"), ("one two three four", "")]
    found = fed(TokenizerSpec(framed, "a", pair="b"), [[a for a, _ in pairs], [b for _, b in pairs]])
    for name, field in FIELDS.items():
        assert found[name] == [list(getattr(encoding, field)) for encoding in by_hand(framed, pairs)], name


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    """A tokenizer without a token for unknown words."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({word: code for word, code in WORDS.items() if word != "[UNK]"}))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    path = tmp_path / "strict.json"
    made.save(str(path))
    return path


def test_a_text_that_the_tokenizer_refuses_costs_only_its_row(function, strict: Path) -> None:
    texts = [*random_texts(300), "never seen", "one", None, "secret"]
    table = pa.table({"t": texts, "e": pa.array([0] * len(texts), pa.float32())})
    with open_session(replace(function, tokenizer=TokenizerSpec(strict, "t", max_length=6)), device="cpu") as session:
        result = session.score_table(table, keep=[])
    bad = [row for row, error in enumerate(result["error"].to_pylist()) if error is not None]
    assert bad == [300, 303]
    message = result["error"][303].as_py()
    assert message == "tokenize: a word is unknown, and the tokenizer has no token for unknown words"
    expected = [
        None if t is None or row in bad else sum(WORDS[w] for w in t.split()[:6]) for row, t in enumerate(texts)
    ]
    assert result["value"].to_pylist() == expected


def test_a_panic_of_the_tokenizer_costs_only_its_row(function, monkeypatch) -> None:
    class Panic(BaseException):
        """Like pyo3's PanicException."""

    real = TextEncoder._load

    class Panicking:
        def __init__(self, tokenizer: Any) -> None:
            self._tokenizer = tokenizer

        def __getattr__(self, name: str) -> Any:
            return getattr(self._tokenizer, name)

        def encode_batch_fast(self, texts: list[str]) -> Any:
            if "boom" in texts:
                raise Panic("called `Option::unwrap()` on a `None` value")
            return self._tokenizer.encode_batch(texts)

    monkeypatch.setattr(TextEncoder, "_load", staticmethod(lambda spec: Panicking(real(spec))))
    table = pa.table({"t": ["one", "boom", "two"], "e": pa.array([0] * 3, pa.float32())})
    with open_session(function, device="cpu") as session:
        result = session.score_table(table, keep=[])
    assert result["value"].to_pylist() == [2.0, None, 3.0]
    assert result["error"].to_pylist() == [None, "tokenize: the tokenizer refuses the text", None]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("filling", ["one two ", "three" + " " * 90_000])
def test_long_texts_are_cut_before_they_are_tokenised_and_mean_the_same(framed: Path, side: str, filling: str) -> None:
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(framed))
    made.enable_truncation(6, direction=side)
    made.save(str(framed))
    text = "four " + filling * (400_000 // len(filling)) + " one"
    encoder = TextEncoder(TokenizerSpec(framed, "t"))
    assert len(encoder._shortened("one two " * 50_000, 16_384)) <= 16_384
    assert fed(TokenizerSpec(framed, "t"), [[text]])["input_ids"] == [by_hand(framed, [text])[0].ids]


def test_a_tokenizer_that_refuses_nearly_all_texts_is_given_up_early(function, strict: Path) -> None:
    texts = pa.table({"t": ["never seen"] * 20_000, "e": pa.array([0] * 20_000, pa.float32())})
    made = replace(function, tokenizer=TokenizerSpec(strict, "t", max_length=6))
    with (
        open_session(made, device="cpu") as session,
        session.score(texts.to_reader(), ["t", "e"], [], policy=ErrorPolicy(0.01)) as scored,
    ):
        with pytest.raises(InferenceError, match="the last: tokenize: a word is unknown"):
            list(scored)
        assert scored.counts.rows < 20_000
