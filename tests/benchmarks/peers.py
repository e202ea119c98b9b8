"""What users would otherwise write, one pass in a fresh process: ``python -m tests.benchmarks.peers SPEC.json``.

A fresh peer is timed from opening the database to the closed database with its committed table, session included,
imports left out. A warm one has the database and the session open and has done the same once before; it is timed to the
committed table. Without pandas pyarrow finds none to import. The last line of stdout is JSON: seconds, cpu, rss (MB).
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from importlib.abc import MetaPathFinder
from itertools import count
from typing import Any

import duckdb
import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pyarrow.compute as pc  # noqa: F401  imported here so that no peer pays for it inside its timing

READ_ROWS = 122_880
COMMIT_ROWS = 500_000
Spec = dict[str, Any]


def session(spec: Spec, threads: int = 0) -> ort.InferenceSession:
    """``threads`` 0: ONNX Runtime's default, one per core inside a run."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(spec["graph"], options, providers=["CPUExecutionProvider"])


def feeds(spec: Spec, columns: list[Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Arrow columns → the inputs of the graph."""
    if spec["packed"]:
        block = np.empty((len(columns[0]), len(columns)), dtype=np.float32)
        for position, column in enumerate(columns):
            block[:, position] = column.to_numpy(zero_copy_only=False)
        return {"features": block}
    arrays = [column.to_numpy(zero_copy_only=False).reshape(-1, 1) for column in columns]
    return dict(zip(spec["arguments"], arrays, strict=True))


def picked(spec: Spec, raw: Any) -> np.ndarray[Any, Any]:
    values = np.asarray(raw[0])
    flat = values[:, spec["index"]] if spec["index"] is not None else values.reshape(len(values))
    return np.ascontiguousarray(flat, dtype=np.float32)


def source(spec: Spec) -> str:
    return f"SELECT id, {', '.join(spec['arguments'])} FROM input"


def udf(spec: Spec, con: duckdb.DuckDBPyConnection, run: ort.InferenceSession) -> None:
    """A vectorised Arrow UDF over the session, CREATE TABLE AS."""

    def score(*columns: Any) -> pa.Array:
        return pa.array(picked(spec, run.run([spec["output"]], feeds(spec, list(columns)))))

    name = f"f{next(_NUMBERS)}"
    con.create_function(name, score, None, "FLOAT", type="arrow")
    con.execute(f"CREATE OR REPLACE TABLE {spec['out']} AS SELECT id, {name}({', '.join(spec['arguments'])}) AS score "
                "FROM input")  # fmt: skip


def loop(spec: Spec, con: duckdb.DuckDBPyConnection, run: ort.InferenceSession) -> None:
    """One Python thread: read a batch, run the session, append, commit every 500,000 rows."""
    reader = con.cursor().sql(source(spec)).to_arrow_reader(READ_ROWS)
    con.execute(f"CREATE OR REPLACE TABLE {spec['out']} (id BIGINT, score FLOAT)")
    for chunk in _chunks(_scored(spec, run, reader)):
        con.execute(f"INSERT INTO {spec['out']} SELECT * FROM chunk")
        del chunk
    reader.close()


def _scored(spec: Spec, run: ort.InferenceSession, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        values = picked(spec, run.run([spec["output"]], feeds(spec, batch.columns[1:])))
        yield pa.RecordBatch.from_arrays([batch.column(0), pa.array(values)], names=["id", "score"])


def _chunks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(one.num_rows for one in held) >= COMMIT_ROWS:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def readall(spec: Spec, con: duckdb.DuckDBPyConnection, run: ort.InferenceSession) -> None:
    """Everything into memory, one run, everything back."""
    table = con.sql(source(spec)).to_arrow_table().combine_chunks()
    values = picked(spec, run.run([spec["output"]], feeds(spec, [table.column(n) for n in spec["arguments"]])))
    done = pa.table({"id": table.column("id"), "score": values})
    con.execute(f"CREATE OR REPLACE TABLE {spec['out']} AS SELECT * FROM done")
    del done


def batches32(spec: Spec, con: duckdb.DuckDBPyConnection, run: ort.InferenceSession) -> None:
    """Texts in arrival order, 32 at a time, padded to the longest of the batch."""
    from tokenizers import Tokenizer

    encoder = Tokenizer.from_file(spec["tokenizer"])
    encoder.enable_truncation(max_length=128)
    rows = con.sql("SELECT id, body FROM input").to_arrow_table()
    texts, vectors = rows.column("body").to_pylist(), []
    for start in range(0, len(texts), 32):
        found = encoder.encode_batch(texts[start : start + 32])
        ids = np.array([one.ids for one in found], dtype=np.int64)
        mask = np.array([one.attention_mask for one in found], dtype=np.int64)
        (hidden,) = run.run([spec["output"]], {"input_ids": ids, "attention_mask": mask})
        weights = mask[:, :, None].astype(np.float32)
        vectors.append((hidden * weights).sum(axis=1) / weights.sum(axis=1))
    flat = np.concatenate(vectors)
    values = pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), flat.shape[1])
    done = pa.table({"id": rows.column("id"), "score": values})
    con.execute(f"CREATE OR REPLACE TABLE {spec['out']} AS SELECT * FROM done")
    del done


_NUMBERS = count()
PEERS: dict[str, Callable[[Spec, duckdb.DuckDBPyConnection, ort.InferenceSession], None]] = {
    "udf": udf,
    "loop": loop,
    "readall": readall,
    "batches32": batches32,
}


class NoPandas(MetaPathFinder):
    """Finds what is installed beside pandas."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError(f"no module named {name}", name=name)


def fresh(spec: Spec) -> None:
    run = session(spec)
    with duckdb.connect(spec["database"]) as con:
        PEERS[spec["kind"]](spec, con, run)


def timed(work: Callable[[], None]) -> dict[str, float]:
    cpu, began = time.process_time(), time.perf_counter()
    work()
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    if not spec["pandas"]:
        sys.meta_path.insert(0, NoPandas())
    if spec["warm"]:
        run = session(spec)
        with duckdb.connect(spec["database"]) as con:
            PEERS[spec["kind"]](spec, con, run)
            used = timed(lambda: PEERS[spec["kind"]](spec, con, run))
    else:
        used = timed(lambda: fresh(spec))
    print("\n" + json.dumps({**used, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
