"""How long ``sqlinfer report`` takes for a year of nights: ``python tests/benchmarks/report_page.py [NODES] [NIGHTS]``.

A project of NODES models in layers, most of them predictions, with a record of each night in DuckDB. Prints the seconds
of a whole command in a process of its own, of its parts, and the size of the page.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import duckdb

from sqlinfer import api
from sqlinfer.jobs import report
from sqlinfer.reporting.page import render
from sqlinfer.spec.distributions import Distribution, edges_of, to_text
from sqlinfer.spec.records import RUNS
from sqlinfer.testing.onnx_builder import mlp

FUNCTION = """functions:
  - name: f
    model: {path: f.onnx}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
"""
PLAIN_SHARE = 4
"""One model of so many calls no function."""


def write_project(root: Path, nodes: int, nights: int) -> None:
    """Models read two of those before them; the last nights drift."""
    (root / "models").mkdir(parents=True)
    (root / "functions").mkdir()
    (root / "sqlinfer_project.yml").write_text("name: year\nprofile: year\n")
    profile = "year: {target: dev, outputs: {dev: {type: duckdb, path: year.duckdb}}}\n"
    (root / "profiles.yml").write_text(profile)
    (root / "functions/f.yml").write_text(FUNCTION)
    (root / "functions/f.onnx").write_bytes(mlp((1, 1)))
    random.seed(1)
    for n in range(nodes):
        above = [f"{{{{ ref('m{random.randrange(max(0, n - 30), n)}') }}}}" for _ in range(2 if n > 10 else 0)]
        score = "x" if n % PLAIN_SHARE == 0 else "predict('f', x) as p, x"
        source = " union all select id, x from ".join(above) or "raw"
        (root / f"models/m{n}.sql").write_text(f"select id, {score} from (select id, x from {source})")
    write_records(root / "year.duckdb", nodes, nights)


def write_records(path: Path, nodes: int, nights: int) -> None:
    import pyarrow as pa

    names = ("run_id", "node", "started_at", "finished_at", "rows", "inputs", "scored", "reused", "null_inputs",
             "errors", "elapsed_seconds", "cost_on_demand", "cost_currency", "bound_by", "distributions")  # fmt: skip
    first = datetime(2025, 11, 1, 2, tzinfo=UTC)
    rows = [record(n, night, first + timedelta(days=night)) for night in range(nights) for n in range(nodes)]
    table = pa.table({name: [row[n] for row in rows] for n, name in enumerate(names)})
    with duckdb.connect(str(path)) as database:
        database.execute("create table raw as select 1 as id, 0.5 as x")
        columns = ", ".join(f'"{name}" {kind}' for name, kind in RUNS.columns.items())
        database.execute(f"create table sqlinfer_runs ({columns})")
        database.register("rows", table)
        database.execute("insert into sqlinfer_runs by name from rows")


def record(node: int, night: int, started: datetime) -> tuple[object, ...]:
    seconds = 2 + node % 7 + random.random() + (20 if node == 17 else 0)
    predicts = node % PLAIN_SHARE != 0
    rows, errors = 100_000 + 37 * night, random.randrange(40) if predicts else 0
    scored = rows // 50 if predicts else None
    return (
        f"night-{night}", f"model.year.m{node}", started, started + timedelta(seconds=seconds), rows,
        rows if predicts else None, scored, rows - scored if scored else None, 0, errors, seconds,
        seconds / 3600 * 1.2, "USD", "kernel" if predicts else None, spread(node, night) if predicts else None,
    )  # fmt: skip


def spread(node: int, night: int) -> str:
    """A bump that wanders; one table jumps on the last night."""
    middle = 0.4 + 0.1 * math.sin(night / 40 + node) + (0.3 if node == 17 and night % 30 == 29 else 0)
    edges = edges_of([0.0, 1.0])
    counts = [0, *(int(900 * math.exp(-(((a + 0.025 - middle) / 0.15) ** 2))) for a in edges[:-1]), 0]
    found = {"p": Distribution(edges, tuple(counts), nulls=random.randrange(20), mean=round(middle, 4))}
    if node % 10 == 1:
        found["label"] = Distribution(labels={"keep": 700 + random.randrange(99), "call": 200, "visit": 80 + night % 9})
    return to_text(found)


def main(nodes: int, nights: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "year"
        write_project(root, nodes, nights)
        sqlinfer = str(Path(sys.executable).with_name("sqlinfer"))
        command = [sqlinfer, "report", "--project-dir", str(root)]
        subprocess.run(command, check=True, capture_output=True)  # the project is read once
        began = perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        spent = {"command": perf_counter() - began}
        project = api.load(api.RunOptions(project_dir=root))
        began = perf_counter()
        gathered = report.gather(project, report.reader(project))
        spent["gather"] = perf_counter() - began
        began = perf_counter()
        page = render(gathered)
        spent["render"] = perf_counter() - began
        size = {"bytes": len(page.encode()), "nodes": nodes, "nights": nights}
        print(json.dumps({name: round(seconds, 2) for name, seconds in spent.items()} | size))


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:3]]
    main(*given, *(200, 365)[len(given) :])
