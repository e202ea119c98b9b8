"""``materialized: external``: a query's rows as one Parquet file, written beside its place and renamed into it."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import Workspace
from sqlinfer.adapters.shared import queries
from sqlinfer.errors import PublicationError, RunError, SqlinferError
from sqlinfer.files import sync
from sqlinfer.project import Node
from sqlinfer.project.locations import MARK
from sqlinfer.spec.catalog import Column
from sqlinfer.storage import is_url

if TYPE_CHECKING:
    import pyarrow as pa


def location(node: Node, root: Path) -> str:
    """Where the file goes; a relative location is relative to the project, as ``ref()`` reads it.

    Raises:
        RunError: there is no location, or a format that is not supported.
    """
    if not node.config.location:
        raise RunError(f"{node.name} is external and has no location", hint="location: exports/scores.parquet")
    if node.config.format != "parquet":
        raise RunError(f"external format {node.config.format} is not supported", hint="format: parquet")
    return node.config.location if is_url(node.config.location) else str(root / node.config.location)


def check_file(target: Path) -> None:
    """Raises PublicationError where the file is sure not to be written."""
    if target.is_dir():
        raise PublicationError(f"{target} cannot be written: it is a folder", hint="location names a file")
    folder = next(one for one in target.parents if one.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        what = "is read-only" if folder.is_dir() else "is no folder"
        raise PublicationError(f"{target} cannot be written: {folder} {what}", hint="set another location")


def arriving(work: Workspace, columns: Sequence[Column]) -> pa.Schema | None:
    """How columns of these types will come out of the warehouse, asked without a row. None: it cannot be asked."""
    sql = queries.no_rows(columns, work.dialect)
    with suppress(SqlinferError), work.warehouse(brief=True), work.reader(sql, plain=True) as reader:
        return reader.schema.remove_metadata()
    return None


def check_types(schema: pa.Schema, spelled: Mapping[str, str] | None = None) -> None:
    """``spelled``: the types in the warehouse's own words.

    Raises:
        PublicationError: Parquet has no form for a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for field in schema:
        try:
            pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([field])).close()
        except pa.ArrowException as error:
            kind = (spelled or {}).get(field.name, str(field.type))
            raise PublicationError(f"column '{field.name}' is of type {kind}, for which Parquet has no form",
                                   hint="cast it in the query, or leave it out") from error  # fmt: skip


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """Rows that lie beside the place where readers look."""

    path: Path
    target: Path
    rows: int

    def put_in_place(self) -> None:
        self.path.replace(self.target)
        sync(self.target.parent)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """There is one version."""


def write_beside(work: Workspace, sql: str, target: Path) -> WrittenFile:
    """The rows of ``sql`` on disk next to ``target``, through Arrow."""
    import pyarrow.parquet as pq

    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        left.unlink()  # of a run that was killed
    beside = target.with_name(f".{target.name}.{work.run_id}.tmp")
    rows = 0
    try:
        with work.reader(sql, plain=True) as reader:
            check_types(reader.schema)
            with pq.ParquetWriter(beside, reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)
                    rows += batch.num_rows
                writer.add_key_value_metadata({MARK.decode(): f"run {work.run_id}"})
        sync(beside)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return WrittenFile(beside, target, rows)
