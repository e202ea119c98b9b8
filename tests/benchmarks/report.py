"""Facts → a table for the terminal, docs/benchmarks.md, the JSON file between them."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

Facts = dict[str, Any]
NOTES = Path(__file__).with_name("notes.md")
"""What a reader should know of the figures; it goes under them."""
PEERS = {
    "udf": "DuckDB Arrow UDF", "loop": "loop over Arrow batches", "batches32": "batches of 32 in arrival order",
}  # fmt: skip


FORMS = {"": "fresh and closing", "warm": "warm in its process", "warm bare": "warm, pandas absent"}


def named(peer: str) -> str:
    """A peer and its form."""
    kind, _, form = peer.partition(" ")
    return f"{PEERS[kind]}, {FORMS[form]}"


def machine() -> Facts:
    names = ("duckdb", "numpy", "onnxruntime-gpu", "onnxruntime", "pandas", "pyarrow", "sqlglot", "tokenizers")
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except ImportError:
            continue
    with open("/proc/meminfo", encoding="utf-8") as file:
        memory = int(file.readline().split()[1]) // 2**20
    return {"cores": len(os.sched_getaffinity(0)), "memory": memory, "cpu": _cpu(),
            "python": platform.python_version(), "versions": found}  # fmt: skip


def _cpu() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def rows(results: Facts) -> Iterator[tuple[str, str, str, str, bool]]:
    """What is compared, the target, what was measured, the figures behind it, whether it is met."""
    for name in ("w1", "w2", "w3", "w4", "w5", "w6"):
        if name in results:
            yield from _throughput(name.upper(), results[name])
    if "w7" in results:
        yield from _nights(results["w7"])
    if "w8" in results:
        facts = results["w8"]
        told = f"{facts['seconds']:.2f} s against {facts['full']:.2f} s"
        yield "W8 distinct / all rows", "≤ 0.2", f"{facts['ratio']:.2f}", told, facts["ratio"] <= 0.2
    if "cold" in results:
        yield from _cold(results["cold"])
    if "memory" in results:
        yield from _memory(results["memory"], results.get("cold", {}))


def _throughput(name: str, facts: Facts) -> Iterator[tuple[str, str, str, str, bool]]:
    for peer, one in facts["peers"].items():
        target = facts["targets"].get(peer)
        wanted, met = (f"≥ {target}", one["ratio"] >= target) if target else ("–", True)
        whole = f"processes {one['wall_ratio']:.2f}×, CPU {one['cpu_ratio']:.2f}×"
        told = f"{facts['seconds']:.2f} s against {one['seconds']:.2f} s ({whole})"
        yield f"{name} / {named(peer)}", wanted, f"{one['ratio']:.2f}×", told, met
    if "warm_ratio" in facts:
        ratio, target = facts["warm_ratio"], facts["warm_target"]
        yield f"{name} / the fastest of them warm", f"≥ {target}", f"{ratio:.2f}×", "", ratio >= target
    floor = facts["floor"]
    told = f"floor {floor['seconds']:.2f} s, slowest stage alone: {floor['slowest']}"
    wanted, met = f"≥ {facts['floor_target']}", floor["share"] >= facts["floor_target"]
    yield f"{name} share of the floor", wanted, f"{floor['share']:.2f}", told, met


def _nights(results: Facts) -> Iterator[tuple[str, str, str, str, bool]]:
    for title, facts in results.items():
        if not isinstance(facts, dict):
            continue
        for kind, word in (("rebuilt", "rebuilt"), ("merged", "merged in place")):
            target = facts["rebuild_target" if kind == "rebuilt" else "merge_target"]
            ratio = facts[f"{kind}_ratio"]
            told = f"{facts[kind]:.2f} s against {facts['full']:.2f} s"
            wanted, met = (f"≤ {target}", ratio <= target) if target else ("–", True)
            yield f"W7 {title}, {word} / all again", wanted, f"{ratio:.2f}", told, met


def _cold(facts: Facts) -> Iterator[tuple[str, str, str, str, bool]]:
    told = f"{facts['preview']:.2f} s against {facts['script']:.2f} s"
    yield "preview --inline, over a script", "≤ 0.35 s", f"{facts['apart']:.2f} s", told, facts["apart"] <= 0.35
    told = f"{facts['help']:.2f} s against {facts['click']:.2f} s"
    yield "--help, over importing click", "–", f"{facts['help'] - facts['click']:.2f} s", told, True
    heavy = [name for name in facts["compile_imports"] if name != "onnx"]
    yield "compile imports onnxruntime or torch", "no", ", ".join(heavy) or "no", "", not heavy


def _memory(facts: Facts, cold: Facts) -> Iterator[tuple[str, str, str, str, bool]]:
    sizes = sorted(facts, key=int)
    base = cold.get("night_rss", 0.0)
    peak = facts[sizes[0]]
    told = f"{peak:.0f} MB, {base:.0f} MB with 64 rows"
    yield (
        f"W1 peak memory, {int(sizes[0]):,} rows",
        "≤ 1000 MB over",
        f"{peak - base:.0f} MB",
        told,
        peak - base <= 1000,
    )
    for size in sizes[1:]:
        ratio = facts[size] / peak
        yield f"W1 peak memory, {int(size):,} rows", "≤ 1.1×", f"{ratio:.2f}×", f"{facts[size]:.0f} MB", ratio <= 1.1


def table(results: Facts) -> str:
    """For the terminal."""
    lines = [("", "target", "measured", "", "")]
    lines += [(a, b, c, "" if met else "MISSED", d) for a, b, c, d, met in rows(results)]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return "\n".join("  ".join([*(t.ljust(w) for t, w in zip(line, widths, strict=False)), line[4]]) for line in lines)


_INTRO = """# Benchmarks

Written by `make bench` (`python -m tests.benchmarks`); do not edit. What is measured, against what, and with which
result on one machine. Absolute times move with the machine: read the ratios, which are taken inside one run.

## How

Ours is always a fresh process. A round is one `sqlinfer run` and one pass of each peer, in turn, on the same DuckDB
file; a ratio is the median over the rounds. One run of ours before the first round prepares the artifact and measures
the batch size, as the first night does.

- **Ours** is a node's `execution_time` in `run_results.json`: opening the session, reading, scoring, writing the side
  file, publishing in one transaction, checkpoint and cleaning up. *Processes* compares whole processes instead: Python,
  imports, project, compiling and artifacts on our side, Python and imports on the peer's.
  *CPU* compares the CPU seconds of whole processes; it moves little when the machine is busy with other work.
- **Peers** come in three forms, imports left out of all (`tests/benchmarks/peers.py`). *Fresh and closing*: from
  opening the session and the database to the closed database with its committed table. *Warm in its process*: database
  and session are open and have done the same once before, timed to the committed table. *Warm, pandas absent*: the same
  where pyarrow finds no pandas to import (one round where a pass takes over four seconds). *Processes* and *CPU* of a
  warm peer count both of its passes. Peers do not hash, remember, stage, count, audit or keep yesterday's table.
- **All rows are scored** in W1 to W6 (`reuse: false`), as the peers do. With the store, which `reuse: auto` takes for
  all but the cheapest functions, the first night also keys and remembers: second table below.
- **The floor** is `max(slowest stage, CPU seconds of all stages / cores)`, the stages each alone in a process: scan,
  assemble, kernel (one thread per core over the bare session with the graph as we rewrite it, ready-made blocks), write
  (side file), publish (copy into the database). W6: the kernel alone on unpadded batches.

W1 to W4 and W7 have 20 random floats a row. W5 has four numbers and eight texts of thirteen categories, one of them
unseen by the graph. W6 has texts of 5 to 120 tokens, most of them short: padding makes a batch of 32
in arrival order three times as large. W7 changes 1 % of W1's rows between nights. W8 repeats 50,000
rows.
"""


def document(content: Facts, command: str) -> str:
    results, where = content["results"], content["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items())
    lines = [_INTRO, "## Results", ""]
    lines += [f"{content['date']}, {where['cores']} cores ({where['cpu']}), {where['memory']} GiB, Python "
              f"{where['python']}, {versions}. `{command}`, scale {content['scale']:g}. "
              f"{_crowded(results)}", ""]  # fmt: skip
    lines += ["| | target | measured | | |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {a} | {b} | {c} | {d} | {'' if met else '**missed**'} |" for a, b, c, d, met in rows(results)]
    lines += ["", *_times(results)]
    lines += ["", "## Notes", "", NOTES.read_text(encoding="utf-8").strip()]
    return "\n".join(lines) + "\n"


def _crowded(results: Facts) -> str:
    """A machine that does other work at the same time is no machine to measure on; say so."""
    loads = [facts["load"] for facts in results.values() if "load" in facts]
    if not loads:
        return ""
    return f"Load average while measuring: {min(loads):.1f} to {max(loads):.1f} (2 or 3 is a machine of our own)."


_COLUMNS = ("rows", "rounds", "ours", "first night with the store", "UDF", "loop", "read all", "peak memory",
            "CPU seconds", "scan", "assemble", "kernel", "write", "publish")  # fmt: skip


def _times(results: Facts) -> Iterator[str]:
    names = [name for name in ("w1", "w2", "w3", "w4", "w5", "w6") if name in results]
    if not names:
        return
    yield "## Behind it"
    yield ""
    yield "Million rows a second (W6: thousand), peak memory of the process in MB, stages alone in seconds."
    yield ""
    yield f"| | {' | '.join(_COLUMNS)} |"
    yield "| --- " * (len(_COLUMNS) + 1) + "|"
    for name in names:
        yield _line(name, results[name])


def _line(name: str, facts: Facts) -> str:
    unit = facts["rows"] / (1e3 if name == "w6" else 1e6)
    peers = {k: f"{unit / one['seconds']:.2f}" for k, one in facts["peers"].items()}
    readall = (
        f"{unit / facts['readall']['seconds']:.2f} ({facts['readall']['rss']:.0f} MB)" if "readall" in facts else "–"
    )
    stages = facts["floor"]["stages"]
    alone = [f"{stages[k][0]:.2f}" if k in stages else "–" for k in ("scan", "assemble", "kernel", "write", "publish")]
    store = unit / facts["store"]["seconds"]
    cells = [f"{name.upper()} {facts['title']}", f"{facts['rows']:,}", str(facts["rounds"])]
    cells += [f"{unit / facts['seconds']:.2f}", f"{store:.2f}", peers.get("udf", peers.get("batches32", "–"))]
    cells += [peers.get("loop", "–"), readall, f"{facts['rss']:.0f}", f"{facts['cpu']:.1f}", *alone]
    return f"| {' | '.join(cells)} |"
