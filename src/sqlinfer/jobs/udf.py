"""Functions as vectorised UDFs of a DuckDB connection. In: prepared functions. Out: names that any SQL can call.

A batch of at most DuckDB's vector size goes through the same session that a run uses, so the results are the same;
a run is faster because it batches as the model likes and scores each distinct input once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlinfer.errors import InferenceError
from sqlinfer.relation import quote
from sqlinfer.spec.function import Argument, FunctionContract, PreparedFunction

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.inference import Session


def register_function(connection: Any, prepared: PreparedFunction, session: Session) -> None:
    """Make ``prepared`` callable by its name on a ``duckdb.DuckDBPyConnection``; registering again replaces it.

    DuckDB does not narrow the arguments of a UDF by itself, so a temporary macro of the function's name casts them.
    """
    contract = prepared.contract
    inner = inner_name(contract)
    if connection.execute("SELECT 1 FROM duckdb_functions() WHERE function_name = ?", [inner]).fetchall():
        connection.remove_function(inner)
    connection.create_function(
        inner,
        _scorer(prepared, session),
        [connection.type(argument.data_type) for argument in contract.arguments],
        connection.type(contract.return_type),
        type="arrow",
        null_handling="special",
        side_effects=False,
    )
    connection.execute(macro(contract, inner))


def inner_name(contract: FunctionContract) -> str:
    """The UDF that the macro calls."""
    return f"_sqlinfer_{contract.name}"


def macro(contract: FunctionContract, inner: str) -> str:
    """The casts as a run makes them: a value that does not fit gives NULL, whatever ``on_null`` says."""
    names = [quote(argument.name) for argument in contract.arguments]
    casts = [f"TRY_CAST({name} AS {arg.data_type})" for name, arg in zip(names, contract.arguments, strict=True)]
    bad = [
        f"({name} IS NOT NULL AND {cast} IS NULL)"
        for name, cast, argument in zip(names, casts, contract.arguments, strict=True)
        if argument.on_cast_error == "error"
    ]
    call = f"{inner}({', '.join(casts)})"
    body = f"CASE WHEN {' OR '.join(bad)} THEN NULL ELSE {call} END" if bad else call
    return f"CREATE OR REPLACE TEMP MACRO {quote(contract.name)}({', '.join(names)}) AS {body}"


def _scorer(prepared: PreparedFunction, session: Session) -> Callable[..., pa.Array]:
    """Columns in, one column out: the policies of ``on_null`` first, then the session."""
    import pyarrow as pa

    contract = prepared.contract
    names = [argument.name for argument in contract.arguments]

    def score(*columns: Any) -> pa.Array:
        arrays = [
            with_policy(_one_array(column), argument)
            for column, argument in zip(columns, contract.arguments, strict=True)
        ]
        result = session.run_batch(pa.record_batch(arrays, names=names), names)
        if contract.on_invalid == "error" and result.failed:
            first = next(error for error in result.errors.to_pylist() if error is not None)
            raise InferenceError(f"function '{contract.name}': {first}")
        if not contract.is_struct:
            return result.arrays[0]
        mask = pa.array(result.missing) if result.missing is not None else None
        kinds = session.output_fields(None)
        fields = [pa.field(output.name, kind.type) for output, kind in zip(contract.outputs, kinds, strict=True)]
        return pa.StructArray.from_arrays(list(result.arrays), fields=fields, mask=mask)

    # DuckDB counts parameters and evaluates annotations.
    places = [inspect.Parameter(f"a{i}", inspect.Parameter.POSITIONAL_ONLY) for i in range(len(names))]
    score.__annotations__, vars(score)["__signature__"] = {}, inspect.Signature(places)
    return score


def _one_array(column: Any) -> pa.Array:
    """DuckDB hands over chunked arrays."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column


def with_policy(column: pa.Array, argument: Argument) -> pa.Array:
    """NULLs as the argument's ``on_null`` says; the policy ``null`` is the session's own."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count == 0 or argument.on_null == "null":
        return column
    match argument.on_null:
        case "error":
            raise InferenceError(f"argument '{argument.name}' is NULL", hint="its on_null policy is 'error'")
        case "nan":
            return pc.fill_null(column, float("nan"))
        case "default":
            return pc.fill_null(column, pa.scalar(argument.default, column.type))
