"""Gigabytes into a bucket on the loopback address, and back: seconds, and the memory of the process that does it.

python tests/benchmarks/buckets.py 0.25 1 2     # GB of Parquet; memory should not grow with them
python tests/benchmarks/buckets.py 2 --local    # into a folder
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlinfer.testing.bucket_server import BucketServer

ROW = 8 * 8
"""Bytes: eight columns of random doubles, which do not compress."""
MAIN = "from sqlinfer.cli.main import main; main()"


def project(root: Path, rows: int, location: str, more: str = "") -> None:
    (root / "models").mkdir(parents=True)
    (root / "sqlinfer_project.yml").write_text("name: bench\nprofile: bench\n")
    output = "{type: duckdb, path: w.duckdb}"
    (root / "profiles.yml").write_text(f"bench: {{target: dev, outputs: {{dev: {output}}}}}\n")
    columns = ", ".join(f"random() as c{number}" for number in range(7))
    config = f"{{{{ config(materialized='external', location='{location}'{more}) }}}}"
    (root / "models/wide.sql").write_text(f"{config} select i % 20 as part, {columns} from range({rows}) t(i)\n")
    sums = ", ".join(f"sum(c{number}) as c{number}" for number in range(7))
    (root / "models/back.sql").write_text(f"select count(*) as n, {sums} from {{{{ ref('wide') }}}}\n")


def run(root: Path, name: str) -> tuple[float, float]:
    """Seconds, and megabytes of the process at its peak."""
    command = [sys.executable, "-c", MAIN, "run", "--select", name, "--project-dir", str(root)]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gigabytes", nargs="*", type=float, default=[0.25, 1.0])
    parser.add_argument("--local", action="store_true", help="into a folder of this machine")
    parser.add_argument("--partitions", action="store_true", help="partitioned by a column of 20 values")
    given = parser.parse_args()
    print(f"{'GB':>6} {'write s':>8} {'MB/s':>6} {'peak MB':>8} {'read s':>8} {'peak MB':>8}")
    for size in given.gigabytes:
        with tempfile.TemporaryDirectory() as folder, BucketServer(Path(folder) / "buckets") as server:
            os.environ.update(server.environment)
            location = f"{folder}/out/wide/" if given.local else "s3://lake/wide"
            root = Path(folder) / "project"
            profile_root = f", external_root: {folder}/out" if given.local else ""
            project(root, int(size * 1e9 / ROW), location, ", partition_by='part'" if given.partitions else "")
            if profile_root:
                text = (root / "profiles.yml").read_text().replace("w.duckdb", f"w.duckdb{profile_root}")
                (root / "profiles.yml").write_text(text)
            wrote, most = run(root, "wide")
            read, more = run(root, "back")
            print(
                f"{size:6.2f} {wrote:8.1f} {size * 1000 / wrote:6.0f} {most:8.0f} {read:8.1f} {more:8.0f}", flush=True
            )


if __name__ == "__main__":
    main()
