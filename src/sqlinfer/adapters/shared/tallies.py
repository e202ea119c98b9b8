"""Counts of a pass, from the status and error columns of its chunks, vectorised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlinfer.spec.names import error_column
from sqlinfer.spec.plan import NULL_INPUT, SKIPPED, Call
from sqlinfer.spec.scorer import Tally

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(slots=True)
class Counting:
    """One call of a pass, chunk by chunk."""

    call: Call
    position: int = 0
    rows: int = 0
    skipped: int = 0
    nulls: int = 0
    errors: int = 0

    def add(self, chunk: pa.Table) -> pa.Table | None:
        """Count a chunk; its error rows, if it has any."""
        self.rows += chunk.num_rows
        error = chunk.column(error_column(self.position))
        status = chunk.column(self.call.status) if self.call.status else None
        if status is not None and status.null_count < len(status):
            return self._add_marked(chunk, error, status)
        return None if error.null_count == len(error) else self._add_errors(chunk, error)

    def _add_marked(self, chunk: pa.Table, error: pa.ChunkedArray, status: pa.ChunkedArray) -> pa.Table | None:
        import pyarrow.compute as pc

        from sqlinfer.arrays import from_texts

        skipped, null = (pc.equal(status, one) for one in from_texts([SKIPPED, NULL_INPUT]))
        self.skipped += pc.sum(skipped).as_py() or 0
        self.nulls += pc.sum(null).as_py() or 0
        ours = pc.and_kleene(pc.is_valid(status), pc.invert(pc.or_(skipped, null)))
        return self._keep(chunk, pc.or_(pc.is_valid(error), ours))

    def _add_errors(self, chunk: pa.Table, error: pa.ChunkedArray) -> pa.Table | None:
        import pyarrow.compute as pc  # 40 ms that a night without errors need not pay

        return self._keep(chunk, pc.is_valid(error))

    def _keep(self, chunk: pa.Table, bad: pa.ChunkedArray) -> pa.Table | None:
        import pyarrow.compute as pc

        errors = pc.sum(bad).as_py() or 0
        self.errors += errors
        return chunk.filter(bad) if errors else None

    def tally(self, null_inputs: int) -> Tally:
        """``null_inputs``: what the session counted, for a call without a status."""
        return Tally(self.rows, self.skipped, null_inputs if self.call.status is None else self.nulls, self.errors)
