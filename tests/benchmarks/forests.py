"""Tree ensembles: the runtime's own node, the operators that it is rewritten to, and our kernel, in turn.

    python -m tests.benchmarks.forests [--repeats 5] [--run]

One thread, 20 random features, the best of three batch sizes for each; medians of rounds in turn, in CPU seconds of the
thread. Random rows are the hardest for a processor that guesses branches: with real ones the runtime's own node may be
faster than here. ``--run``: W3 from table to table with and without the kernel, against a loop, and models of XGBoost
and LightGBM against the libraries' own predict on all cores, where they are installed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter, thread_time
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import onnxruntime as ort

from sqlinfer.forest_kernel import OFF
from sqlinfer.inference.graphs.forests import faster_forests
from sqlinfer.inference.graphs.split import split_of
from sqlinfer.inference.trees.kernel import ForestKernel
from sqlinfer.inference.trees.library import Library, library
from sqlinfer.inference.trees.running import Columns
from sqlinfer.testing import forests, onnx_builder
from tests.benchmarks import graphs
from tests.benchmarks.bench import Bench, child
from tests.benchmarks.workloads import workloads

Rows = np.ndarray[Any, Any]
Run = Callable[[Rows, int, int], Rows]

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


def seconds(run: Run, rows: Rows, size: int) -> float:
    """Of one row, taken from the time of as many runs as fill a third of a second."""
    done, began = 0, thread_time()
    while thread_time() - began < 0.35:
        at = done % (len(rows) - size + 1)
        run(rows, at, at + size)
        done += size
    return (thread_time() - began) / done


def in_runtime(graph: bytes) -> Run:
    opened = session(graph)
    return lambda rows, start, stop: opened.run(["score"], {"features": rows[start:stop]})[0]


def in_kernel(graph: bytes, rows: Rows) -> tuple[str, Run] | None:
    """Over columns, as a session feeds it."""
    found = library()
    if not isinstance(found, Library):
        return None
    kernel = ForestKernel(found, split_of(graph, ["score"], found), ["score"], session)
    columns = Columns.of([np.ascontiguousarray(rows[:, place]) for place in range(rows.shape[1])])
    return f"kernel ({found.instructions})", lambda _, start, stop: kernel.run({"features": columns.part(start, stop)})[
        0
    ]


def compare(name: str, graph: bytes, repeats: int, features: int = FEATURES) -> str:
    rows = np.random.default_rng(0).random((ROWS, features), dtype=np.float32)
    ways: dict[str, Run] = {"ONNX Runtime": in_runtime(graph)}
    rewritten = faster_forests(graph)
    if rewritten is not None:
        ways[rewritten[1][0]] = in_runtime(rewritten[0])
    ours = in_kernel(graph, rows)
    if ours is not None:
        ways[ours[0]] = ours[1]
    answers = [run(rows, 0, 20_000) for run in ways.values()]
    same = all(np.array_equal(answers[0], one) for one in answers)
    times = [[min(seconds(run, rows, size) for size in SIZES) for run in ways.values()] for _ in range(repeats)]
    said = [
        f"{way} {1e-6 / median(one[place] for one in times):.3f} M rows/s"
        + (f" ({median(one[0] / one[place] for one in times):.1f}×)" if place else "")
        for place, way in enumerate(ways)
    ]
    return f"{name}: {', '.join(said)}; {'same bits' if same else 'OTHER RESULTS'}"


def end_to_end(folder: Path) -> list[str]:
    """W3, from a table to a table: seconds, and CPU seconds of the whole process."""
    bench = Bench(workloads(1.0)["w3"], folder).create(reuse="false")
    bench.run("--full-refresh")
    ours, loop = bench.run("--full-refresh"), bench.peer("loop")
    os.environ[OFF] = "0"
    try:
        bench.run("--full-refresh")
        without = bench.run("--full-refresh")
    finally:
        del os.environ[OFF]
    found = {"sqlinfer run": ours, "without the kernel": without, "a loop": loop}
    return [f"W3, {name}: {one.seconds:.2f} s, {one.cpu:.1f} CPU s of the process" for name, one in found.items()]


def libraries(folder: Path) -> list[str]:
    """A model of each library that is there, 200 trees: its own predict from table to table, and sqlinfer run."""
    said = []
    for name, train in (("xgboost", _xgboost), ("lightgbm", _lightgbm)):
        if find_spec(name) is None:
            continue
        work = replace(workloads(0.5)["w3"], write=partial(_save, train))
        bench = Bench(work, folder / name).create(reuse="false")
        suffix = "json" if name == "xgboost" else "txt"
        yml = (
            f"functions:\n  - name: f\n    model: {{source: {name}, path: f.{suffix}}}\n    config: {{reuse: false}}\n"
        )
        (bench.folder / "functions" / "f.yml").write_text(yml)
        bench.run("--full-refresh")
        ours = bench.run("--full-refresh")
        _, wall, cpu, _ = child((sys.executable, "-c", _PREDICT, name, f"functions/f.{suffix}"), bench.folder)
        said.append(
            f"{name}, {work.rows:,} rows: sqlinfer run {ours.wall:.2f} s ({ours.cpu:.1f} CPU s), its own predict "
            f"{wall:.2f} s ({cpu:.1f} CPU s), whole processes"
        )
    return said


def _save(train: Callable[[Rows, Rows, Path], None], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows = rng.random((50_000, FEATURES), dtype=np.float32)
    train(
        rows, 3 * rows[:, 0] + np.sin(5 * rows[:, 1]) + rows[:, 2] * rows[:, 3] + rng.normal(size=50_000) * 0.3, folder
    )


def _xgboost(rows: Rows, answers: Rows, folder: Path) -> None:
    import xgboost

    found = xgboost.XGBRegressor(n_estimators=200, max_depth=6).fit(rows, answers)
    found.get_booster().feature_names = [f"c{place}" for place in range(FEATURES)]
    found.save_model(folder / "f.json")


def _lightgbm(rows: Rows, answers: Rows, folder: Path) -> None:
    import lightgbm

    names = [f"c{place}" for place in range(FEATURES)]
    found = lightgbm.train({"num_leaves": 31, "verbose": -1}, lightgbm.Dataset(rows, answers, feature_name=names), 200)
    found.save_model(folder / "f.txt")


_PREDICT = """
import sys, duckdb, numpy as np, pyarrow as pa
con = duckdb.connect('warehouse.duckdb')
found = con.execute('SELECT * FROM input').to_arrow_table()
rows = np.stack([found.column(f'c{n}').to_numpy() for n in range(20)], axis=1)
if sys.argv[1] == 'xgboost':
    import xgboost
    scores = xgboost.Booster(model_file=sys.argv[2]).inplace_predict(rows, validate_features=False)
else:
    import lightgbm
    scores = lightgbm.Booster(model_file=sys.argv[2]).predict(rows)
made = pa.table({'id': found.column('id'), 'score': pa.array(scores)})
con.register('made', made)
con.execute('CREATE OR REPLACE TABLE own_scores AS SELECT * FROM made')
con.close()
"""


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
    parser.add_argument("--run", action="store_true")
    given = parser.parse_args()
    for trees, depth in SHAPES:
        graph = onnx_builder.tree_ensemble(trees, depth, FEATURES)
        print(compare(f"{trees} trees of depth {depth}", graph, given.repeats), flush=True)
    uneven = forests.graph(forests.Shape(trees=200, leaves=31, features=FEATURES, grid=255, missing=True))
    print(compare("200 trees of 31 leaves, any shape", uneven, given.repeats), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if given.run:
            print(*end_to_end(Path(folder, "w3")), *libraries(Path(folder)), sep="\n", flush=True)
        encoder, mlp = Path(folder, "encoder.onnx"), Path(folder, "mlp.onnx")
        graphs.encoder(encoder)
        mlp.write_bytes(onnx_builder.mlp([20, 256, 256, 1]))
        print(opening("a 6-layer encoder of 48 MB", encoder, given.repeats))
        print(opening("W2's MLP", mlp, given.repeats))


if __name__ == "__main__":
    main()
