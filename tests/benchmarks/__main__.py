"""The suite: ``python -m tests.benchmarks [--only w1,w2] [--repeats 5] [--full]``, or ``make bench``.

Prints a table, adds to the JSON file, writes docs/benchmarks.md from it. SQLINFER_BENCH_SCALE=0.01 makes it a smoke
test of a minute or two (nothing is written to docs then).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks import measure, report
from tests.benchmarks.bench import ROOT
from tests.benchmarks.workloads import workloads

ALL = ("w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "cold", "memory")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", default=",".join(ALL), help=f"comma-separated, of {', '.join(ALL)}")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scale", type=float, default=float(os.environ.get("SQLINFER_BENCH_SCALE", "1")))
    parser.add_argument("--texts", type=int, help="rows of W6 (default 5,000 times the scale)")
    parser.add_argument("--full", action="store_true", help="peak memory at 50 M rows too")
    parser.add_argument("--json", type=Path, default=ROOT / "target" / "benchmarks.json")
    parser.add_argument("--docs", type=Path, help="default: docs/benchmarks.md at scale 1, else none")
    parser.add_argument("--folder", type=Path, help="where databases go (default: a temporary folder)")
    return parser.parse_args()


def jobs(flags: argparse.Namespace, plan: measure.Plan) -> dict[str, Callable[[], measure.Facts]]:
    works = workloads(flags.scale, flags.texts)
    large = [workloads(flags.scale * 10)["w1"]] if flags.full else []
    found: dict[str, Callable[[], measure.Facts]] = {
        name: (lambda name=name: measure.throughput(works[name], plan)) for name in ALL[:6]
    }
    found["w7"] = lambda: measure.night_two(plan, works["w1"])
    found["w8"] = lambda: measure.distinct(works["w8"], plan)
    found["cold"] = lambda: measure.cold(works["w1"], plan)
    found["memory"] = lambda: measure.memory([works["w1"], *large], plan)
    return found


def main() -> None:
    flags = arguments()
    docs = flags.docs or (ROOT / "docs" / "benchmarks.md" if flags.scale == 1 else None)
    content = {"scale": flags.scale, "results": {}}
    if flags.json.exists():
        known = json.loads(flags.json.read_text(encoding="utf-8"))
        content = known if known["scale"] == flags.scale else content
    with tempfile.TemporaryDirectory() as temporary:
        folder = flags.folder or Path(temporary)
        plan = measure.Plan(folder, flags.repeats, lambda line: print(line, file=sys.stderr, flush=True))
        available = jobs(flags, plan)
        for name in flags.only.split(","):
            content["results"][name] = available[name]()
            content |= {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "repeats": flags.repeats}
            content["machine"] = report.machine()
            flags.json.parent.mkdir(parents=True, exist_ok=True)
            flags.json.write_text(json.dumps(content, indent=1), encoding="utf-8")
            if docs is not None:
                docs.parent.mkdir(exist_ok=True)
                docs.write_text(report.document(content, "make bench"), encoding="utf-8")
    print(report.table(content["results"]))


if __name__ == "__main__":
    main()
