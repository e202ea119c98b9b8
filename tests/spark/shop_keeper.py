"""A process beside the nights, with a JVM of its own: ``shop_keeper.py PROJECT VIEW…`` changes tables and reads views.

Lines of SQL come in, a line of JSON goes out for each. Meanwhile a thread reads each view, again and again: all rows of
one night, none twice. ``stop`` ends it; the last line tells how many states were seen, and those that were wrong.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings

LOOK = "select count(*), count(distinct id), count(score), min(g), max(g) from ml.{view}"


class Watcher(threading.Thread):
    def __init__(self, session: SparkSqlSession, views: list[str]) -> None:
        super().__init__(daemon=True)
        self.session, self.views, self.done = session, views, threading.Event()
        self.seen, self.wrong = 0, list[str]()
        self.expected = session.value("select rows from ml.expected")

    def run(self) -> None:
        there: set[str] = set()
        while not self.done.wait(0.5):
            for view in self.views:
                if view not in there and not self.session.rows(f"SHOW VIEWS IN ml LIKE '{view}'"):
                    continue
                there.add(view)  # from here on it may never be missing
                try:
                    self.look(view)
                except Exception as error:
                    self.wrong.append(f"{view}: {str(error)[:300]}")

    def look(self, view: str) -> None:
        rows, keys, scores, low, high = self.session.rows(LOOK.format(view=view))[0]
        self.seen += 1
        if low != high or not rows == keys == scores == self.expected:
            self.wrong.append(f"{view}: {rows} rows, {keys} keys, {scores} scores, generations {low} to {high}")


def main(project: str, *views: str) -> None:
    output = json.loads((Path(project) / "profiles.yml").read_text())["house"]["outputs"]["dev"]
    output["server_side_parameters"]["spark.master"] = "local[1]"
    settings = SparkSettings.parse(output, Path(project))
    session = SparkSqlSession(settings)
    watcher: Watcher | None = None
    for line in sys.stdin:
        if line.strip() == "stop":
            break
        print(json.dumps(session.rows(json.loads(line)), default=str), flush=True)
        if watcher is None and "ml.expected" in line:
            watcher = Watcher(SparkSqlSession(settings), list(views))
            watcher.start()
    assert watcher is not None
    watcher.done.set()
    watcher.join()
    print(json.dumps({"seen": watcher.seen, "wrong": watcher.wrong}), flush=True)


main(*sys.argv[1:])
