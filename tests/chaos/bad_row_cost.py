"""What bad rows cost in time: functions with 0 and 0.1 % of their rows failing, in turn. ``python bad_row_cost.py``.

Seconds are of the processor, in one thread: what the work costs, whatever else runs on the machine.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from onnx import TensorProto, helper

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

ROWS, ROUNDS, RATE = 100_000, 5, 0.001


def embedding(width: int, layers: int, *, late: bool = False) -> bytes:
    """An index picks a row of a table (and is refused when it is out of range) before tanh layers, or after them."""
    rng = np.random.default_rng(3)
    nodes = [helper.make_node("Gather", ["table", "first" if late else "i"], ["h0"])]
    last = "h0"
    for layer in range(layers):
        nodes.append(helper.make_node("MatMul", [last, "w"], [f"m{layer}"]))
        nodes.append(helper.make_node("Tanh", [f"m{layer}"], [f"t{layer}"]))
        last = f"t{layer}"
    nodes.append(helper.make_node("MatMul", [last, "out"], ["sum" if late else "score"]))
    if late:
        nodes.insert(0, helper.make_node("Mod", ["i", "rows"], ["first"]))
        nodes.append(helper.make_node("Mul", ["sum", "zero"], ["nothing"]))  # so that it cannot be looked up before
        nodes.append(helper.make_node("Cast", ["nothing"], ["offset"], to=TensorProto.INT64))
        nodes.append(helper.make_node("Add", ["i", "offset"], ["last"]))
        nodes.append(helper.make_node("Gather", ["bias", "last"], ["score"]))
    consts = [
        onnx_builder.constant("rows", [1000], "int64", shape=(1,)),
        onnx_builder.constant("zero", [0.0]),
        onnx_builder.constant("bias", rng.normal(size=1000).tolist()),
        onnx_builder.constant("table", rng.normal(size=1000 * width).tolist(), shape=(1000, width)),
        onnx_builder.constant("w", (rng.normal(size=width * width) / width**0.5).tolist(), shape=(width, width)),
        onnx_builder.constant("out", rng.normal(size=width).tolist(), shape=(width,)),
    ]
    ports = [onnx_builder.value("i", "int64", ["N"])]
    return onnx_builder.build(nodes, ports, [onnx_builder.value("score", "float", ["N"])], consts)


def prepared(folder: Path, graph: bytes) -> PreparedFunction:
    path = folder / "f.onnx"
    path.write_bytes(graph)
    contract = FunctionContract("f", "ab" * 32, (Argument("i", "BIGINT"),), (Output("value", "DOUBLE"),))
    inputs = (InputBinding("i", "vector", "int64", ("i",)),)
    return PreparedFunction(contract, folder, path, inputs, (OutputBinding("value", "score"),))


def seconds(function: PreparedFunction, table: pa.Table, cache: Path) -> float:
    with open_session(function, device="cpu", threads=1, cache_dir=cache) as session:
        began = time.process_time()
        session.score_table(table)
        return time.process_time() - began


def main() -> None:
    rng = np.random.default_rng(1)
    good = rng.integers(0, 1000, ROWS)
    bad = good.copy()
    bad[rng.choice(ROWS, int(ROWS * RATE), replace=False)] = 5000
    tables = {"good": pa.table({"i": good}), "bad": pa.table({"i": bad})}
    for width, layers, late in ((128, 2, False), (256, 4, False), (384, 4, False), (384, 8, False), (384, 8, True)):
        with tempfile.TemporaryDirectory() as folder:
            function = prepared(Path(folder), embedding(width, layers, late=late))
            seconds(function, tables["good"], Path(folder))  # finds the size of a run
            times: dict[str, list[float]] = {"good": [], "bad": []}
            for _ in range(ROUNDS):
                for name, table in tables.items():
                    times[name].append(seconds(function, table, Path(folder)))
        first, second = (min(times[name]) for name in ("good", "bad"))
        print(
            f"{layers} layers of {width}{', refused after them' * late}: {first / ROWS * 1e6:.1f} µs a row, "
            f"with {RATE:.1%} bad rows {second / first:.2f} times that"
        )


if __name__ == "__main__":
    main()
