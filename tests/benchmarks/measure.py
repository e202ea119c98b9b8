"""Workloads → facts: medians of paired rounds, each a dict that goes into the JSON file as it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from sqlinfer.testing import onnx_builder
from tests.benchmarks.bench import SQLINFER, Bench, Pass, child
from tests.benchmarks.workloads import Workload, _graph

CORES = len(os.sched_getaffinity(0))
Facts = dict[str, Any]
SLOW_SECONDS = 4.0
READ_ALL = ("w1", "w4", "w5")
"""Where one run over the whole table ends within the minute."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure, and where."""

    folder: Path
    repeats: int
    say: Callable[[str], object]
    slow_repeats: int = 1
    """For peers that nothing is held to (read all)."""


def throughput(work: Workload, plan: Plan) -> Facts:
    """Ours and the peers in turn on the same table, all rows scored, then the stages alone."""
    bench = Bench(work, plan.folder / work.name)
    bench.create(reuse="false")
    peers = ("batches32",) if work.tokens else forms(("udf", "loop"))
    bench.run()  # prepares the artifact and measures the layout, as the first night does
    rounds: list[dict[str, Pass]] = []
    for number in range(plan.repeats):
        again = [peer for peer in peers if not number or not _is_slow_form(peer, rounds[0][peer])]
        kinds = ("ours", *again) if number % 2 else (*again, "ours")
        rounds.append({kind: bench.run() if kind == "ours" else bench.peer(kind) for kind in kinds})
        plan.say(
            f"{work.name} round {number + 1}: " + ", ".join(f"{k} {p.seconds:.2f} s" for k, p in rounds[-1].items())
        )
    facts = _compared(work, rounds, peers)
    facts["difference"] = {peer: bench.difference(peer) for peer in dict.fromkeys(p.split()[0] for p in peers)}
    if work.name in READ_ALL:
        facts["readall"] = _readall(bench, plan)
    facts["floor"] = _floor(work, bench, facts, plan)
    facts["store"] = _first_night(bench, plan)
    return facts


def forms(kinds: Sequence[str]) -> tuple[str, ...]:
    """Fresh and closing, warm in its process, and warm where pyarrow finds no pandas (one that is not there cannot be
    hidden)."""
    found = [*kinds, *(f"{kind} warm" for kind in kinds)]
    if find_spec("pandas") is not None:
        found += [f"{kind} warm bare" for kind in kinds]
    return tuple(found)


def _is_slow_form(peer: str, first: Pass) -> bool:
    """What pandas costs is lost in a pass of seconds: one round of it is enough."""
    return "bare" in peer and first.seconds > SLOW_SECONDS


def _compared(work: Workload, rounds: Sequence[dict[str, Pass]], peers: Sequence[str]) -> Facts:
    ours = [one["ours"] for one in rounds]
    facts: Facts = {
        "title": work.title,
        "rows": work.rows,
        "rounds": len(rounds),
        "load": os.getloadavg()[0],
        "seconds": median(p.seconds for p in ours),
        "wall": median(p.wall for p in ours),
        "cpu": median(p.cpu for p in ours),
        "rss": median(p.rss for p in ours),
        "stages": {k: median(p.stages.get(k, 0.0) for p in ours) for k in ours[0].stages},
        "targets": dict(work.targets),
        "floor_target": work.floor,
        "warm_target": work.warm,
        "peers": {},
    }
    warm = [peer for peer in peers if "warm" in peer]
    if warm:
        facts["warm_ratio"] = median(
            min(one[peer].seconds for peer in warm if peer in one) / one["ours"].seconds for one in rounds
        )
    for peer in peers:
        theirs = [one[peer] for one in rounds if peer in one]
        facts["peers"][peer] = {
            "seconds": median(p.seconds for p in theirs),
            "wall": median(p.wall for p in theirs),
            "rss": median(p.rss for p in theirs),
            "ratio": median(one[peer].seconds / one["ours"].seconds for one in rounds if peer in one),
            "wall_ratio": median(one[peer].wall / one["ours"].wall for one in rounds if peer in one),
            "cpu_ratio": median(one[peer].cpu / one["ours"].cpu for one in rounds if peer in one),
        }
    return facts


def _readall(bench: Bench, plan: Plan) -> Facts:
    passes = [bench.peer("readall") for _ in range(plan.slow_repeats)]
    return {"seconds": median(p.seconds for p in passes), "rss": median(p.rss for p in passes)}


def _floor(work: Workload, bench: Bench, facts: Facts, plan: Plan) -> Facts:
    """max(slowest stage, CPU seconds of all stages / cores), each stage alone in a process of its own."""
    found = [bench.floors() for _ in range(1 + plan.repeats // 4)]
    stages = {k: [median(f[k][0] for f in found), median(f[k][1] for f in found)] for k in found[0]}
    slowest = max(stages, key=lambda k: stages[k][0])
    floor = max(stages[slowest][0], sum(cpu for _, cpu in stages.values()) / CORES)
    return {"stages": stages, "slowest": slowest, "seconds": floor, "share": floor / facts["seconds"]}


def _first_night(bench: Bench, plan: Plan) -> Facts:
    """The same table with the store (what ``reuse: auto`` takes for all but the cheapest functions): all rows new."""
    bench.declare("true", "materialized='table'")
    passes = []
    for _ in range(1 + plan.repeats // 5):
        bench.forget()
        passes.append(bench.run())
    return {"seconds": min(p.seconds for p in passes), "stages": passes[-1].stages}


def night_two(plan: Plan, work: Workload) -> Facts:
    """W7: 1 % of W1's rows change; the store finds and scores them, the table is rebuilt or merged in place."""
    facts: Facts = {"rows": work.rows}
    graphs = {
        "small MLP": (lambda: onnx_builder.mlp([20, 32, 32, 1]), 1.6, None),
        "W2's MLP": (lambda: onnx_builder.mlp([20, 256, 256, 1]), 0.28, 0.14),
        "W3's trees": (lambda: onnx_builder.tree_ensemble(200, 6, 20), 0.1, 0.05),
    }
    first: Bench | None = None
    for position, (title, (make, rebuild, merge)) in enumerate(graphs.items()):
        bench = Bench(replace(work, write=_graph(make)), plan.folder / f"w7_{position}")
        bench.create(reuse="false", data_from=first)
        first = first or bench
        facts[title] = _nights(bench, plan, title) | {"rebuild_target": rebuild, "merge_target": merge}
    return facts


def _nights(bench: Bench, plan: Plan, title: str) -> Facts:
    slow = 1 if "trees" in title else min(3, plan.repeats)
    bench.run()
    full = median(bench.run().seconds for _ in range(slow))
    bench.declare("true", "materialized='table'")
    first = bench.run().seconds
    rebuilt = [changed(bench, night) for night in range(plan.repeats)]
    bench.declare("true", "materialized='incremental', unique_key='id', on_missing='delete'")
    bench.run()
    merged = [changed(bench, plan.repeats + night) for night in range(plan.repeats)]
    two, three = median(p.seconds for p in rebuilt), median(p.seconds for p in merged)
    plan.say(f"w7 {title}: all {full:.2f} s, night two rebuilt {two:.2f} s, merged {three:.2f} s")
    return {
        "full": full, "first": first, "rebuilt": two, "merged": three, "rebuilt_ratio": two / full,
        "merged_ratio": three / full, "stages": rebuilt[-1].stages, "merge_stages": merged[-1].stages,
    }  # fmt: skip


def changed(bench: Bench, night: int) -> Pass:
    """A night on which 1 % of the rows have changed."""
    bench.sql(f"UPDATE input SET {bench.work.numbers[0]} = random() WHERE id % 100 = {night % 100}")
    return bench.run()


def distinct(work: Workload, plan: Plan) -> Facts:
    """W8: scoring all rows against scoring the distinct ones."""
    bench = Bench(work, plan.folder / "w8").create(reuse="false")
    bench.run()
    full = median(bench.run().seconds for _ in range(min(3, plan.repeats)))
    bench.declare("auto", "materialized='table'")
    passes = []
    for _ in range(plan.repeats):
        bench.forget()
        passes.append(bench.run())
    seconds = median(p.seconds for p in passes)
    plan.say(f"w8: all {full:.2f} s, distinct {seconds:.2f} s")
    return {"rows": work.rows, "full": full, "seconds": seconds, "ratio": seconds / full, "target": 0.2,
            "stages": passes[-1].stages}  # fmt: skip


def memory(works: Sequence[Workload], plan: Plan) -> Facts:
    """Peak memory of a run of W1 at each size, and of the same with next to no rows."""
    found: dict[str, float] = {}
    for work in works:
        bench = Bench(work, plan.folder / f"memory_{work.rows}").create(reuse="false")
        bench.run()
        found[str(work.rows)] = median(bench.run().rss for _ in range(min(3, plan.repeats)))
        plan.say(f"memory: {work.rows:,} rows {found[str(work.rows)]:.0f} MB")
        shutil.rmtree(bench.folder)
    return found


_COLD = """
import sys
import duckdb, numpy, onnxruntime, sqlglot
sqlglot.parse_one("select id, c0 from input limit 1", dialect="duckdb")
with duckdb.connect("warehouse.duckdb", read_only=True) as con:
    rows = con.execute("select * exclude (id) from input limit 1").fetchnumpy()
session = onnxruntime.InferenceSession("functions/f.onnx", providers=["CPUExecutionProvider"])
block = numpy.stack([rows[f"c{n}"] for n in range(20)], axis=1).astype("float32")
print(session.run(None, {"features": block})[0])
"""


def cold(work: Workload, plan: Plan) -> Facts:
    """One row from nothing, against a script that does the same; help against importing click."""
    bench = Bench(replace(work, table=work.table.replace(str(work.rows), "64")), plan.folder / "cold")
    bench.create()
    sql = f"select predict('f', {', '.join(work.arguments)}) as score from main.input limit 1"
    commands = {
        "preview": (*SQLINFER, "preview", "--inline", sql, "--limit", "1"),
        "script": (SQLINFER[0], "-c", _COLD),
        "help": (*SQLINFER, "--help"),
        "click": (SQLINFER[0], "-c", "import click"),
    }
    bench.run()
    child(commands["preview"], bench.folder)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(max(plan.repeats, 5)):
        for name, command in commands.items():
            _, wall, cpu, _ = child(command, bench.folder)
            times[name].append((wall, cpu))
    facts: Facts = {name: median(one[0] for one in found) for name, found in times.items()}
    facts |= {f"{name}_cpu": median(one[1] for one in found) for name, found in times.items()}
    facts["apart"] = median(a[0] - b[0] for a, b in zip(times["preview"], times["script"], strict=True))
    facts["night"] = (night := bench.run()).wall
    facts["night_cpu"], facts["night_rss"] = night.cpu, night.rss
    facts["compile_imports"] = _imported(bench, "compile")
    plan.say(f"cold: preview {facts['preview']:.2f} s, script {facts['script']:.2f} s, help {facts['help']:.2f} s")
    return facts


def _imported(bench: Bench, command: str) -> list[str]:
    """Which heavy packages a command imports."""
    code = (
        f"import sys; from sqlinfer.cli.main import invoke; invoke([{command!r}])\n"
        "print(); print(*[m for m in ('onnxruntime', 'torch', 'onnx') if m in sys.modules])"
    )
    out, *_ = child((SQLINFER[0], "-c", code), bench.folder)
    return out.splitlines()[-1].split()
