"""One night in a process of its own: ``job.py FOLDER RUN_ID [wait] [retry]``. Prints the result as JSON.

With ``wait`` each batch waits for a line on stdin, or its end.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kit import Night, node, plan, prepared

from sqlinfer.errors import SqlinferError
from sqlinfer.runner.node import retry_publication, run_node


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(folder: str, run_id: str, pause: str = "", action: str = "run") -> None:
    night = Night(Path(folder))

    def wait() -> None:
        say("batch")
        if pause == "wait":
            sys.stdin.readline()

    try:
        with night.environment(prepared(), run_id=run_id, on_batch=wait, publish_timeout=0.5, store_chunk=100) as env:
            results = [run_node(plan(), node(), env)] if action == "run" else retry_publication(env)
    except SqlinferError as error:
        say(json.dumps({"status": "refused", "message": str(error), "scored": 0}))
        return
    for result in results:
        say(
            json.dumps(
                {
                    "status": result.status,
                    "message": result.message,
                    "pending": result.pending,
                    "scored": result.counts.scored,
                    "rows": result.rows,
                    "seen": night.scored,
                }
            )
        )


main(*sys.argv[1:])
