"""``sqlinfer.connect``: queries with predict() from Python. Nothing is published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlinfer.jobs.night import Night
from sqlinfer.runner.preview import preview

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Connection:
    """Queries against one target of a project. Holds nothing open between queries."""

    night: Night

    def sql(self, query: str, *, limit: int | None = None) -> pa.Table:
        """The result of a query as an Arrow table; Jinja and ``ref()`` work, ``limit`` bounds what is scored.

        Raises:
            CompileError: the query, with the place.
            RunError: scoring failed as a whole.
        """
        self.night.allow(query)
        with self.night.compiler() as compiler:
            plan = compiler.inline(query, limit=limit).plan
        rows, _ = preview(plan, self.night.adapter, self.night.environment(None))
        return rows

    def reader(self, query: str, *, limit: int | None = None) -> pa.RecordBatchReader:
        """The same as a stream of record batches."""
        return self.sql(query, limit=limit).to_reader()
