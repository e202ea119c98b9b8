"""Each stage of a run alone, in a fresh process: ``python -m tests.benchmarks.floors SPEC.json``.

The last line of stdout is JSON: stage → [seconds, CPU seconds], for all rows of the workload.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from tests.benchmarks.peers import COMMIT_ROWS, READ_ROWS, Spec, feeds, session, source

SLICE = 65_536
SAMPLE = 1_000_000
"""Rows that assembling is timed on; its time is scaled to all rows."""
KERNEL_SECONDS = 1.5


def timed(work: Callable[[], None], share: float = 1.0) -> tuple[float, float]:
    """Seconds and CPU seconds of ``work``, which did ``share`` of the rows."""
    cpu, began = time.process_time(), time.perf_counter()
    work()
    return (time.perf_counter() - began) / share, (time.process_time() - cpu) / share


def scan(spec: Spec) -> tuple[float, float]:
    def work() -> None:
        with duckdb.connect(spec["database"], read_only=True) as con:
            reader = con.sql(source(spec)).to_arrow_reader(READ_ROWS)
            for _ in reader:
                pass
            reader.close()

    return timed(work)


def sample(spec: Spec) -> pa.Table:
    with duckdb.connect(spec["database"], read_only=True) as con:
        rows: pa.Table = con.sql(f"{source(spec)} LIMIT {SAMPLE}").to_arrow_table()
    return rows.combine_chunks()


def assemble(spec: Spec, rows: pa.Table) -> tuple[float, float]:
    """Columns of 65,536 rows into one preallocated block; texts as codes of a dictionary."""
    batches = rows.to_batches(SLICE)
    block = np.empty((SLICE, len(spec["arguments"])), dtype=np.float32)

    def work() -> None:
        for batch in batches:
            for position, column in enumerate(batch.columns[1:]):
                values = column.dictionary_encode().indices if pa.types.is_string(column.type) else column
                block[: batch.num_rows, position] = values.to_numpy(zero_copy_only=False)

    work()  # the pages of the block
    return timed(work, rows.num_rows / spec["rows"])


def kernel(spec: Spec, rows: pa.Table) -> tuple[float, float]:
    """The bare session from one thread per core, one thread inside a run, ready-made feeds of the best size."""
    return min((_kernel(spec, rows, size) for size in spec["sizes"]), key=lambda found: found[0])


def _kernel(spec: Spec, rows: pa.Table, size: int) -> tuple[float, float]:
    workers, size = len(os.sched_getaffinity(0)), min(size, rows.num_rows)
    graph, columns = _fastest(spec, rows.slice(0, size * min(8, max(1, rows.num_rows // size))))
    run = session({**spec, "graph": graph}, 1)
    ready = [
        feeds(spec, [column.slice(start, size) for column in columns])
        for start in range(0, len(columns[0]) - size + 1, size)
    ]
    began = time.perf_counter()
    run.run([spec["output"]], ready[0])
    run.run([spec["output"]], ready[0])
    runs = max(2, int(KERNEL_SECONDS / len(spec["sizes"]) / ((time.perf_counter() - began) / 2)))

    def spin() -> None:
        for number in range(runs):
            run.run([spec["output"]], ready[number % len(ready)])

    def work() -> None:
        threads = [threading.Thread(target=spin) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return timed(work, runs * workers * size / spec["rows"])


def _fastest(spec: Spec, rows: pa.Table) -> tuple[Any, list[Any]]:
    """The graph with its forests rewritten, and the columns that it takes."""
    from sqlinfer.inference.graphs.forests import faster_forests

    graph, columns = _coded(spec, rows)
    found = faster_forests(graph)
    return found[0] if found else graph, columns


def _coded(spec: Spec, rows: pa.Table) -> tuple[bytes, list[Any]]:
    """The graph over integer codes with its columns, where it takes texts."""
    columns = [rows.column(name).combine_chunks() for name in spec["arguments"]]
    if not spec["texts"]:
        return Path(spec["graph"]).read_bytes(), columns
    from sqlinfer.inference.codes import codes_of
    from sqlinfer.inference.graphs.categories import encode

    made = encode(Path(spec["graph"]).read_bytes())
    assert made is not None
    words = pa.array(made.vocabulary, pa.large_string())
    columns = [pa.array(codes_of(c, words)) if pa.types.is_string(c.type) else c for c in columns]
    return made.graph, columns


def text_kernel(spec: Spec) -> tuple[float, float]:
    """The bare session on ready-made batches of one length each, at most 256 tokens a batch, nothing padded."""
    from tokenizers import Tokenizer

    encoder = Tokenizer.from_file(spec["tokenizer"])
    encoder.no_padding()
    with duckdb.connect(spec["database"], read_only=True) as con:
        texts = [row[0] for row in con.execute("SELECT body FROM input LIMIT 1000").fetchall()]
    ids = sorted((one.ids for one in encoder.encode_batch(texts)), key=len)
    ready = [np.array(group, dtype=np.int64) for group in _by_length(ids)]
    run, lock, at = session(spec, 1), threading.Lock(), iter(ready)

    def spin() -> None:
        while True:
            with lock:
                batch = next(at, None)
            if batch is None:
                return
            run.run([spec["output"]], {"input_ids": batch, "attention_mask": np.ones_like(batch)})

    def work() -> None:
        threads = [threading.Thread(target=spin) for _ in os.sched_getaffinity(0)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return timed(work, len(ids) / spec["rows"])


def _by_length(ids: list[list[int]]) -> list[list[list[int]]]:
    groups: list[list[list[int]]] = []
    for one in ids:
        if groups and len(groups[-1][0]) == len(one) and (len(groups[-1]) + 1) * len(one) <= 256:
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def write(spec: Spec, folder: Path) -> dict[str, tuple[float, float]]:
    """Ids and results appended to a side file in committed chunks; then copied into the database of the table."""
    side, main = folder / "floor_side.duckdb", folder / "floor_main.duckdb"
    for path in (side, main):
        path.unlink(missing_ok=True)
    chunks = [
        pa.table({"id": np.arange(start, stop), "score": np.random.default_rng(0).random(stop - start, np.float32)})
        for start in range(0, spec["rows"], COMMIT_ROWS)
        for stop in [min(start + COMMIT_ROWS, spec["rows"])]
    ]

    def append() -> None:
        with duckdb.connect(str(side)) as con:
            con.execute("CREATE TABLE scored (id BIGINT, score FLOAT)")
            for chunk in chunks:
                con.execute("INSERT INTO scored SELECT * FROM chunk")
                del chunk

    def publish() -> None:
        with duckdb.connect(str(main)) as con:
            con.execute(f"ATTACH '{side}' AS side (READ_ONLY)")
            con.execute("CREATE TABLE published AS FROM side.scored")

    times = {"write": timed(append), "publish": timed(publish)}
    for path in (side, main):
        path.unlink(missing_ok=True)
    return times


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    if spec["tokenizer"]:
        times = {"kernel": text_kernel(spec)}
    else:
        rows = sample(spec)
        times = {"scan": scan(spec), "assemble": assemble(spec, rows), "kernel": kernel(spec, rows)}
        times |= write(spec, Path(spec["database"]).parent)
    print("\n" + json.dumps(times))


if __name__ == "__main__":
    main()
