"""``materialized: external``: a query's rows as one Parquet file, written beside and renamed. Goes through Arrow."""

from __future__ import annotations

from pathlib import Path

from sqlinfer.adapters.base import Workspace
from sqlinfer.errors import RunError
from sqlinfer.project import Node


def write_external(work: Workspace, sql: str, node: Node) -> int:
    """The number of rows written."""
    import pyarrow.parquet as pq

    if not node.config.location:
        raise RunError(f"{node.name} is external and has no location", hint="location: exports/scores.parquet")
    if node.config.format != "parquet":
        raise RunError(f"external format {node.config.format} is not supported", hint="format: parquet")
    target = Path(node.config.location)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{work.run_id}.tmp")
    rows = 0
    try:
        with work.reader(sql, plain=True) as reader, pq.ParquetWriter(beside, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return rows
