"""Tables of ours beside the published ones. A column more is one line here; each warehouse adds it to older tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlinfer.spec.names import CHALLENGE_RECORDS, ERROR_RECORDS, RUN_RECORDS
from sqlinfer.spec.receipt import RECORDED


@dataclass(frozen=True, slots=True)
class RecordKind:
    table: str
    columns: Mapping[str, str]
    """Name → type, in the spelling of ``types``: every warehouse has them, and every client reads them."""


RUNS = RecordKind(
    RUN_RECORDS,
    {
        "run_id": "TEXT",
        "node": "TEXT",
        "relation": "TEXT",
        "started_at": "TIMESTAMPTZ",
        "finished_at": "TIMESTAMPTZ",
        "functions": "TEXT[]",
        "rows": "BIGINT",
        "inputs": "BIGINT",
        "scored": "BIGINT",
        "reused": "BIGINT",
        "null_inputs": "BIGINT",
        "errors": "BIGINT",
        "status": "TEXT",
        "sqlinfer_version": "TEXT",
        "sql_checksum": "TEXT",
        "provenance": "TEXT",
        "slice_start": "TIMESTAMP",
        "slice_end": "TIMESTAMP",
        **RECORDED,
        "distributions": "TEXT",
    },
)
"""One row for each publication."""

ERRORS = RecordKind(
    ERROR_RECORDS,
    {
        "node": "TEXT",
        "function": "TEXT",
        "digest": "TEXT",
        "input_key": "TEXT",
        "key_columns": "TEXT",
        "stage": "TEXT",
        "error_class": "TEXT",
        "message": "TEXT",
        "run_id": "TEXT",
        "at": "TIMESTAMPTZ",
        "unique_id": "TEXT",
    },
)
"""One row for each input that failed, as long as the rows that it tells of."""


CHALLENGES = RecordKind(
    CHALLENGE_RECORDS,
    {
        "run_id": "TEXT",
        "node": "TEXT",
        "relation": "TEXT",
        "compared_at": "TIMESTAMPTZ",
        "champion": "TEXT",
        "challenger": "TEXT",
        "champion_digest": "TEXT",
        "challenger_digest": "TEXT",
        "prediction": "TEXT",
        "status": "TEXT",
        "message": "TEXT",
        "rows": "BIGINT",
        "mean_shift": "DOUBLE",
        "mean_absolute_shift": "DOUBLE",
        "largest_shift": "DOUBLE",
        "flips": "BIGINT",
        "flip_share": "DOUBLE",
        "psi": "DOUBLE",
        "inputs": "BIGINT",
        "scored": "BIGINT",
        "reused": "BIGINT",
        "null_inputs": "BIGINT",
        "errors": "BIGINT",
        "seconds": "DOUBLE",
    },
)
"""One row for each night and column of predictions of a node whose function has a challenger."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """What is asked of a record of a run."""

    run_id: str
    rows: int
    inputs: int
    errors: int
    distributions: str = ""
    """``spec.distributions`` of its prediction columns; empty where they are not known."""
