"""Three ways from a dbt project to the same predictions, in rows/s of the node itself: dbt's own start is not counted.

    SQLINFER_DBT=.venv-dbt/bin/dbt python tests/benchmarks/dbt_paths.py [--rows 1000000] [--repeats 5]

In turn: ``sqlinfer run --dbt`` (publication included), a dbt model that calls the plugin's UDF, a dbt Python model.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import duckdb

ROOT = Path(__file__).parents[2]
CUSTOMERS = """
create or replace table customers as
select i::integer as customer_id, 'a' as first_name, 'b' as last_name, (i * 7919 % 23)::bigint as orders,
       (i * 104729 % 5)::bigint as returns, (i * 1299709 % 1000003) / 100.0::double as spent,
       (i * 15485863 % 4)::bigint as failed_payments, (i * 32452843 % 700)::bigint as days_since_order
from range({rows}) as t(i)
"""


def call(line: list[str], folder: Path) -> None:
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(line)} failed:\n{done.stdout}{done.stderr}")


def prepare(folder: Path, dbt: str, rows: int) -> Path:
    left_out = shutil.ignore_patterns("target", "dbt_packages", "logs", "*.duckdb*")
    shutil.copytree(ROOT / "macros", folder / "macros", ignore=left_out)
    shop = folder / "macros" / "integration_tests"
    # No reuse: the other two ways score every row every night.
    config = shop / "ml" / "churn.yml"
    config.write_text(config.read_text().replace("reuse: true", "reuse: false"))
    node = shop / "models" / "marts" / "churn_scores.sql"
    node.write_text(node.read_text().replace("unique_key='customer_id', ", ""))
    marts = shop / "models" / "marts" / "marts.yml"
    marts.unlink()
    call([dbt, "deps"], shop)
    with duckdb.connect(str(shop / "shop.duckdb")) as connection:
        connection.execute(CUSTOMERS.format(rows=rows))
    call([dbt, "compile", "--target", "udf"], shop)
    return shop


def seconds(shop: Path, results: str, name: str) -> float:
    content = json.loads((shop / results).read_text())
    return next(one["execution_time"] for one in content["results"] if one["unique_id"].endswith(f".{name}"))


def once(shop: Path, dbt: str) -> dict[str, float]:
    sqlinfer = [sys.executable, "-c", "from sqlinfer.cli.main import main; main()"]
    call([*sqlinfer, "run", "--dbt", "--select", "churn_scores"], shop)
    found = {"executor": seconds(shop, "target/sqlinfer/run_results.json", "churn_scores")}
    for name, model in (("plugin UDF", "churn_by_udf"), ("Python model", "churn_by_python")):
        call([dbt, "run", "--target", "udf", "--select", model], shop)
        found[name] = seconds(shop, "target/run_results.json", model)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    beside = ROOT / ".venv-dbt" / "bin" / "dbt"
    dbt = os.environ.get("SQLINFER_DBT") or (str(beside) if beside.is_file() else shutil.which("dbt"))
    if dbt is None:
        print("dbt is not installed: `make test-dbt` installs it into .venv-dbt")
        return
    os.environ |= {"SQLINFER_DBT": dbt, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    with tempfile.TemporaryDirectory() as folder:
        shop = prepare(Path(folder), dbt, given.rows)
        rounds = [once(shop, dbt) for _ in range(given.repeats)]
    print(f"{given.rows:,} rows, medians of {given.repeats}, {os.cpu_count()} cores, duckdb {duckdb.__version__}")
    for name in rounds[0]:
        spent = median(one[name] for one in rounds)
        print(f"{name:<14} {spent:7.2f} s {given.rows / spent:>12,.0f} rows/s")


if __name__ == "__main__":
    main()
