"""``precision: int8`` beside fp32: texts a second of W6's encoder through sessions, one thread, and how near they are.

python -m tests.benchmarks.int8 [--texts 300] [--repeats 3]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa

from sqlinfer.functions.check.quality import measured, said
from sqlinfer.inference import open_session
from sqlinfer.project.values import ReturnField, TokenizerConfig
from sqlinfer.spec.function import PreparedFunction
from sqlinfer.testing.workshop import Workshop
from tests.benchmarks import graphs

POOLED = ReturnField("value", "REAL[384]", output="last_hidden_state", pooling="mean")


def prepared(shop: Workshop, precision: str) -> PreparedFunction:
    tokenizer = TokenizerConfig(shop.folder / "tokenizer.json", "body", max_length=128)
    return shop.make(shop.folder / "f.onnx", [("body", "TEXT")], POOLED, tokenizer=tokenizer, precision=precision)


def texts(count: int) -> list[str]:
    """As W6's: 5 to 120 words, short ones more often."""
    random = np.random.default_rng(0)
    sizes = (5 + 115 * random.random(count) ** 3).astype(int)
    return [" ".join(f"word{number}" for number in random.integers(0, 4000, size)) for size in sizes]


def rate(function: PreparedFunction, rows: pa.Table) -> float:
    with open_session(function, device="cpu", threads=1) as session:
        session.score_table(rows.slice(0, 16), keep=[])
        began = perf_counter()
        session.score_table(rows, keep=[])
        return len(rows) / (perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shop = Workshop(Path(folder))
        graphs.encoder(shop.folder / "f.onnx")
        graphs.tokenizer(shop.folder)
        exact, bytewise = prepared(shop, "fp32"), prepared(shop, "int8")
        rows = pa.table({"body": texts(flags.texts)})
        rates = [(rate(exact, rows), rate(bytewise, rows)) for _ in range(flags.repeats)]
        before, after = (median(pair[which] for pair in rates) for which in (0, 1))
        print(f"int8: {median(b / a for a, b in rates):.2f}× ({before:.0f} → {after:.0f} texts/s)")
        print(said(measured(exact, bytewise, rows.to_batches()[0], "texts")))


if __name__ == "__main__":
    main()
