"""A prepared function, run as scoring runs it, against its original's answers to the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

import numpy as np
import pyarrow as pa

from sqlinfer import types
from sqlinfer.errors import FunctionError
from sqlinfer.functions.check import parity
from sqlinfer.functions.check.tolerance import forgiven
from sqlinfer.functions.fuse.selection import select
from sqlinfer.functions.sources import raw
from sqlinfer.functions.sources.base import Compared
from sqlinfer.spec.function import MISSING_TEXT, Argument, PreparedFunction, Verified

_SESSIONS: Final = "sqlinfer.inference"
"""By name: sessions are not this layer's."""
Wanted = Mapping[str, parity.Array]
"""What each output of a function should be."""


def verified(prepared: PreparedFunction, compared: Compared, tolerance: float) -> Verified:
    """What the record remembers.

    Raises:
        FunctionError: the file of expected outputs lacks something.
    """
    if compared.answers is None:
        rows, wanted = of_parquet(prepared, compared)
        found = side_by_side(prepared, rows, wanted, tolerance)
        return summary(found, np.zeros(rows.num_rows, dtype=bool), tolerance, compared.against)
    rows, (outputs, refused) = raw.read(compared.rows), raw.of_batch(raw.read(compared.answers))
    gaps = best_gaps(outputs)
    found = side_by_side(prepared, rows, selected(prepared, outputs, compared.classes), tolerance, gaps)
    return summary(found, refused, tolerance, compared.against)


def selected(
    prepared: PreparedFunction, outputs: Mapping[str, parity.Array], classes: Sequence[str] | None
) -> dict[str, parity.Array]:
    """The original's raw outputs as the function gives them."""
    return {field.name: select(field, outputs, classes) for field in prepared.returns}


def side_by_side(
    prepared: PreparedFunction,
    rows: pa.RecordBatch,
    wanted: Wanted,
    tolerance: float,
    gaps: parity.Array | None = None,
    actual: pa.Table | None = None,
) -> parity.Compared:
    """Per row, the worst over the function's outputs; ``rows`` has its arguments."""
    actual = scored(prepared, rows) if actual is None else actual
    found = parity.Compared(np.zeros(rows.num_rows), np.zeros(rows.num_rows), np.zeros(rows.num_rows, dtype=bool))
    for name, values in wanted.items():
        found = found.merged(parity.compare(values, actual.column(name).combine_chunks()))
    if gaps is not None and forgiven(tolerance):
        found = parity.Compared(found.absolute, found.relative, found.changed & (gaps > tolerance))
    return found


def scored(prepared: PreparedFunction, rows: pa.RecordBatch) -> pa.Table:
    """The function's outputs for rows of its arguments, NULLs handled as ``on_null`` says."""
    names = [argument.name for argument in prepared.contract.arguments]
    columns = [_filled(rows.column(argument.name), argument) for argument in prepared.contract.arguments]
    table = pa.table(columns, names=names)
    size = max(1, min(len(table), 4096)) if prepared.contract.row_wise else 1
    with import_module(_SESSIONS).open_session(prepared, device="cpu", threads=1, batch_size=size) as session:
        result: pa.Table = session.score_table(table, keep=(), error_column=raw.REFUSED)
    return result


def _filled(column: pa.Array, argument: Argument) -> pa.Array:
    if not column.null_count or argument.on_null not in ("nan", "default"):
        return column
    value: Any = argument.default
    if argument.on_null == "nan":
        value = MISSING_TEXT if types.is_text(argument.data_type) else float("nan")
    return column.fill_null(value)


def best_gaps(outputs: Mapping[str, parity.Array]) -> parity.Array | None:
    """How far the original's best class is above the second."""
    probabilities = outputs.get("probabilities")
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
        int(refused.sum()), forgiven(tolerance),
    )  # fmt: skip


def of_parquet(prepared: PreparedFunction, compared: Compared) -> tuple[pa.RecordBatch, dict[str, parity.Array]]:
    """Rows of arguments and the outputs that belong to them.

    Raises:
        FunctionError: a column is missing or does not fit.
    """
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(compared.rows)
    except (OSError, pa.ArrowException) as error:
        raise _unfit(prepared, compared, f"is not a Parquet file: {str(error).splitlines()[0]}") from error
    names = {name.casefold(): name for name in table.column_names}
    columns = []
    for argument in prepared.contract.arguments:
        if argument.name.casefold() not in names:
            raise _unfit(prepared, compared, f"has no column for the argument '{argument.name}'", table)
        columns.append(_cast(prepared, compared, table, names.pop(argument.name.casefold()), argument.data_type))
    rows = pa.RecordBatch.from_arrays(columns, names=[one.name for one in prepared.contract.arguments])
    outputs = prepared.contract.outputs
    scalar = len(outputs) == 1 and len(names) == 1  # whatever the one other column is called
    wanted = {}
    for output in outputs:
        found = next(iter(names.values())) if scalar else names.get(output.name.casefold())
        if found is None and not prepared.contract.is_struct:
            found = names.get(prepared.contract.name.casefold())
        if found is None:
            raise _unfit(prepared, compared, f"has no column for the output '{output.name}'", table)
        wanted[output.name] = _outputs(_cast(prepared, compared, table, found, output.data_type))
    return rows, wanted


def _cast(prepared: PreparedFunction, compared: Compared, table: pa.Table, name: str, data_type: str) -> pa.Array:
    column = table.column(name).combine_chunks()
    try:
        return column.cast(types.arrow_type(data_type))
    except pa.ArrowException as error:
        message = f"has '{name}' as {column.type}, which does not fit {data_type}"
        raise _unfit(prepared, compared, message, table) from error


def _outputs(column: pa.Array) -> parity.Array:
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        width = next((len(one) for one in column.to_pylist() if one is not None), 0)
        return parity.numbers(column, (len(column), width))
    if pa.types.is_integer(column.type) and column.null_count:
        column = column.cast(pa.float64())
    values: parity.Array = column.to_numpy(zero_copy_only=False)
    return values


def _unfit(
    prepared: PreparedFunction, compared: Compared, message: str, table: pa.Table | None = None
) -> FunctionError:
    contract = prepared.contract
    has = "" if table is None else f"\n  columns: {', '.join(table.column_names)}"
    wanted = ", ".join([*(one.name for one in contract.arguments), *(one.name for one in contract.outputs)])
    return FunctionError(f"function '{contract.name}': {compared.against} {message}{has}\n  wanted: {wanted}",
                         hint="'expected:' has a column for each argument and each output")  # fmt: skip
