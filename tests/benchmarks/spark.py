"""Nights on Spark beside a hand-written job: ``make bench BENCH=spark BENCH_ARGS="--rows 2000000"``.

``hand`` is what one would write: ``mapInArrow`` with an ONNX Runtime session that each Python worker keeps, and
``saveAsTable``. It scores every row each night and has no store, tests, records or version to go back to. ``stream``
is our night with ``reuse: false``, ``first`` one with an empty store, ``later`` the night after some rows changed,
``same`` one with nothing new. All run in turn in one process, on one JVM and one set of Python workers, after a round
that is not counted; what is timed is the whole job, for us from reading the project's files to the record of the run.
``--law`` measures a quarter of the rows, too, and prints what a row costs by the model of docs/scale.md.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pyarrow as pa

from sqlinfer import api
from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
from tests.benchmarks.scale import Law
from tests.benchmarks.workloads import FEATURES, Workload, declaration, workloads

STREAM, FIRST = 0.9, 0.35
"""Shares of the hand-written job's speed that are aimed at; ``later`` is to be faster than that job."""
NIGHTS = ("hand", "stream", "first", "later", "same")
MODELS = {"remembered": "f", "streamed": "s"}


@dataclass
class ByHand:
    """Scores batches in a Python worker, which keeps the session for its next task."""

    graph: bytes
    output: str
    index: int | None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import numpy as np

        session = _kept(self.graph)
        for batch in batches:
            rows = np.stack([batch.column(name).to_numpy(zero_copy_only=False) for name in FEATURES], axis=1)
            parts = [session.run([self.output], {"features": rows[i : i + 4096]})[0] for i in range(0, len(rows), 4096)]
            found = np.concatenate(parts)
            score = found.reshape(-1) if self.index is None else np.ascontiguousarray(found[:, self.index])
            yield pa.RecordBatch.from_arrays([batch.column("id"), pa.array(score)], names=["id", "score"])


def _kept(graph: bytes) -> Any:
    """A module of the worker outlives the task, unlike what is pickled with it."""
    import sys

    import onnxruntime as ort

    known = getattr(sys, "_by_hand", None)
    if known is None or known[0] != graph:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        known = graph, ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        sys._by_hand = known  # type: ignore[attr-defined]
    return known[1]


@dataclass
class House:
    """A project on disk, and its tables in a catalog of its own."""

    folder: Path
    work: Workload
    session: SparkSqlSession
    night: int = 0

    @classmethod
    def build(cls, folder: Path, work: Workload, master: str) -> House:
        work.write(folder / "functions")
        texts = {"sqlinfer_project.yml": "name: bench\nprofile: bench\n"}
        output = {"type": "spark", "method": "session", "schema": "ml",
                  "server_side_parameters": {"spark.master": master, "spark.driver.memory": "2g"}}  # fmt: skip
        texts["profiles.yml"] = json.dumps({"bench": {"target": "dev", "outputs": {"dev": output}}})
        for reuse, name in (("true", "f"), ("false", "s")):
            declared = declaration(work, reuse=reuse).replace("- name: f", f"- name: {name}")
            texts[f"functions/{name}.yml"] = declared
        for model, name in MODELS.items():
            texts[f"models/{model}.sql"] = f"select id, predict('{name}', {', '.join(FEATURES)}) as score from ml.input"
        for path, text in texts.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        session = SparkSqlSession(SparkSettings.parse(output, folder))
        session.execute("create schema if not exists ml")
        session.use_schema()
        house = cls(folder, work, session)
        columns = ", ".join(f"cast(rand({n}) as float) as {name}" for n, name in enumerate(FEATURES))
        house._input(f"select id, {columns} from range(0, {work.rows}, 1, 8)")
        return house

    def _input(self, sql: str) -> None:
        self.night += 1
        self.session.execute(f"create table next_input using parquet as {sql}")
        self.session.execute("drop table if exists input")
        self.session.execute("alter table next_input rename to input")

    def change(self, share: float) -> None:
        """New inputs in so many rows."""
        first, *rest = FEATURES
        new = f"if(rand({1000 + self.night}) < {share}, cast(rand({2000 + self.night}) as float), {first}) as {first}"
        self._input(f"select id, {new}, {', '.join(rest)} from input")

    def forget(self) -> None:
        """An empty store, and no table from before."""
        self.session.execute("drop schema if exists ml_sqlinfer cascade")

    # nights: seconds of each

    def hand(self) -> float:
        began = perf_counter()
        job = ByHand((self.folder / "functions" / "f.onnx").read_bytes(), self.work.output, self.work.index)
        frame = self.session.raw.table("ml.input").select("id", *FEATURES)
        scored = frame.mapInArrow(job, "id bigint, score float")
        scored.write.mode("overwrite").saveAsTable("ml.by_hand")
        return perf_counter() - began

    def ours(self, model: str) -> float:
        began = perf_counter()
        result = api.run(api.RunOptions(self.folder, select=(model,)))
        seconds = perf_counter() - began
        bad = [node.message for node in result.results if node.status != "success"]
        if bad:
            raise RuntimeError("\n".join(bad))
        return seconds

    def round(self, share: float) -> dict[str, float]:
        """Every night once."""
        found = {"hand": self.hand(), "stream": self.ours("streamed")}
        self.forget()
        found["first"] = self.ours("remembered")
        self.change(share)
        found["later"] = self.ours("remembered")
        found["same"] = self.ours("remembered")
        self._compare()
        return found

    def _compare(self) -> None:
        self.hand()
        apart = "max(abs(a.score - b.score))"
        joined = "ml.by_hand as a join ml.remembered as b using (id)"
        rows, most = self.session.rows(f"select count(*), {apart} from {joined}")[0]
        if rows != self.work.rows or most > 1e-4:
            raise RuntimeError(f"{rows} rows in both tables, scores up to {most} apart")


def measure(work: Workload, master: str, share: float, repeats: int) -> dict[str, float]:
    """Medians of each night's seconds."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        house = House.build(Path(folder), work, master)
        stack.callback(_stop, house.session)
        house.round(share)
        rounds = [house.round(share) for _ in range(repeats)]
    return {night: median(one[night] for one in rounds) for night in NIGHTS}


def _stop(session: SparkSqlSession) -> None:
    session.raw.sparkContext.stop()


def table(work: Workload, seconds: Mapping[str, float]) -> str:
    hand = seconds["hand"]
    lines = [f"{work.name}, {work.title}, {work.rows:,} rows"]
    for night, took in seconds.items():
        lines.append(f"{night:7} {took:7.2f} s {work.rows / took / 1e3:7.0f} k rows/s, {hand / took:5.2f} of hand")
    return "\n".join(lines)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--models", default="w2", help="comma-separated: w1, w2, w3, w4")
    arguments.add_argument("--master", default="local[2]")
    arguments.add_argument("--changed", type=float, default=0.01, help="share of the rows, night by night")
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--law", action="store_true", help="also at a quarter of the rows: what a row costs")
    given = arguments.parse_args()
    for name in given.models.split(","):
        print(f"{given.master}, load {os.getloadavg()[0]:.1f}, {given.changed:.0%} changed, medians of {given.repeats}")
        sizes = (given.rows // 4, given.rows) if given.law else (given.rows,)
        found = []
        for rows in sizes:
            work = replace(workloads(1.0)[name], rows=rows)
            found.append(measure(work, given.master, given.changed, given.repeats))
            print(table(work, found[-1]), flush=True)
        if given.law:
            print(laws((sizes[0], sizes[1]), found, given.changed), flush=True)


def laws(sizes: tuple[int, int], found: Sequence[Mapping[str, float]], share: float) -> str:
    first, later, stream, hand = (tuple(one[night] for one in found) for night in ("first", "later", "stream", "hand"))
    law = Law.of(sizes, (first[0], first[1]), (later[0], later[1]), share)
    lines = [
        f"fixed {law.fixed:.1f} s, a million rows known {law.known * 1e6:.1f} s, scored {law.score * 1e6:.1f} s more"
    ]
    for night, took in (("stream", stream), ("hand", hand)):
        slope = (took[1] - took[0]) / (sizes[1] - sizes[0])
        lines.append(f"{night}: fixed {took[0] - slope * sizes[0]:.1f} s, a million rows {slope * 1e6:.1f} s")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
