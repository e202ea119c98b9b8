"""The shelf of one viewer at this hour: tonight's ten titles, put in another order by what is known only now.

    python functions/recommendations/rerank.py V0007 --hour 8

Ten rows are looked up by their key, and one small function scores them in a DuckDB of this process. In a service both
objects stay open, so that a request costs neither a session nor a connection.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

import sqlinfer

PROJECT = Path(__file__).parents[2]
PLACES = range(1, 11)


class Shelf:
    """Opened once, asked for every request. Not for several threads."""

    def __init__(self, project: Path, **options: Any) -> None:
        self.nightly = sqlinfer.lookup(project, "recommendations", **options)
        self.connection = duckdb.connect()
        sqlinfer.register(self.connection, project, **options)

    def now(self, viewer: str, hour: int, shown: int = 3) -> list[dict[str, Any]]:
        """The titles to show, best first. Empty where the viewer is not known yet: show the table ``shelf``."""
        rows = [self.nightly.get(viewer_id=viewer, place=place) for place in PLACES]
        candidates = pa.Table.from_pylist([row for row in rows if row is not None])
        if not candidates.num_rows:
            return []
        self.connection.register("candidates", candidates)
        order = """
            select title, genre, minutes, place, watch_now(affinity, minutes, $hour) as played
            from candidates
            order by played desc, place
            limit $shown
        """
        found = self.connection.sql(order, params={"hour": hour, "shown": shown})
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("viewer")
    parser.add_argument("--hour", type=int, required=True)
    given = parser.parse_args()
    for row in Shelf(PROJECT).now(given.viewer, given.hour):
        print(f"{row['played']:.2f}  {row['title']}, {row['genre']}, {row['minutes']} min (place {row['place']})")


if __name__ == "__main__":
    main()
