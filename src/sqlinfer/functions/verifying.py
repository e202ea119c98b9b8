"""A prepared function, run as scoring runs it, against its original's answers to the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import numpy as np
import pyarrow as pa

from sqlinfer import types
from sqlinfer.functions import parity
from sqlinfer.functions.selection import select
from sqlinfer.functions.sources import raw
from sqlinfer.functions.sources.base import Compared
from sqlinfer.functions.tolerance import tolerance_of
from sqlinfer.project.values import FunctionConfig
from sqlinfer.spec.function import MISSING_TEXT, Argument, PreparedFunction, Verified

_SESSIONS: Final = "sqlinfer.inference"
"""By name: sessions are not this layer's."""
_GAPS: Final = 1e-6
"""Labels may differ only where a tolerance above it was asked for, and the original's two best are no farther apart."""


def verified(config: FunctionConfig, prepared: PreparedFunction, compared: Compared) -> Verified:
    """What the record remembers."""
    rows, (outputs, refused) = raw.read(compared.rows), raw.of_batch(raw.read(compared.answers))
    found = side_by_side(config, prepared, rows, outputs, compared.classes)
    return summary(found, refused, tolerance_of(config), compared.against)


def side_by_side(config: FunctionConfig, prepared: PreparedFunction, rows: pa.RecordBatch,
                 outputs: dict[str, parity.Array], classes: Sequence[str] | None) -> parity.Compared:  # fmt: skip
    """Per row, the worst over the function's outputs. ``config`` is complete, ``rows`` has its arguments."""
    actual = scored(prepared, rows)
    found = parity.Compared(np.zeros(rows.num_rows), np.zeros(rows.num_rows), np.zeros(rows.num_rows, dtype=bool))
    for field in config.returns:
        found = found.merged(parity.compare(select(field, outputs, classes), actual.column(field.name)))
    gaps = _gaps(outputs.get("probabilities"))
    tolerance = tolerance_of(config)
    if gaps is not None and tolerance > _GAPS:
        found = parity.Compared(found.absolute, found.relative, found.changed & (gaps > tolerance))
    return found


def scored(prepared: PreparedFunction, rows: pa.RecordBatch) -> pa.Table:
    """The function's outputs for rows of its arguments, NULLs handled as ``on_null`` says."""
    names = [argument.name for argument in prepared.contract.arguments]
    columns = [_filled(rows.column(argument.name), argument) for argument in prepared.contract.arguments]
    table = pa.table(columns, names=names)
    with import_module(_SESSIONS).open_session(prepared, device="cpu", threads=1, batch_size=len(table)) as session:
        result: pa.Table = session.score_table(table, keep=(), error_column=raw.REFUSED)
    return result


def _filled(column: pa.Array, argument: Argument) -> pa.Array:
    if not column.null_count or argument.on_null not in ("nan", "default"):
        return column
    value: Any = argument.default
    if argument.on_null == "nan":
        value = MISSING_TEXT if types.is_text(argument.data_type) else float("nan")
    return column.fill_null(value)


def _gaps(probabilities: parity.Array | None) -> parity.Array | None:
    """How far the original's best class is above the second."""
    if probabilities is None or probabilities.ndim != 2 or probabilities.shape[1] < 2:
        return None
    best = np.sort(probabilities, axis=1)
    gaps: parity.Array = best[:, -1] - best[:, -2]
    return gaps


def summary(found: parity.Compared, refused: parity.Array, tolerance: float, against: str) -> Verified:
    """Worst over the rows for which the original has an answer."""
    kept = ~refused
    over = found.over(tolerance)[kept]
    return Verified(
        against, int(kept.sum()), float(found.absolute[kept].max(initial=0.0)),
        float(found.relative[kept].max(initial=0.0)), int(over.sum()), int(found.changed[kept].sum()),
        int(refused.sum()),
    )  # fmt: skip
