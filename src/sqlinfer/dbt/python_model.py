"""predict() for dbt Python models on DuckDB: a relation in, the same rows with one column more out, in big batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlinfer.dbt.functions import Loaded, loaded
from sqlinfer.errors import ColumnError, InferenceError, UsageError
from sqlinfer.jobs.udf import with_policy
from sqlinfer.relation import quote
from sqlinfer.spec.function import Argument, FunctionContract

if TYPE_CHECKING:
    import pyarrow as pa

READ_ROWS = 122_880
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
    casts = (
        f"TRY_CAST({quote(one.name)} AS {one.data_type}) AS {quote(_ARGUMENT.format(one.name))}"
        for one in contract.arguments
    )
    misfits = " OR ".join(
        f"({quote(one.name)} IS NOT NULL AND TRY_CAST({quote(one.name)} AS {one.data_type}) IS NULL)"
        for one in contract.arguments
        if one.on_cast_error == "error"
    )
    return f"*, {', '.join(casts)}, {misfits or 'false'} AS {quote(_ARGUMENT.format('misfit'))}"


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
        arrays = [_argument(batch, argument) for argument in contract.arguments]
        result = session.run_batch(pa.record_batch(arrays, names=names), names)
        if contract.on_invalid == "error" and result.failed:
            first = next(error for error in result.errors.to_pylist() if error is not None)
            raise InferenceError(f"function '{contract.name}': {first}")
        kept = [batch.column(batch.schema.get_field_index(column)) for column in keep]
        yield pa.RecordBatch.from_arrays([*kept, _column(result, contract, schema, batch)], schema=schema)


def _argument(batch: pa.RecordBatch, argument: Argument) -> Any:
    column = batch.column(batch.schema.get_field_index(_ARGUMENT.format(argument.name)))
    return with_policy(column, argument)


def _column(result: Any, contract: FunctionContract, schema: pa.Schema, batch: pa.RecordBatch) -> Any:
    """The outputs as one column; rows with a value that did not fit are NULL, whatever ``on_null`` says."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if contract.is_struct:
        mask = pa.array(result.missing) if result.missing is not None else None
        value = pa.StructArray.from_arrays(list(result.arrays), fields=list(schema.field(-1).type), mask=mask)
    else:
        value = result.arrays[0]
    misfit = batch.column(batch.schema.get_field_index(_ARGUMENT.format("misfit"))).cast(pa.bool_())
    return pc.if_else(misfit, pa.scalar(None, value.type), value) if misfit.true_count else value
