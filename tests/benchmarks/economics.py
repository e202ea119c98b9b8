"""What batch costs, in figures of this machine: the measurements behind docs/economics.md.

    make bench BENCH=economics BENCH_ARGS="--rows 200000 --only batching,cold"

Everything runs through the real commands and the figures come from what they write (``run_results.json``, JSON on
stdout). Absolute times move with the machine; ratios are of passes that were made in turn in the same run.

- batching: the same function with ``batch_size`` 1, 32 and what the engine finds by itself
- images:   files decoded, resized and scored
- cold:     a process from nothing to one prediction, against a serverless endpoint (a stated figure)
- nights:   nothing known, 1 % changed, nothing changed; the receipt's cost of a million predictions
- spot:     a night that is killed once its first chunk is kept, and the one after that
- lookup:   predictions a second from an open object, and one as a command
- stale:    ``freshness`` against a night that only looks up
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from sqlinfer.testing import onnx_builder
from tests.benchmarks import graphs, report
from tests.benchmarks.bench import ROOT, SQLINFER, Bench, child
from tests.benchmarks.measure import changed
from tests.benchmarks.workloads import Workload, _graph, workloads

PARTS = ("batching", "images", "cold", "nights", "spot", "lookup", "stale")
SERVERLESS_COLD = 43.0
"""Seconds to the first answer of an idle serverless endpoint: a stated figure, not measured here."""
KEYED = "materialized='incremental', unique_key='id', on_missing='delete'"


@dataclass(frozen=True, slots=True)
class Plan:
    folder: Path
    rows: int
    texts: int
    """Rows of the text encoder."""
    images: int
    lookups: int
    repeats: int
    prices: str
    """The line ``prices:`` of the project."""

    def bench(self, name: str, work: Workload, **how: Any) -> Bench:
        """A project of its own; ``how`` as for ``Bench.create``."""
        made = Bench(work, self.folder / name).create(**how)
        with open(made.folder / "sqlinfer_project.yml", "a", encoding="utf-8") as file:
            file.write(self.prices)
        return made


def say(text: str) -> None:
    print(text, flush=True)


def tabular(plan: Plan, rows: int | None = None) -> Workload:
    """W2's MLP (20-256-256-1) over 20 numbers."""
    found = workloads(1.0)["w2"]
    wanted = rows or plan.rows
    return replace(found, rows=wanted, table=found.table.replace(f"range({found.rows})", f"range({wanted})"))


def forest(plan: Plan) -> Workload:
    return replace(tabular(plan), write=_graph(lambda: onnx_builder.tree_ensemble(200, 6, 20)), title="200 trees")


def encoder(plan: Plan) -> Workload:
    return workloads(1.0, plan.texts)["w6"]


# --- one row at a time, 32, the best batch


def batching(plan: Plan) -> None:
    works = {"MLP 20-256-256-1": tabular(plan), "200 trees of depth 6": forest(plan), "text encoder": encoder(plan)}
    for number, (title, work) in enumerate(works.items()):
        try:
            bench = plan.bench(f"batching_{number}", work, reuse="false")
        except ModuleNotFoundError as error:
            say(f"batching  {title}: left out, {error.name} is not installed")
            continue
        if "tree" in title:  # ONNX Runtime's operator: our kernel has blocks of its own, whatever the batch is
            say(f"batching  {title} by sqlinfer's own kernel: {_sizes(bench, plan, {})}")
            say(f"batching  {title} by ONNX Runtime: {_sizes(bench, plan, {'SQLINFER_FOREST': '0'})}")
        else:
            say(f"batching  {title}: {_sizes(bench, plan, {})}")


def _sizes(bench: Bench, plan: Plan, environment: dict[str, str]) -> str:
    """How many times as fast as one row at a time."""
    os.environ.update(environment)
    try:
        found = {size: _seconds(bench, size, plan.repeats) for size in ("1", "32", "auto")}
    finally:
        for name in environment:
            del os.environ[name]
    one, by_32, best = found["1"], found["32"], found["auto"]
    rate = bench.work.rows / best
    return (
        f"{bench.work.rows:,} rows, one at a time 1, by 32 {one / by_32:.1f}×, batch found by measurement "
        f"{one / best:.1f}× ({by_32 / best:.1f}× over 32; {rate:,.0f} rows/s)"
    )


def _seconds(bench: Bench, size: str, repeats: int) -> float:
    """Seconds of the node, reading and publishing included; the first run measures the batch and prepares."""
    bench.declare("false", "materialized='table'")
    path = bench.folder / "functions" / "f.yml"
    path.write_text(path.read_text().replace("config: {", f"config: {{batch_size: {size}, "))
    bench.run()
    return median(bench.run().seconds for _ in range(repeats))


# --- images


def images(plan: Plan) -> None:
    """JPEGs of 640 × 480 through a small convolution: decoding and resizing are most of the work."""
    try:
        folder = _photos(plan)
    except ModuleNotFoundError as error:
        say(f"images    left out: {error.name} is not installed")
        return
    seconds = median(_run(folder)["execution_time"] for _ in range(plan.repeats))
    say(f"images    {plan.images} JPEGs of 640 × 480, decoded, resized to 224, one convolution: "
        f"{plan.images / seconds:,.0f} images/s on {len(os.sched_getaffinity(0))} cores")  # fmt: skip


def _photos(plan: Plan) -> Path:
    """A project over files on disk; its first run is made."""
    import numpy as np
    from PIL import Image

    folder = plan.folder / "images"
    for name in ("functions", "models", "photos"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(plan.images):
        coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        coarse.resize((640, 480)).save(folder / "photos" / f"{number}.jpg", quality=85)
    graphs.convolution(folder / "functions" / "f.onnx")
    (folder / "functions" / "f.yml").write_text(
        "functions:\n  - name: f\n    model: {path: f.onnx}\n    image: {argument: photo, size: 224}\n"
        "    arguments: [{name: photo, data_type: varchar}]\n    returns: {data_type: float, output: score}\n"
        "    config: {device: cpu, reuse: false}\n"
    )
    (folder / "models" / "scores.sql").write_text(
        "{{ config(materialized='table') }}\n"
        f"select range as id, predict('f', 'photos/' || range || '.jpg') as score from range({plan.images})\n"
    )
    (folder / "profiles.yml").write_text(
        "bench:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: warehouse.duckdb, schema: main}\n"
    )
    (folder / "sqlinfer_project.yml").write_text("name: bench\nversion: 1.0.0\nprofile: bench\n" + plan.prices)
    _run(folder)
    return folder


def _run(folder: Path) -> dict[str, Any]:
    child((*SQLINFER, "run", "--quiet"), folder)
    return _result(folder)


def _result(folder: Path) -> dict[str, Any]:
    """The one node's part of the last run."""
    found: list[dict[str, Any]] = json.loads((folder / "target" / "run_results.json").read_text())["results"]
    return found[0]


# --- a process from nothing


def cold(plan: Plan) -> None:
    """One new row is scored by each command; imports, project, plan and session included."""
    bench = plan.bench("cold", tabular(plan, 1_000), reuse="true", config=KEYED)
    first = bench.run().wall
    commands = {"run": ("run", "--quiet"), "lookup --or-score": ("--or-score",), "lookup": ()}
    times: dict[str, list[float]] = {name: [] for name in commands}
    used: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(max(3, plan.repeats)):
        key = 10_000 + number
        bench.sql(f"INSERT INTO input SELECT * REPLACE ({key} AS id, random() AS c0) FROM input LIMIT 1")
        asked = ("lookup", "scores", "--key", f"id={key}", "--output", "json")
        for name in ("lookup --or-score", "run", "lookup"):
            command = commands[name] if name == "run" else (*asked, *commands[name])
            out, wall, cpu, _ = child((*SQLINFER, *command), bench.folder)
            times[name].append(wall)
            used[name].append(cpu)
            assert name == "run" or json.loads(out)["_scored_now"] is (name == "lookup --or-score")
    say(f"cold      first run of a project, model prepared in it: {_sooner(first)}")
    for name, found in times.items():
        say(f"cold      {name}: {_sooner(median(found))}, {median(used[name]):.2f} CPU seconds")


def _sooner(seconds: float) -> str:
    return f"{seconds:.2f} s, {SERVERLESS_COLD / seconds:.0f}× sooner than {SERVERLESS_COLD:.0f} s"


# --- nights


def nights(plan: Plan) -> None:
    works = {"MLP 20-256-256-1": tabular(plan), "200 trees of depth 6": forest(plan), "text encoder": encoder(plan)}
    for number, (title, work) in enumerate(works.items()):
        try:
            bench = plan.bench(f"nights_{number}", work, reuse="true")
        except ModuleNotFoundError as error:
            say(f"nights    {title}: left out, {error.name} is not installed")
            continue
        bench.run()  # prepares the function and measures its batch
        bench.forget()
        first = _night(bench)
        second = [_changed(bench, night) for night in range(plan.repeats)]
        _told(title, first, second)


def _night(bench: Bench) -> dict[str, Any]:
    """The receipt of a run."""
    bench.run()
    return _receipt(bench)


def _receipt(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = _result(bench.folder)["adapter_response"]["receipt"]
    return found


def _changed(bench: Bench, night: int) -> dict[str, Any]:
    """The receipt of a night on which 1 % of the inputs are new."""
    if bench.work.numbers:
        changed(bench, night)
    else:
        bench.sql(f"UPDATE input SET body = body || ' word{night}' WHERE id % 100 = {night % 100}")
        bench.run()
    return _receipt(bench)


def _told(title: str, first: dict[str, Any], second: list[dict[str, Any]]) -> None:
    one, two = (median(each["elapsed_seconds"] for each in some) for some in ([first], second))
    last, cost = second[-1], first["cost"]
    again = last["cost"]["rescoring_on_demand"] / last["cost"]["on_demand"]
    later = median(each["cost"]["per_million_on_demand"] for each in second)
    say(
        f"nights    {title}: {first['rows_in']:,} rows; night two {two / one:.2f} of night one ({two:.2f} s, "
        f"{one:.2f} s), {last['scored']:,} scored; scoring all would have cost {again:.1f} times as much"
    )
    say(
        f"cost      {title}: a million predictions {cost['per_million_on_demand']:.4f} {cost['currency']}, on spot "
        f"{cost['per_million_spot']:.4f}; on night two {later:.4f}; an endpoint {cost['endpoint']:.2f} a day"
    )


# --- spot


def spot(plan: Plan) -> None:
    """SIGKILL when the first chunk is kept; the next run goes on from there."""
    work = tabular(plan)
    bench = plan.bench("spot", work, reuse="true")
    bench.run()
    bench.forget()
    chunks = {"SQLINFER_CHUNK_ROWS": str(work.rows // 5), "SQLINFER_CHUNK_SECONDS": "60"}
    killed = {**_environment(), **chunks, "SQLINFER_FAIL_POINTS": "after_append=kill:1"}
    done = subprocess.run((*SQLINFER, "run", "--quiet"), cwd=bench.folder, env=killed, check=False)
    assert done.returncode == -signal.SIGKILL, done
    after = _night(bench)
    ((rows, scored),) = bench.sql("SELECT count(*), count(score) FROM scores")
    say(
        f"spot      killed by SIGKILL, run again: {after['reused']:,} of {after['rows_in']:,} predictions "
        f"were kept, {after['scored']:,} scored then; {scored:,} of {rows:,} rows have a prediction"
    )


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}


# --- look-ups


_ASK = """
import json, random, sys, time
import sqlinfer
rows, asked = int(sys.argv[1]), int(sys.argv[2])
keys = [random.randrange(rows) for _ in range(asked)]
with sqlinfer.lookup(".", "scores") as scores:
    began = time.perf_counter()
    assert scores.get(id=keys[0])["score"] is not None
    first = time.perf_counter() - began
    began = time.perf_counter()
    for key in keys:
        scores.get(id=key)
    print(json.dumps([first, asked / (time.perf_counter() - began)]))
"""


def lookup(plan: Plan) -> None:
    bench = plan.bench("lookup", tabular(plan), reuse="true", config=KEYED)
    bench.run()
    found = [_asked(bench, plan) for _ in range(plan.repeats)]
    command = (*SQLINFER, "lookup", "scores", "--key", "id=42", "--output", "json")
    walls, bare = [], []
    for _ in range(max(3, plan.repeats)):
        walls.append(child(command, bench.folder)[1])
        bare.append(child((sys.executable, "-c", "import duckdb"), bench.folder)[1])
    say(
        f"lookup    {median(rate for _, rate in found):,.0f} a second from an open object over {plan.rows:,} rows "
        f"(the first {median(first for first, _ in found):.2f} s); as a command {median(walls):.2f} s, of which "
        f"{median(bare):.2f} s is Python with duckdb"
    )


def _asked(bench: Bench, plan: Plan) -> tuple[float, float]:
    out, *_ = child((sys.executable, "-c", _ASK, str(plan.rows), str(plan.lookups)), bench.folder)
    first, rate = json.loads(out.splitlines()[-1])
    return first, rate


# --- freshness


def stale(plan: Plan) -> None:
    """Against a night's pass of looking up, and command against command; what 64 rows take is subtracted from both."""
    bench = plan.bench("stale", tabular(plan), reuse="true", config=KEYED)
    small = plan.bench("stale_small", tabular(plan, 64), reuse="true", config=KEYED)
    for one in (bench, small):
        one.run()
        _freshness(one)  # plans are remembered from here on
    passes, wall, cpu = [], [], []
    for _ in range(plan.repeats):
        night, least = bench.run(), small.run()
        asked, at_least = _freshness(bench), _freshness(small)
        passes.append(sum(night.stages.get(name, 0.0) for name in ("stage", "find")))
        wall.append(asked[1] - at_least[1])
        cpu.append((asked[2] - at_least[2]) / (night.cpu - least.cpu))
    bench.sql("UPDATE input SET c0 = random() WHERE id % 100 = 7")
    (found,) = json.loads(_freshness(bench)[0])
    ratio = median(one / other for one, other in zip(wall, passes, strict=True))
    say(
        f"stale     freshness of {plan.rows:,} rows: {ratio:.2f} of the look-up pass of a night ({median(wall):.2f} s, "
        f"{median(passes):.2f} s), {median(cpu):.2f} of the CPU seconds of a night that scores nothing; "
        f"{found['stale_rows']:,} stale rows found of {plan.rows // 100:,}"
    )


def _freshness(bench: Bench) -> tuple[str, float, float, float]:
    return child((*SQLINFER, "freshness", "scores", "--output", "json"), bench.folder)


MEASURED: dict[str, Callable[[Plan], None]] = {
    "batching": batching, "images": images, "cold": cold, "nights": nights, "spot": spot, "lookup": lookup,
    "stale": stale,
}  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.economics", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--texts", type=int, default=1_000)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--lookups", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default=",".join(PARTS), help=f"comma-separated, of {', '.join(PARTS)}")
    parser.add_argument("--on-demand", type=float, default=0.20, help="USD for an hour of the machine")
    parser.add_argument("--spot", type=float, default=0.07, help="the same on spot")
    parser.add_argument("--endpoint-month", type=float, default=100.0, help="USD for an always-on endpoint")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    unknown = set(given.only.split(",")) - set(PARTS)
    if unknown:
        raise SystemExit(f"--only: no part is named {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    prices = (
        f"prices: {{currency: USD, device_hour: {{on_demand: {given.on_demand}, spot: {given.spot}}}, "
        f"endpoint_month: {given.endpoint_month}}}\n"
    )
    machine = report.machine()
    about = f"{machine['cores']} cores ({machine['cpu']}), load {os.getloadavg()[0]:.1f}"
    say(f"{datetime.now(UTC):%Y-%m-%d}, {about}; {prices.strip()}")
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(Path(folder), given.rows, given.texts, given.images, given.lookups, given.repeats, prices)
        for name in given.only.split(","):
            MEASURED[name](plan)


if __name__ == "__main__":
    main()
