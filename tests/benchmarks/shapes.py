"""Tables of few and many columns, and many calls over the same rows.

    python -m tests.benchmarks.shapes [--rows 500000] [--columns 5,50,200] [--calls 10] [--repeats 3]

Columns: one call of an MLP, a fresh run of ours against an Arrow UDF and a loop over Arrow batches that are warm in
their process. Calls: as many models over the same 20 columns of twice the rows, a fresh run of ours against a loop that
reads once and runs all sessions, timed from the open database to the committed table. Rounds in turn, medians.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from sqlinfer.testing import onnx_builder
from tests.benchmarks.bench import Bench, Pass, child
from tests.benchmarks.workloads import FEATURES, Workload

PEERS = ("udf warm", "loop warm")
WANTED = 1.1
"""How many times the rate of the faster warm peer ours is held to."""
LOOP = """
import json, resource, sys, time
import duckdb, numpy as np, onnxruntime as ort, pyarrow as pa
database, calls, names = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
began, options = time.perf_counter(), ort.SessionOptions()
sessions = [ort.InferenceSession(f"functions/f{n}.onnx", options, providers=["CPUExecutionProvider"])
            for n in range(calls)]
with duckdb.connect(database) as con:
    columns = ", ".join(f"s{n} FLOAT" for n in range(calls))
    con.execute(f"CREATE OR REPLACE TABLE by_hand (id BIGINT, {columns})")
    reader = con.cursor().sql(f"SELECT id, {', '.join(names)} FROM input").to_arrow_reader(122_880)
    for batch in reader:
        block = np.stack([column.to_numpy() for column in batch.columns[1:]], axis=1)
        found = [pa.array(one.run(None, {"features": block})[0].reshape(-1)) for one in sessions]
        chunk = pa.RecordBatch.from_arrays([batch.column(0), *found], names=["id", *(f"s{n}" for n in range(calls))])
        con.execute("INSERT INTO by_hand SELECT * FROM chunk")
print(json.dumps({"seconds": time.perf_counter() - began}))
"""


def wide(columns: int, rows: int) -> Workload:
    """An MLP over so many columns."""
    names = tuple(f"c{number}" for number in range(columns))
    table = f"SELECT range AS id, {', '.join(f'random()::float AS {name}' for name in names)} FROM range({rows})"

    def write(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        onnx_builder.mlp([columns, 32, 32, 1], path=folder / "f.onnx")

    return Workload(f"columns-{columns}", rows, f"{columns} columns", table, names, (), write)


def columns(count: int, rows: int, folder: Path, repeats: int) -> str:
    bench = Bench(wide(count, rows), folder / f"columns-{count}").create(reuse="false")
    bench.run()  # prepares the artifact and measures the layout, as the first night does
    rounds = [{"ours": bench.run(), **{peer: bench.peer(peer) for peer in PEERS}} for _ in range(repeats)]
    apart = bench.difference("loop")
    ratio = median(min(one[peer].seconds for peer in PEERS) / one["ours"].seconds for one in rounds)
    return f"{_medians(f'{count} columns', rounds)}, ratio {ratio:.2f} (aim {WANTED}), apart by {apart:.1g}"


@dataclass(frozen=True, slots=True)
class Calls(Bench):
    """So many functions over the same rows."""

    count: int = 10

    def declare(self, reuse: str, config: str) -> None:
        Bench.declare(self, reuse, config)
        declared = (self.folder / "functions" / "f.yml").read_text().splitlines()
        (self.folder / "functions" / "f.yml").unlink()
        for number in range(self.count):
            onnx_builder.mlp([20, 32, 32, 1], seed=number, path=self.folder / "functions" / f"f{number}.onnx")
            text = "\n".join(declared).replace("name: f\n", f"name: f{number}\n").replace("f.onnx", f"f{number}.onnx")
            (self.folder / "functions" / f"f{number}.yml").write_text(text + "\n")
        listed = ", ".join(f"predict('f{number}', {', '.join(FEATURES)}) as s{number}" for number in range(self.count))
        (self.folder / "models" / "scores.sql").write_text(
            f"{{{{ config({config}) }}}}\nselect id, {listed} from input\n"
        )

    def loop(self) -> Pass:
        command = (sys.executable, "-c", LOOP, str(self.database), str(self.count), ",".join(FEATURES))
        out, wall, cpu, rss = child(command, self.folder)
        return Pass(json.loads(out.splitlines()[-1])["seconds"], wall, cpu, rss, {})

    def apart(self) -> float:
        """The largest difference of a score; infinite where rows are missing."""
        most = ", ".join(f"abs(a.s{number} - b.s{number})" for number in range(self.count))
        ((both, found),) = self.sql(
            f"SELECT count(*), max(greatest({most})) FROM scores AS a JOIN by_hand AS b USING (id)"
        )
        return float(found) if both == self.work.rows else float("inf")


def calls(count: int, rows: int, folder: Path, repeats: int) -> str:
    work = replace(wide(len(FEATURES), rows), name="calls")
    bench = Calls(work, folder / "calls", count)
    bench.create(reuse="false")
    bench.run()
    rounds = [{"ours": bench.run(), "loop": bench.loop()} for _ in range(repeats)]
    ratio = median(one["loop"].seconds / one["ours"].seconds for one in rounds)
    used = median(one["loop"].cpu / one["ours"].cpu for one in rounds)
    return f"{_medians(f'{count} calls', rounds)}, ratio {ratio:.2f}, of CPU {used:.2f}, apart by {bench.apart():.1g}"


def _medians(title: str, rounds: Sequence[dict[str, Pass]]) -> str:
    found = {kind: median(one[kind].seconds for one in rounds) for kind in rounds[0]}
    return f"{title:12} " + ", ".join(f"{kind} {seconds:.2f} s" for kind, seconds in found.items())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.shapes", description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--columns", default="5,50,200")
    parser.add_argument("--calls", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for count in flags.columns.split(","):
            print(columns(int(count), flags.rows, folder, flags.repeats), flush=True)
        print(calls(flags.calls, 2 * flags.rows, folder, flags.repeats), flush=True)


if __name__ == "__main__":
    main()
