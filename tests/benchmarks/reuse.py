"""What the rule ``reuse: auto`` is set from: nights with the store against scoring all rows again.

    python -m tests.benchmarks.reuse [--scale 1] [--repeats 3]

For numbers (W1's table, MLPs of rising width) and for numbers with texts (W5's table, rising numbers of trees): a run
of all rows with a stream, the first night with the store, and nights on which 1 % of the rows changed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import onnx

from sqlinfer.functions.cost import cost_per_row
from sqlinfer.testing import onnx_builder
from tests.benchmarks import graphs
from tests.benchmarks.bench import Bench
from tests.benchmarks.measure import changed
from tests.benchmarks.workloads import NUMBERS, TEXTS, Workload, _graph, workloads

WIDTHS, TREES = (32, 64, 96, 128, 176), (25, 100, 200, 300)


def works(scale: float) -> Iterator[tuple[str, str, Workload]]:
    """Whose table, which function, and both."""
    found = workloads(scale)
    for width in WIDTHS:
        yield "w1", f"MLP 20-{width}-{width}-1", replace(found["w1"], write=_graph(_mlp(width)))
    for trees in TREES:
        yield "w5", f"{trees} trees of depth 3", replace(found["w5"], write=_graph(_trees(trees)))


def _mlp(width: int) -> Callable[[], bytes]:
    return lambda: onnx_builder.mlp([20, width, width, 1])


def _trees(count: int) -> Callable[[], bytes]:
    return lambda: graphs.categorical_trees(NUMBERS, TEXTS, trees=count)


def measure(bench: Bench, repeats: int) -> tuple[float, float, float]:
    """Seconds: all rows streamed, the first night with the store, later nights."""
    bench.run()
    stream = median(bench.run().seconds for _ in range(repeats))
    bench.declare("true", "materialized='table'")
    first = bench.run().seconds
    return stream, first, median(changed(bench, night).seconds for night in range(repeats))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.reuse", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=3)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tables: dict[str, Bench] = {}
        for number, (table, title, work) in enumerate(works(flags.scale)):
            bench = Bench(work, Path(folder) / str(number))
            bench.create(reuse="false", data_from=tables.get(table))
            tables.setdefault(table, bench)
            stream, first, later = measure(bench, flags.repeats)
            cost = cost_per_row(onnx.load(bench.folder / "functions" / "f.onnx"))
            nights = f"won back after {(first - stream) / (stream - later):.1f} nights" if later < stream else "never"
            print(
                f"{title} ({cost:,.0f} operations a row): all {stream:.2f} s, first night {first:.2f} s, "
                f"then {later:.2f} s: {nights}",
                flush=True,
            )


if __name__ == "__main__":
    main()
