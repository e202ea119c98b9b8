"""Tokens of a text column against the bare encoder: ``python -m tests.benchmarks.tokenise [TEXTS]``."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from sqlinfer.inference.text import TextEncoder
from sqlinfer.spec.function import InputBinding, TokenizerSpec
from tests.benchmarks import graphs

REPEATS = 5
MAX_LENGTH = 128


def wordpiece(folder: Path) -> None:
    """As BERT's: normalised, cut at punctuation, words of several pieces, framed in special tokens."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "word", *(f"##{number}" for number in range(100))]
    vocabulary = {piece: position for position, piece in enumerate(pieces)}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.save(str(folder / "tokenizer.json"))


def ratio(build: Callable[[Path], None], column: pa.Array) -> tuple[float, float]:
    """Median seconds of the bare ``encode_batch`` and of ours, each round both."""
    names = ("input_ids", "attention_mask")
    bindings = [InputBinding(name, "tokens", "int64", ("t",), token_field=name) for name in names]
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        path = Path(folder) / "tokenizer.json"
        encoder, bare = TextEncoder(TokenizerSpec(path, "t", MAX_LENGTH)), Tokenizer.from_file(str(path))
    bare.no_padding()
    bare.enable_truncation(max_length=MAX_LENGTH)
    rows = column.to_pylist()
    rounds = [
        (seconds(lambda: bare.encode_batch(rows)), seconds(lambda: encoder.encode([column], bindings)))
        for _ in range(REPEATS + 1)
    ]
    plain, ours = zip(*rounds[1:], strict=True)  # the first wakes the encoder's threads
    return statistics.median(plain), statistics.median(ours)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    column = pa.array(graphs.texts(int(sys.argv[1]) if len(sys.argv) > 1 else 4000))
    print(f"{'tokenizer':<10} {'bare ms':>8} {'ours ms':>8} {'ratio':>6}")
    for name, build in (("wordlevel", graphs.tokenizer), ("wordpiece", wordpiece)):
        bare, ours = ratio(build, column)
        print(f"{name:<10} {1000 * bare:>8.1f} {1000 * ours:>8.1f} {ours / bare:>6.2f}")


if __name__ == "__main__":
    main()
