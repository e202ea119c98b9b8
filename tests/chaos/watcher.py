"""A reader process: ``watcher.py DATABASE STOP_FILE NODE…`` looks at every published table until the file is there.


Prints JSON: how many states it saw, and those that were no single generation.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import duckdb


def look(connection: duckdb.DuckDBPyConnection, nodes: list[str]) -> tuple[int, list[str]]:
    present = {row[0] for row in connection.execute("select table_name from duckdb_tables()").fetchall()}
    seen, wrong = 0, []
    for node in nodes:
        if node not in present:
            continue
        seen += 1
        key = "g" if node == "summary" else "id"
        n, distinct, low, high = connection.execute(
            f"select count(*), count(distinct {key}), min(g), max(g) from {node}"
        ).fetchone()
        expected = connection.execute(f"select rows from sqlinfer_runs where node like '%.{node}' "
                                      "order by finished_at desc limit 1").fetchone()[0]  # fmt: skip
        if low != high or n != distinct or n != expected:
            wrong.append(f"{node}: {n} rows, {distinct} keys, {expected} expected, generations {low} to {high}")
    return seen, wrong


def main(database: str, stop: str, *nodes: str) -> None:
    seen, mixed = 0, []
    while not Path(stop).exists():
        try:
            with duckdb.connect(database, read_only=True) as connection:
                more, wrong = look(connection, list(nodes))
        except duckdb.IOException:
            time.sleep(0.005)
            continue
        seen += more
        mixed += wrong
        time.sleep(0.3)
    print(json.dumps({"seen": seen, "mixed": mixed}))


main(*sys.argv[1:])
