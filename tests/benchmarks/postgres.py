"""Nights on PostgreSQL against a plain copy and a hand-written loop, all on one cluster and in turn.

    python -m tests.benchmarks.postgres [--rows 1000000] [--changed 0.01] [--repeats 1]

``copy`` reads the table and writes as many rows back, nothing is scored. ``loop`` scores each batch between the two
and renames the new table at the end. ``first`` is our first night, with an empty store; ``later`` the night after some
rows changed; ``same`` a night with nothing new; ``stream`` a function that remembers nothing. Each is a process of its
own. A server that is named by SQLINFER_TEST_POSTGRES is used instead of one of the benchmark's own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sqlinfer.testing import onnx_builder
from sqlinfer.testing.postgres_server import Database, postgres
from tests.benchmarks.bench import SQLINFER, child

FIRST_TO_LOOP, LATER_TO_FIRST, CLIENT_MB = 1.3, 0.4, 300
"""What is aimed at; the first is that of a machine whose kernel takes a fifth of the night."""
SETTINGS = ("shared_buffers=256MB", "max_wal_size=4GB", "synchronous_commit=on", "fsync=on")
TABLE = """create table input as select i as id, random()::real as a, random()::real as b, random()::real as c,
(i % 7)::int as g from generate_series(1, {rows}) as i"""
FUNCTIONS = """functions:
  - name: {name}
    model: {{path: f.onnx, inputs: {{features: [a, b, c]}}}}
    arguments: [{{name: a, data_type: float}}, {{name: b, data_type: float}}, {{name: c, data_type: float}}]
    returns: {{data_type: float, output: score}}
    config: {{device: cpu, reuse: {reuse}}}
"""
LOOP = """
import sys, time
import adbc_driver_postgresql.dbapi as driver, numpy as np, onnxruntime as ort, pyarrow as pa
uri, path, scores = sys.argv[1], sys.argv[2], sys.argv[3] == "loop"
options = ort.SessionOptions()
session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]) if scores else None
with driver.connect(uri) as reading, driver.connect(uri) as writing:
    source, sink = reading.cursor(), writing.cursor()
    sink.execute("drop table if exists by_hand_new")
    sink.execute("create table by_hand_new (id int, g int, score real)")
    source.execute("select id, g, a, b, c from input")
    def batches():
        for batch in source.fetch_record_batch():
            if session is None:
                score = np.zeros(batch.num_rows, np.float32)
            else:
                rows = np.stack([batch.column(name).to_numpy() for name in "abc"], axis=1)
                parts = [session.run(None, {"features": rows[i:i + 4096]})[0] for i in range(0, len(rows), 4096)]
                score = np.concatenate(parts).reshape(-1)
            arrays = [batch.column("id"), batch.column("g"), pa.array(score)]
            yield pa.RecordBatch.from_arrays(arrays, names=["id", "g", "score"])
    schema = pa.schema([("id", pa.int32()), ("g", pa.int32()), ("score", pa.float32())])
    sink.adbc_ingest("by_hand_new", pa.RecordBatchReader.from_batches(schema, batches()), mode="append")
    sink.execute("drop table if exists by_hand")
    sink.execute("alter table by_hand_new rename to by_hand")
    writing.commit()
"""


@dataclass(frozen=True, slots=True)
class Night:
    seconds: float
    megabytes: float
    """Of the client, at most."""


@dataclass(frozen=True, slots=True)
class House:
    """A project on disk; the table ``input`` and what is made of it are in the database."""

    folder: Path
    database: Database

    def create(self, rows: int) -> None:
        for name in ("functions", "models"):
            (self.folder / name).mkdir(parents=True)
        onnx_builder.mlp([3, 256, 256, 1], path=self.folder / "functions" / "f.onnx")
        for name, reuse in (("f", "true"), ("streamed", "false")):
            (self.folder / "functions" / f"{name}.yml").write_text(FUNCTIONS.format(name=name, reuse=reuse))
            sql = f"select id, g, predict('{name}', a, b, c) as score from public.input\n"
            (self.folder / "models" / f"by_{name}.sql").write_text(sql)
        output = {"bench": {"target": "dev", "outputs": {"dev": self.database.output()}}}
        (self.folder / "profiles.yml").write_text(json.dumps(output))
        (self.folder / "sqlinfer_project.yml").write_text("name: bench\nprofile: bench\n")
        self.database.run(TABLE.format(rows=rows), "vacuum analyze input", "checkpoint")

    def by_hand(self, kind: str) -> Night:
        command = (sys.executable, "-c", LOOP, self.database.uri, str(self.folder / "functions" / "f.onnx"), kind)
        _, wall, _, rss = child(command, self.folder)
        return Night(wall, rss)

    def run(self, model: str) -> Night:
        _, wall, _, rss = child((*SQLINFER, "run", "--select", model), self.folder)
        return Night(wall, rss)

    def forget(self) -> None:
        self.database.run("drop schema if exists public_sqlinfer cascade", "drop table if exists by_f", "checkpoint")

    def change(self, share: float) -> None:
        self.database.run(f"update input set a = random()::real where random() < {share}", "checkpoint")


def measure(house: House, share: float) -> dict[str, Night]:
    """One round: everything once."""
    found = {"copy": house.by_hand("copy"), "loop": house.by_hand("loop")}
    house.forget()
    found["first"] = house.run("by_f")
    house.change(share)
    found["later"] = house.run("by_f")
    found["same"] = house.run("by_f")
    found["stream"] = house.run("by_streamed")
    return found


def report(rounds: Sequence[dict[str, Night]], rows: int) -> str:
    seconds = {kind: median(one[kind].seconds for one in rounds) for kind in rounds[0]}
    memory = {kind: max(one[kind].megabytes for one in rounds) for kind in rounds[0]}
    lines = [
        f"{kind:7} {seconds[kind]:7.2f} s {rows / seconds[kind] / 1e3:7.0f} k rows/s, client {memory[kind]:4.0f} MB"
        for kind in seconds
    ]
    first, later = seconds["first"] / seconds["loop"], seconds["later"] / seconds["first"]
    copy, stream = seconds["first"] / seconds["copy"], seconds["stream"] / seconds["loop"]
    lines.append(f"first / copy {copy:.2f}, stream / loop {stream:.2f}, first / loop {first:.2f} (aim {FIRST_TO_LOOP})")
    most = max(memory[kind] for kind in ("first", "later", "stream"))
    lines.append(f"later / first {later:.2f} (aim {LATER_TO_FIRST}), client at most {most:.0f} MB (aim {CLIENT_MB})")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.postgres", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--changed", type=float, default=0.01, help="share of the rows, night by night")
    parser.add_argument("--repeats", type=int, default=1)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, postgres(*SETTINGS) as server, server.fresh() as database:
        house = House(Path(folder) / "house", database)
        house.create(flags.rows)
        rounds = [measure(house, flags.changed) for _ in range(flags.repeats)]
        print(report(rounds, flags.rows), flush=True)


if __name__ == "__main__":
    main()
