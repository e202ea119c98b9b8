"""Linear models over one-hot columns: the product over codes, and the sum of looked-up weights that it is rewritten to.

    python -m tests.benchmarks.linear [--repeats 5]

One thread, four numbers and uneven text columns (the codes are given, as the engine gives them), the best of three
batch sizes for each; medians of rounds in turn.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from statistics import median
from time import perf_counter
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import onnxruntime as ort

from sqlinfer.inference.graphs.categories import encode
from sqlinfer.inference.graphs.linear import looked_up_sums
from tests.benchmarks import graphs

NUMBERS, ROWS = 4, 65_536
FEW, MANY = (12,) * 8, (500, 300, 200, 100, 60, 40, 20, 16, 10, 8, 6, 6)
SHAPES = (("classifier", 2), ("classifier", 4), ("regressor", 1), ("gemm", 1), ("gemm", 8))
SIZES = (1024, 4096, 16_384)
Feeds = dict[str, np.ndarray[Any, Any]]


def session(graph: bytes) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def rows(categories: Sequence[int], known: dict[str, int]) -> Feeds:
    """One in fifty is a text that the model has never seen."""
    random = np.random.default_rng(1)
    feeds: Feeds = {f"n{place}": random.normal(size=(ROWS, 1)).astype(np.float32) for place in range(NUMBERS)}
    for place, count in enumerate(categories):
        codes = np.array([known[word] for word in graphs.words(place, count)])
        picked = random.choice(codes, (ROWS, 1))
        picked[random.random((ROWS, 1)) < 0.02] = -1
        feeds[f"s{place}"] = picked
    return feeds


def seconds(run: Any, feeds: Feeds, size: int) -> float:
    """Of a row, from as many runs as fill a fifth of a second."""
    done, began = 0, perf_counter()
    while perf_counter() - began < 0.2:
        at = done % (ROWS - size + 1)
        run.run(["p"], {name: values[at : at + size] for name, values in feeds.items()})
        done += size
    return (perf_counter() - began) / done


def compare(kind: str, targets: int, categories: Sequence[int], repeats: int) -> str:
    title = f"{kind} of {targets}, {len(categories)} columns of {sum(categories):,} categories"
    coded = encode(graphs.categorical_linear(NUMBERS, categories, targets, kind=kind))
    assert coded is not None
    made = looked_up_sums(coded.graph, dict.fromkeys(coded.inputs, len(coded.vocabulary)))
    if not made.done:
        return f"{title}: stays as it is ({', '.join(made.kept)})"
    feeds = rows(categories, {word: code for code, word in enumerate(coded.vocabulary)})
    own, ours = session(coded.graph), session(made.graph)
    same = np.array_equal(*(one.run(["p"], feeds)[0] for one in (own, ours)))
    times = [[min(seconds(one, feeds, size) for size in SIZES) for one in (own, ours)] for _ in range(repeats)]
    ratio = median(a / b for a, b in times)
    before, after = (median(pair[which] for pair in times) for which in (0, 1))
    return (
        f"{title}: {ratio:.1f}× ({1e-6 / before:.2f} → {1e-6 / after:.2f} M rows/s), "
        f"{'same bits' if same else 'OTHER RESULTS'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    for categories in (FEW, MANY):
        for kind, targets in SHAPES:
            print(compare(kind, targets, categories, repeats), flush=True)


if __name__ == "__main__":
    main()
