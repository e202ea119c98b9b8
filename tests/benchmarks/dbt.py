"""What a prediction costs in a dbt project: `sqlinfer dbt build` against dbt's own build without it, in turn.

    SQLINFER_DBT=.venv-dbt/bin/dbt python tests/benchmarks/dbt.py [--repeats 5]

The shop of macros/integration_tests: three seeds, five models, one prediction, 17 tests. Prints the medians, the
difference in seconds and the ratio. Both start from a project that was parsed before.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
SQLINFER = [sys.executable, "-c", "from sqlinfer.cli.main import main; main()", "dbt", "build"]


def seconds(line: list[str], folder: Path) -> float:
    begin = time.perf_counter()
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(line)} failed:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - begin


def prepare(folder: Path, dbt: str) -> Path:
    left_out = shutil.ignore_patterns("target", "dbt_packages", "logs", "*.duckdb*")
    shutil.copytree(ROOT / "macros", folder / "macros", ignore=left_out)
    shop = folder / "macros" / "integration_tests"
    seconds([dbt, "deps"], shop)
    return shop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    beside = ROOT / ".venv-dbt" / "bin" / "dbt"
    dbt = os.environ.get("SQLINFER_DBT") or (str(beside) if beside.is_file() else shutil.which("dbt"))
    if dbt is None:
        print("dbt is not installed: `make test-dbt` installs it into .venv-dbt")
        return
    os.environ |= {"SQLINFER_DBT": dbt, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    with tempfile.TemporaryDirectory() as folder:
        shop = prepare(Path(folder), dbt)
        lines = {"dbt": [dbt, "build", "--exclude", "churn_scores+"], "sqlinfer": SQLINFER}
        for line in lines.values():  # parsed, and the function prepared
            seconds(line, shop)
        taken: dict[str, list[float]] = {name: [] for name in lines}
        for _ in range(given.repeats):
            for name, line in lines.items():
                taken[name].append(seconds(line, shop))
    own, mixed = median(taken["dbt"]), median(taken["sqlinfer"])
    print(f"dbt build without the prediction  {own:6.2f} s  {[round(one, 2) for one in taken['dbt']]}")
    print(f"sqlinfer dbt build                {mixed:6.2f} s  {[round(one, 2) for one in taken['sqlinfer']]}")
    print(f"difference {mixed - own:+.2f} s (goal: at most 3), ratio {mixed / own:.2f}")


if __name__ == "__main__":
    main()
