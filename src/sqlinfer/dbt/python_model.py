"""predict() for dbt Python models on DuckDB: a relation in, the same rows with one column more out, in big batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlinfer.dbt.functions import Loaded, loaded
from sqlinfer.errors import ColumnError, UsageError
from sqlinfer.jobs.udf import cast_row, result_column
from sqlinfer.relation import quote
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.session import READ_ROWS

if TYPE_CHECKING:
    import pyarrow as pa

_ARGUMENT = "__sqlinfer_{}"


def predict(
    dbt: Any,
    relation: Any,
    function: str,
    *,
    as_column: str | None = None,
    project_dir: Path | str = ".",
    device: str | None = None,
) -> pa.RecordBatchReader:
    """Every column of ``relation`` and the function's result, as a stream that DuckDB writes without holding it.

    ``relation`` is what ``dbt.ref()`` or ``dbt.source()`` gives on DuckDB. Arguments are taken from columns of their
    name and cast as declared; a value that does not fit, or is NULL where that means no prediction, gives NULL.

    Args:
        as_column: the name of the new column; default: the function's name.
        project_dir: the folder of dbt_project.yml (dbt runs models in it) or of sqlinfer_project.yml.

    Raises:
        UsageError: this is no DuckDB relation. UnknownFunction, ColumnError: by name.
    """
    if not hasattr(relation, "project") or not hasattr(relation, "columns"):
        raise UsageError(
            f"predict() takes a DuckDB relation, found {type(relation).__name__}",
            hint="pass dbt.ref('…') itself; on other warehouses use a prediction model",
        )
    functions = loaded(Path(project_dir).absolute(), device)
    contract = functions.prepared(function).contract
    _known_columns(contract, list(relation.columns))
    name = as_column or contract.name
    if name.casefold() in {column.casefold() for column in relation.columns}:
        raise UsageError(f"the relation has a column '{name}' already", hint="name the new one with as_column=")
    return _scored(functions, contract, relation.project(_projection(contract)), list(relation.columns), name)


def _known_columns(contract: FunctionContract, columns: list[str]) -> None:
    folded = {column.casefold() for column in columns}
    for argument in contract.arguments:
        if argument.name.casefold() not in folded:
            raise ColumnError.unknown(argument.name, columns)


def _projection(contract: FunctionContract) -> str:
    casts, _ = cast_row(contract, [quote(one.name) for one in contract.arguments])
    named = (
        f"{sql} AS {quote(_ARGUMENT.format(one.name))}" for sql, one in zip(casts, contract.arguments, strict=True)
    )
    return f"*, {', '.join(named)}"


def _scored(functions: Loaded, contract: FunctionContract, relation: Any, keep: list[str],
            name: str) -> pa.RecordBatchReader:  # fmt: skip
    import pyarrow as pa

    source = relation.to_arrow_reader(READ_ROWS)
    session = functions.session(contract.name)
    kinds = session.output_fields(None)
    fields = [pa.field(output.name, kind.type) for output, kind in zip(contract.outputs, kinds, strict=True)]
    kind = pa.struct(fields) if contract.is_struct else kinds[0].type
    schema = pa.schema([*(source.schema.field(column) for column in keep), pa.field(name, kind)])
    return pa.RecordBatchReader.from_batches(schema, _batches(session, contract, source, keep, schema))


def _batches(session: Any, contract: FunctionContract, source: Any, keep: list[str],
             schema: pa.Schema) -> Iterator[pa.RecordBatch]:  # fmt: skip
    import pyarrow as pa

    names = [argument.name for argument in contract.arguments]
    for batch in source:
        arrays = [_column(batch, _ARGUMENT.format(name)) for name in names]
        result = session.run_batch(pa.record_batch(arrays, names=names), names)
        kept = [_column(batch, column) for column in keep]
        yield pa.RecordBatch.from_arrays([*kept, result_column(contract, result, session)], schema=schema)


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    return batch.column(batch.schema.get_field_index(name))
