"""A project worth killing: a slow remembered function, a streamed one, tables and merges, and a way to run it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from onnx import helper

from sqlinfer.testing import onnx_builder
from sqlinfer.testing.children import start
from sqlinfer.testing.patience import patience

HOOKS = Path(__file__).parent / "hooks"
CLI = Path(sys.executable).parent / "sqlinfer"
CHUNK = 1024
MODELS = {
    "scores": "select id, g, predict('deep', a, b, c) as score from {{ source('erp', 'customers') }}",
    "merged": (
        "{{ config(materialized='incremental', unique_key='id', on_missing='delete') }} "
        "select id, g, predict('deep', a, b, c) * 100 as score from {{ source('erp', 'customers') }} where id % 3 > 0"
    ),
    "streamed": "select id, g, predict('shallow', a, b, c) as score from {{ source('erp', 'customers') }}",
    "stream_merged": (
        "{{ config(materialized='incremental', unique_key='id', on_missing='delete') }} "
        "select id, g, predict('shallow', a, b, c) as score from {{ source('erp', 'customers') }} where id % 2 = 0"
    ),
    "summary": "select g, count(*) as n, sum(round(score * 1000)::bigint) as total from {{ ref('scores') }} group by g",
}
FUNCTION = """
  - name: {name}
    model: {{path: {name}.onnx}}
    arguments:
      - {{name: a, data_type: real}}
      - {{name: b, data_type: real}}
      - {{name: c, data_type: real}}
    returns: {{data_type: double, output: score}}
    config: {{batch_size: 64, device: cpu, reuse: {reuse}{more}}}
"""


def network(name: str, layers: int, width: int = 256) -> bytes:
    """tanh layers that share one weight matrix: slow to run, small on disk."""
    rng = random.Random(7)

    def weights(label: str, rows: int, columns: int):
        values = [rng.gauss(0, rows**-0.5) for _ in range(rows * columns)]
        return onnx_builder.constant(label, values, shape=(rows, columns))

    nodes, last = [helper.make_node("MatMul", [name, "w_in"], ["h0"])], "h0"
    for layer in range(layers):
        nodes.append(helper.make_node("MatMul", [last, "w"], [f"m{layer}"]))
        nodes.append(helper.make_node("Tanh", [f"m{layer}"], [f"t{layer}"]))
        last = f"t{layer}"
    nodes.append(helper.make_node("MatMul", [last, "w_out"], ["score"]))
    consts = [weights("w_in", 3, width), weights("w", width, width), weights("w_out", width, 1)]
    ports = [onnx_builder.value(name, "float", ["N", 3])]
    return onnx_builder.build(nodes, ports, [onnx_builder.value("score", "float", ["N", 1])], consts)


@dataclass
class House:
    folder: Path
    rows: int = 16_000
    generation: int = 0
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def build(cls, folder: Path, models: dict[str, str] | None = None, layers: int = 40, **options: Any) -> House:
        house = cls(folder, **options)
        house.write("sqlinfer_project.yml", "name: house\nprofile: house\n")
        profile = "house:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: wh.duckdb}\n"
        house.write("profiles.yml", profile)
        house.write(
            "models/sources.yml", "sources:\n  - name: erp\n    schema: main\n    tables: [{name: customers}]\n"
        )
        for name, sql in (models or MODELS).items():
            house.write(f"models/{name}.sql", sql)
        for name, depth in (("deep", layers), ("shallow", 6)):
            house.function(name, network(name, depth), reuse="true" if name == "deep" else "false")
        return house

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def function(self, name: str, graph: bytes, reuse: str = "true", more: str = "") -> None:
        text = FUNCTION.format(name=name, reuse=f'"{reuse}"', more=more)
        self.write(f"functions/{name}.yml", "functions:" + text)
        (self.folder / "functions" / f"{name}.onnx").write_bytes(graph)

    @property
    def database(self) -> Path:
        return self.folder / "wh.duckdb"

    @property
    def side(self) -> Path:
        return self.folder / "wh.sqlinfer.duckdb"

    def night(self) -> int:
        """The ETL job: every row gets tonight's generation, some get new inputs, a few leave, a few come."""
        self.generation += 1
        g = self.generation
        if g == 1:
            self.sql(
                f"create table customers as select i as id, 1 as g, sin(i % {self.rows // 2})::real as a, "
                f"cos(i % {self.rows // 2})::real as b, (i % 7)::real as c from range({self.rows}) r(i)"
            )
        else:
            self.sql(
                f"update customers set g = {g}, a = case when (id + {g}) % 3 = 0 then sin(id * {g})::real else a end",
                f"delete from customers where (id + {g}) % 97 = 0",
            )
        return g

    def sql(self, *statements: str) -> list[tuple]:
        connection = patiently(lambda: duckdb.connect(str(self.database)))
        with connection:
            for statement in statements:
                found = connection.execute(statement).fetchall()
        return found

    def read(self, statement: str) -> list[tuple]:
        with patiently(lambda: duckdb.connect(str(self.database), read_only=True)) as connection:
            return connection.execute(statement).fetchall()

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(HOOKS), os.environ.get("PYTHONPATH")))),
            "SQLINFER_CHUNK_ROWS": str(CHUNK),
            "SQLINFER_TEST_COUNT": str(self.folder / "count.txt"), "OMP_NUM_THREADS": "1", **self.env,
            **more.pop("env", {}),
        }  # fmt: skip
        return start(
            [str(CLI), *(arguments or ("run",)), "--project-dir", str(self.folder)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **more,
        )  # fmt: skip

    def run(self, *arguments: str, **more: Any) -> Done:
        process = self.start(*arguments, **more)
        began = time.monotonic()
        out, err = process.communicate(timeout=patience(120))
        return Done(process.returncode, out, err, time.monotonic() - began)

    def results(self) -> dict[str, Any]:
        path = self.folder / "target" / "run_results.json"
        if not path.exists():
            return {}
        return {item["unique_id"].split(".")[2]: item for item in json.loads(path.read_text())["results"]}

    def response(self, node: str) -> dict[str, Any]:
        return self.results()[node]["adapter_response"]

    def counted(self, function: str = "deep") -> int:
        """Rows that went into the kernel, runs that were killed included."""
        path = self.folder / "count.txt"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return sum(int(rows) for name, rows in lines if name == function)

    def calls(self, function: str = "deep") -> int:
        path = self.folder / "count.txt"
        return sum(line.split()[0] == function for line in path.read_text().splitlines()) if path.exists() else 0

    def tables(self, *names: str) -> dict[str, list[tuple]]:
        return {name: self.read(f"select * from {name} order by all") for name in names or MODELS}

    def side_rows(self, sql: str) -> list[tuple]:
        with duckdb.connect(str(self.side), read_only=True) as connection:
            return connection.execute(sql).fetchall()


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str
    seconds: float

    @property
    def text(self) -> str:
        return self.out + self.err


def patiently(connect):
    """Other processes come and go: ask until the file is free."""
    end = time.monotonic() + patience(60)
    while True:
        try:
            return connect()
        except duckdb.IOException:
            if time.monotonic() > end:
                raise
            time.sleep(0.005)
