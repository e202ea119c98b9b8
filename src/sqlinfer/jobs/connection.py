"""``sqlinfer.connect``: queries with predict() from Python. Nothing is published."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlinfer.compiler.template.parameters import Parameters
from sqlinfer.jobs.night import Night
from sqlinfer.jobs.outcomes import marked
from sqlinfer.jobs.told import told
from sqlinfer.runner.preview import preview
from sqlinfer.spec.outcome import Outcome

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = logging.getLogger("sqlinfer")


@dataclass(slots=True)
class Connection:
    """Queries against one target of a project. Holds nothing open between queries."""

    night: Night
    outcome: Outcome | None = field(default=None, init=False)
    """Of the last query: how many inputs have no prediction, and why. ``sqlinfer.outcome(table)`` has it too."""

    def sql(self, query: str, params: Parameters | None = None, *, limit: int | None = None) -> pa.Table:
        """The result of a query as an Arrow table; Jinja and ``ref()`` work, ``limit`` bounds what is scored.

        Args:
            params: a list for ``?`` or ``$1``, a dict for ``$name``.

        Raises:
            CompileError: the query, with the place. ParameterError: a value is missing or left over.
            RunError: scoring failed as a whole.
        """
        self.outcome = None
        self.night.allow(query)
        with self.night.compiler() as compiler:
            plan = compiler.inline(query, limit=limit, params=params).plan
        with told(self.night.project):
            rows, self.outcome = preview(plan, self.night.adapter, self.night.environment(None))
        if not self.outcome.is_whole:
            _LOG.warning("%s", self.outcome)
        return marked(rows, self.outcome)

    def reader(self, query: str, params: Parameters | None = None, *, limit: int | None = None) -> pa.RecordBatchReader:
        """The same as a stream of record batches."""
        return self.sql(query, params, limit=limit).to_reader()
