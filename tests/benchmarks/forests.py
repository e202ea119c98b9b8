"""Tree ensembles: the runtime's own node against the form that it is rewritten to, and what opening a session costs.

    python -m tests.benchmarks.forests [--repeats 5]

One thread, 20 random features, the best of three batch sizes for each; medians of rounds in turn. Random rows are the
hardest for a processor that guesses branches: with real ones the runtime's own node may be faster than here.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import onnxruntime as ort

from sqlinfer.inference.graphs.forests import faster_forests
from sqlinfer.testing import onnx_builder
from tests.benchmarks import graphs

FEATURES, ROWS = 20, 131_072
SHAPES = ((100, 3), (200, 4), (200, 5), (200, 6), (100, 8), (60, 12))
SIZES = (1024, 4096, 16_384)


def session(graph: bytes | str, *, optimised: bool = True, keep: str | None = None) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    if keep is not None:
        options.optimized_model_filepath = keep
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def seconds(run: Any, rows: np.ndarray[Any, Any], size: int) -> float:
    """Of all rows, taken from the time of as many runs as fill a third of a second."""
    done, began = 0, perf_counter()
    while perf_counter() - began < 0.35:
        at = done % (len(rows) - size + 1)
        run.run(["score"], {"features": rows[at : at + size]})
        done += size
    return (perf_counter() - began) / done


def compare(trees: int, depth: int, repeats: int) -> str:
    graph = onnx_builder.tree_ensemble(trees, depth, FEATURES)
    found = faster_forests(graph)
    if found is None:
        return f"{trees} trees of depth {depth}: stay as they are"
    rows = np.random.default_rng(0).random((ROWS, FEATURES), dtype=np.float32)
    own, ours = session(graph), session(found[0])
    same = np.array_equal(*(one.run(["score"], {"features": rows[:20_000]})[0] for one in (own, ours)))
    times = [[min(seconds(one, rows, size) for size in SIZES) for one in (own, ours)] for _ in range(repeats)]
    ratio = median(a / b for a, b in times)
    rates = [median(pair[which] for pair in times) for which in (0, 1)]
    return (
        f"{trees} trees of depth {depth}: {ratio:.2f}× ({1e-6 / rates[0]:.3f} → {1e-6 / rates[1]:.3f} M rows/s), "
        f"{found[1][0]}, {'same bits' if same else 'OTHER RESULTS'}"
    )


def opening(name: str, graph: Path, repeats: int) -> str:
    """Milliseconds to open a session: over the graph, and over the file that ONNX Runtime made of it."""
    kept = str(graph.with_suffix(".optimised.onnx"))
    session(str(graph), keep=kept)
    ways = (lambda: session(str(graph)), lambda: session(kept, optimised=False))
    times: list[list[float]] = [[], []]
    for _ in range(repeats + 2):
        for found, way in zip(times, ways, strict=True):
            began = perf_counter()
            way()
            found.append((perf_counter() - began) * 1e3)
    plain, optimised = (median(one) for one in times)
    return f"opening {name}: {plain:.1f} ms, its optimised file {optimised:.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    for trees, depth in SHAPES:
        print(compare(trees, depth, repeats), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        encoder, mlp = Path(folder, "encoder.onnx"), Path(folder, "mlp.onnx")
        graphs.encoder(encoder)
        mlp.write_bytes(onnx_builder.mlp([20, 256, 256, 1]))
        print(opening("a 6-layer encoder of 48 MB", encoder, repeats))
        print(opening("W2's MLP", mlp, repeats))


if __name__ == "__main__":
    main()
