"""The outcome of a query in the metadata of its Arrow table, where it stays with the rows."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlinfer.spec.outcome import Outcome, Reason

if TYPE_CHECKING:
    import pyarrow as pa

_KEY = b"sqlinfer"


def marked(table: pa.Table, outcome: Outcome) -> pa.Table:
    """The same table with its outcome."""
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: json.dumps(asdict(outcome))})


def outcome_of(table: pa.Table) -> Outcome:
    """How many inputs of the query behind a table have no prediction, and why.

    Raises:
        ValueError: the table did not come from ``preview`` or ``connect().sql()``.
    """
    found = (table.schema.metadata or {}).get(_KEY)
    if found is None:
        raise ValueError("the table has no outcome: it did not come from preview() or connect().sql()")
    fields = json.loads(found)
    return Outcome(**fields | {"reasons": tuple(Reason(**one) for one in fields["reasons"])})
