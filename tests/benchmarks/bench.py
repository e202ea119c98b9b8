"""Projects on disk, and child processes that are timed: ours (``sqlinfer run``), peers, floors."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.workloads import Workload, declaration

ROOT = Path(__file__).parents[2]
SQLINFER = (sys.executable, "-c", "from sqlinfer.cli.main import main; main()")


@dataclass(frozen=True, slots=True)
class Pass:
    """One process."""

    seconds: float
    """Of the work: a node's execution_time, or what a peer says of itself."""
    wall: float
    """Of the whole process, imports included."""
    cpu: float
    """CPU seconds of the whole process."""
    rss: float
    """Peak memory in MB."""
    stages: dict[str, float]


def child(command: tuple[str, ...], folder: Path) -> tuple[str, float, float, float]:
    """stdout, wall, CPU seconds and peak MB of a process; RuntimeError with its stderr where it fails."""
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    logs = [folder / "bench.out", folder / "bench.err"]
    with open(logs[0], "wb") as out, open(logs[1], "wb") as err:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err, env=env)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = "\n".join(log.read_text(errors="replace")[-3000:] for log in logs)
        raise RuntimeError(f"{' '.join(command)[:200]} failed with {process.returncode}:\n{said}")
    return logs[0].read_text(errors="replace"), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


@dataclass(frozen=True, slots=True)
class Bench:
    """A project with one workload: table ``input`` in its warehouse, function ``f``, model ``scores``."""

    work: Workload
    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "warehouse.duckdb"

    def create(
        self, *, reuse: str = "auto", config: str = "materialized='table'", data_from: Bench | None = None
    ) -> Bench:
        """Write everything; the table is made, or taken from another bench."""
        self.work.write(self.folder / "functions")
        self.declare(reuse, config)
        (self.folder / "profiles.yml").write_text(
            "bench:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: warehouse.duckdb, schema: main}\n"
        )
        (self.folder / "sqlinfer_project.yml").write_text("name: bench\nversion: 1.0.0\nprofile: bench\n")
        if data_from is not None:
            shutil.copyfile(data_from.database, self.database)
        else:
            self.sql(f"CREATE OR REPLACE TABLE input AS {self.work.table}")
        return self

    def declare(self, reuse: str, config: str) -> None:
        (self.folder / "functions" / "f.yml").write_text(declaration(self.work, reuse=reuse))
        (self.folder / "models").mkdir(exist_ok=True)
        arguments = ", ".join(self.work.arguments)
        sql = f"{{{{ config({config}) }}}}\nselect id, predict('f', {arguments}) as score from main.input\n"
        (self.folder / "models" / "scores.sql").write_text(sql)

    def forget(self) -> None:
        """An empty store."""
        for path in self.folder.glob("warehouse.sqlinfer.duckdb*"):
            path.unlink()

    def sql(self, statement: str) -> list[Any]:
        """In a process of its own, so that no handle on the file stays here."""
        code = (
            "import duckdb, json, sys\ncon = duckdb.connect(sys.argv[1])\n"
            "con.execute('SET enable_progress_bar = false')\n"
            "print(json.dumps(con.execute(sys.argv[2]).fetchall(), default=str))\ncon.close()"
        )
        out, *_ = child((sys.executable, "-c", code, str(self.database), statement), self.folder)
        rows: list[Any] = json.loads(out)
        return rows

    def run(self, *flags: str) -> Pass:
        """``sqlinfer run``, publication included."""
        _, wall, cpu, rss = child((*SQLINFER, "run", "--quiet", *flags), self.folder)
        found = json.loads((self.folder / "target" / "run_results.json").read_text())["results"]
        (node,) = (result for result in found if result["unique_id"].startswith("model."))
        return Pass(node["execution_time"], wall, cpu, rss, node["adapter_response"]["seconds"])

    def peer(self, name: str) -> Pass:
        """``name``: a kind of peer, then its form where that is not the fresh one: ``udf warm``, ``udf warm bare``."""
        kind, *form = name.split()
        how = {"kind": kind, "out": f"peer_{kind}", "warm": "warm" in form, "pandas": "bare" not in form}
        out, wall, cpu, rss = child(self._call("peers", how), self.folder)
        said = json.loads(out.splitlines()[-1])
        return Pass(said["seconds"], wall, cpu, rss, {"cpu": said["cpu"]})

    def floors(self) -> dict[str, tuple[float, float]]:
        out, *_ = child(self._call("floors", {"sizes": self._sizes()}), self.folder)
        found: dict[str, tuple[float, float]] = json.loads(out.splitlines()[-1])
        return found

    def _call(self, module: str, more: dict[str, Any]) -> tuple[str, ...]:
        work, functions = self.work, self.folder / "functions"
        spec = {
            "database": str(self.database), "graph": str(functions / "f.onnx"), "arguments": work.arguments,
            "numbers": work.numbers, "texts": work.texts, "packed": work.packed, "output": work.output,
            "index": work.index, "rows": work.rows,
            "tokenizer": str(functions / "tokenizer.json") if work.tokens else None, **more,
        }  # fmt: skip
        path = self.folder / "spec.json"
        path.write_text(json.dumps(spec))
        return (sys.executable, "-m", f"tests.benchmarks.{module}", str(path))

    def _sizes(self) -> list[int]:
        """Rows of a run for the kernel's floor: what our session found, and two others."""
        layouts = (self.folder / "target" / "functions").rglob("layout-*.json")
        found = [json.loads(path.read_text())["batch_size"] for path in layouts]
        return sorted({*found, 1024, 4096})

    def difference(self, peer: str) -> float:
        """Largest difference of a score between our table and a peer's; infinite where rows are missing."""
        apart = "list_distance(a.score, b.score)" if self.work.tokens else "abs(a.score - b.score)"
        rows = self.sql(
            f"SELECT (SELECT count(*) FROM scores), (SELECT count(*) FROM peer_{peer}), count(*), max({apart}) "
            f"FROM scores AS a JOIN peer_{peer} AS b USING (id)"
        )
        ours, theirs, both, most = rows[0]
        return float(most) if ours == theirs == both == self.work.rows else float("inf")
