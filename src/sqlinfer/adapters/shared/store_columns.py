"""What a store has columns for: key, outputs, error, when and in which run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.names import error_column

if TYPE_CHECKING:
    import pyarrow as pa

RESERVED = ("input_key", "error", "scored_at", "run_id")


def output_columns(contract: FunctionContract) -> tuple[str, ...]:
    """Column names of the outputs, in the contract's order."""
    names: list[str] = []
    for output in contract.outputs:
        name = output.name
        while name.casefold() in (*RESERVED, *(other.casefold() for other in names)):
            name += "_"
        names.append(name)
    return tuple(names)


def store_rows(chunk: pa.Table, result: str, contract: FunctionContract) -> pa.Table:
    """A scored chunk, its key first, → columns input_key, outputs…, error. A struct becomes its fields."""
    import pyarrow as pa

    names = output_columns(contract)
    values = [chunk.column(result)]
    if contract.is_struct:
        import pyarrow.compute as pc

        values = [pc.struct_field(values[0], [position]) for position in range(len(names))]
    return pa.table([chunk.column(0), *values, chunk.column(error_column(0))], names=["input_key", *names, "error"])
