"""What bad rows cost in time: one function, 0 and 0.1 % of its rows failing, in turn. ``python bad_row_cost.py``."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from onnx import helper

from sqlinfer.inference import open_session
from sqlinfer.spec.function import (
    Argument,
    FunctionContract,
    InputBinding,
    Output,
    OutputBinding,
    PreparedFunction,
)
from sqlinfer.testing import onnx_builder

ROWS, ROUNDS, RATE = 200_000, 5, 0.001


def embedding(width: int, layers: int) -> bytes:
    """An index picks a row of a table (and is refused when it is out of range), tanh layers follow."""
    rng = np.random.default_rng(3)
    nodes = [helper.make_node("Gather", ["table", "i"], ["h0"])]
    last = "h0"
    for layer in range(layers):
        nodes.append(helper.make_node("MatMul", [last, "w"], [f"m{layer}"]))
        nodes.append(helper.make_node("Tanh", [f"m{layer}"], [f"t{layer}"]))
        last = f"t{layer}"
    nodes.append(helper.make_node("MatMul", [last, "out"], ["score"]))
    consts = [
        onnx_builder.constant("table", rng.normal(size=1000 * width).tolist(), shape=(1000, width)),
        onnx_builder.constant("w", (rng.normal(size=width * width) / width**0.5).tolist(), shape=(width, width)),
        onnx_builder.constant("out", rng.normal(size=width).tolist(), shape=(width, 1)),
    ]
    ports = [onnx_builder.value("i", "int64", ["N"])]
    return onnx_builder.build(nodes, ports, [onnx_builder.value("score", "float", ["N", 1])], consts)


def prepared(folder: Path, graph: bytes) -> PreparedFunction:
    path = folder / "f.onnx"
    path.write_bytes(graph)
    contract = FunctionContract("f", "ab" * 32, (Argument("i", "BIGINT"),), (Output("value", "DOUBLE"),))
    inputs = (InputBinding("i", "vector", "int64", ("i",)),)
    return PreparedFunction(contract, folder, path, inputs, (OutputBinding("value", "score"),))


def seconds(function: PreparedFunction, table: pa.Table, cache: Path) -> float:
    with open_session(function, device="cpu", cache_dir=cache) as session:
        began = time.perf_counter()
        session.score_table(table)
        return time.perf_counter() - began


def main() -> None:
    rng = np.random.default_rng(1)
    good = rng.integers(0, 1000, ROWS)
    bad = good.copy()
    bad[rng.choice(ROWS, int(ROWS * RATE), replace=False)] = 5000
    tables = {"good": pa.table({"i": good}), "bad": pa.table({"i": bad})}
    for width, layers in ((128, 2), (256, 4), (384, 8)):
        with tempfile.TemporaryDirectory() as folder:
            function = prepared(Path(folder), embedding(width, layers))
            times: dict[str, list[float]] = {"good": [], "bad": []}
            for _ in range(ROUNDS):
                for name, table in tables.items():
                    times[name].append(seconds(function, table, Path(folder)))
        first, second = (statistics.median(times[name]) for name in ("good", "bad"))
        print(
            f"{layers} layers of {width}: {first:.2f} s, with {RATE:.1%} bad rows {second:.2f} s: {second / first:.2f}×"
        )


if __name__ == "__main__":
    main()
