"""``python -m tests.dbt.public CLONE… [--packages FOLDER] [--dbt PROGRAM]``: score a public dbt project end to end."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from tests.dbt.public.projects import copied, score


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.dbt.public", description=__doc__)
    parser.add_argument("clones", nargs="+", type=Path, metavar="CLONE")
    parser.add_argument("--packages", type=Path, help="A folder of clones of dbt packages, where there is no hub.")
    parser.add_argument("--dbt", default=os.environ.get("SQLINFER_DBT", ".venv-dbt/bin/dbt"))
    given = parser.parse_args()
    for clone in given.clones:
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            made = copied(clone, Path(folder) / "project", str(Path(given.dbt).absolute()), given.packages)
            node = score(made)
            print(f"== {made.known.name}: {node} is scored, {time.monotonic() - began:.0f} s")


main()
