"""The engine against its own kernel, from an Arrow table in memory: how much of the floor is left.

    python tests/benchmarks/kernel_pipeline.py [--rows-scale 1.0] [--repeats 5]

The floor is the bare session on ready-made blocks, from as many threads as there are cores, at the measured batch size.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from statistics import median
from time import perf_counter

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa

from sqlinfer.errors import DeviceError
from sqlinfer.inference import open_session
from sqlinfer.inference.kernel import Feeds, Kernel
from sqlinfer.inference.session import Session
from sqlinfer.spec.function import Argument, FunctionContract, InputBinding, Output, OutputBinding, PreparedFunction
from sqlinfer.testing import onnx_builder

NAMES = tuple(f"c{number}" for number in range(20))
TEXTS = ("s0", "s1", "s2", "s3")
Run = tuple[Feeds, int]
"""The inputs of one run of the graph, and its rows."""


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    rows: int
    function: PreparedFunction
    table: pa.Table


def numeric(name: str, rows: int, graph: bytes, folder: Path) -> Workload:
    path = folder / f"{name}.onnx"
    path.write_bytes(graph)
    contract = FunctionContract(
        name, name.ljust(64, "0"), tuple(Argument(n, "REAL") for n in NAMES), (Output("value", "DOUBLE"),)
    )
    inputs = (InputBinding("features", "packed", "float", NAMES, len(NAMES)),)
    function = PreparedFunction(contract, folder, path, inputs, (OutputBinding("value", "score"),))
    random = np.random.default_rng(0)
    columns = {n: random.random(rows, dtype=np.float32) for n in NAMES}
    return Workload(name, rows, function, pa.table({"id": np.arange(rows), **columns}))


def categorical(rows: int, folder: Path) -> Workload:
    """W5: one-hot on four text columns plus four numbers, 100 boosted trees, one input per column."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    random, numbers = np.random.default_rng(0), NAMES[:4]
    kinds = [f"category {number}" for number in range(12)]
    columns = {n: random.random(rows) for n in numbers} | {t: random.choice(kinds, rows) for t in TEXTS}
    head = np.array([values[:5000] for values in columns.values()], dtype=object).T
    target = (head[:, 0] + (head[:, 4] == kinds[0]) + 0.1 * random.normal(size=len(head))) > 0.6
    encode = ColumnTransformer(
        [("n", "passthrough", [0, 1, 2, 3]), ("c", OneHotEncoder(handle_unknown="ignore"), [4, 5, 6, 7])]
    )
    model = Pipeline([("e", encode), ("m", GradientBoostingClassifier(n_estimators=100, max_depth=4))])
    model.fit(head, target.astype(int))
    types = [(n, FloatTensorType([None, 1])) for n in numbers] + [(t, StringTensorType([None, 1])) for t in TEXTS]
    onx = convert_sklearn(model, initial_types=types, options={"zipmap": False}, target_opset=17)
    path = folder / "w5.onnx"
    path.write_bytes(onx.SerializeToString())
    arguments = tuple(Argument(n, "REAL") for n in numbers) + tuple(Argument(t, "TEXT") for t in TEXTS)
    contract = FunctionContract("w5", "5".ljust(64, "0"), arguments, (Output("value", "DOUBLE"),))
    inputs = tuple(InputBinding(n, "column", "float", (n,)) for n in numbers)
    inputs += tuple(InputBinding(t, "column", "string", (t,)) for t in TEXTS)
    bindings = (OutputBinding("value", "probabilities", index=1),)
    function = PreparedFunction(contract, folder, path, inputs, bindings)
    return Workload("w5", rows, function, pa.table(columns))


def pipeline_seconds(session: Session, work: Workload) -> float:
    arguments = [argument.name for argument in work.function.contract.arguments]
    began = perf_counter()
    with session.score(work.table.to_reader(), arguments, []) as scored:
        rows = sum(batch.num_rows for batch in scored)
    seconds = perf_counter() - began
    assert rows == scored.counts.scored == work.rows
    return seconds


def ready_runs(session: Session, work: Workload, rows: int) -> list[Run]:
    """The runs that a pass makes of the first rows, their inputs assembled: cut into tasks, sorted, split, padded."""
    arguments = [argument.name for argument in work.function.contract.arguments]
    head = work.table.slice(0, rows).combine_chunks().to_batches()[0]
    limits, task, found = session._limits, session.task_rows(), []
    for start in range(0, head.num_rows, task):
        block = session._assembler.block(head.slice(start, task), arguments)
        splits = block.splits(limits.batch_size, limits.token_budget)
        found += [(dict(block.feeds(first, last, {})), last - first) for first, last in splits]
    return found


def kernel_seconds(session: Session, work: Workload, ready: Sequence[Run]) -> float:
    """All rows through the bare kernel in ready-made runs, from as many threads as the session has."""
    times = max(1, work.rows // sum(rows for _, rows in ready))
    queue = chain.from_iterable(repeat(ready, times))  # shared: a worker that is done early takes more
    done: list[int] = []

    def spin(kernel: Kernel) -> None:
        for feeds, rows in queue:
            kernel.run(feeds)
            done.append(rows)

    threads = [threading.Thread(target=spin, args=(kernel,)) for kernel in session._kernels]
    began = perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = perf_counter() - began
    assert len(done) == len(ready) * times, "a run of the bare kernel failed"
    return seconds * work.rows / sum(done)


def compare(work: Workload, device: str, repeats: int, out: Callable[[str], object]) -> None:
    with open_session(work.function, device=device) as session:
        pipeline_seconds(session, work)  # measures the layout, touches the pages
        ready = ready_runs(session, work, min(work.rows, 16 * session.layout.batch_size))
        pairs = [(kernel_seconds(session, work, ready), pipeline_seconds(session, work)) for _ in range(repeats)]
        kernel, whole = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
        rates = f"kernel {work.rows / kernel / 1e6:7.2f}, pipeline {work.rows / whole / 1e6:7.2f} M rows/s"
        batch = session.layout.batch_size
        out(f"{work.name} on {session.device}: {rates}, ratio {kernel / whole:.2f}, batch {batch}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows-scale", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="w1,w2,w5")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N; says so where the device does not work")
    flags = parser.parse_args()
    wanted = flags.only.split(",")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        makers: dict[str, Callable[[], Workload]] = {
            "w1": lambda: numeric("w1", int(5_000_000 * flags.rows_scale), onnx_builder.mlp([20, 32, 32, 1]), folder),
            "w2": lambda: numeric("w2", int(2_000_000 * flags.rows_scale), onnx_builder.mlp([20, 256, 256, 1]), folder),
            "w5": lambda: categorical(int(1_000_000 * flags.rows_scale), folder),
        }
        for key in wanted:
            try:
                compare(makers[key](), flags.device, flags.repeats, sys.stdout.write)
            except DeviceError as error:
                sys.exit(str(error))


if __name__ == "__main__":
    main()
